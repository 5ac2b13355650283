"""Mutated images through ingestion, and those that come through are opened as extraction opens them."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.hostile.mutation import damaged
from benchmarks.hostile.tally import Tally
from cvgl.config import IngestConfig
from cvgl.errors import CvglError
from cvgl.imaging import open_rgb
from cvgl.ingestion.tables import read_images, read_quarantine
from cvgl.lake import Lake
from cvgl.stages.ingest import ingest

_AT_ONCE = 250  # mutated images a folder
_SOUND = 6


def try_images(folder: Path, seed: int, inputs: int) -> Tally:
    """Ingests folders of mutated images among sound ones.

    Args:
        folder: to work in.
        seed: of every change.
        inputs: mutated images.
    """
    tally = Tally("mutated images")
    originals = list(_originals())
    for start in range(0, inputs, _AT_ONCE):
        rng = np.random.default_rng([seed, start])
        source, lake = folder / f"source-{start}", Lake.at(folder / f"lake-{start}")
        sound = {_write(source / "satellite" / f"sound-{i}.png", _encoded("PNG", 1000 + i)) for i in range(_SOUND)}
        mutated: set[str] = set()
        for i in range(min(_AT_ONCE, inputs - start)):
            ending, data = originals[int(rng.integers(len(originals)))]
            view = ("satellite", "drone")[i % 2]
            mutated.add(_write(source / view / f"{i}.{ending}", damaged(data, rng)))
        tally.tried += len(mutated)
        _ingest(tally, source, lake, sound, mutated)
        shutil.rmtree(source)
        shutil.rmtree(lake.root, ignore_errors=True)
    return tally


def _ingest(tally: Tally, source: Path, lake: Lake, sound: set[str], mutated: set[str]) -> None:
    try:
        ingest(IngestConfig(source=str(source), dataset="hostile"), lake)
    except Exception as error:  # noqa: BLE001  # what it is held to is that there is none
        tally.crashed(source.name, error)
        return
    taken = {row["uri"] for row in read_images(lake, "hostile").to_pylist()}
    refused = {row["uri"] for row in read_quarantine(lake, "hostile").to_pylist()}
    for uri in (sound - taken) | (mutated - taken - refused):
        tally.loses(source.name, uri)
    tally.refused += len(mutated & refused)
    for uri in sorted(mutated & taken):
        try:
            open_rgb(uri)
            tally.accepted += 1
        except CvglError:
            tally.refused += 1
        except Exception as error:  # noqa: BLE001
            tally.crashed(uri, error)


def _write(path: Path, data: bytes) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return str(path.resolve())


def _originals() -> Iterator[tuple[str, bytes]]:
    """Endings and bytes of small sound images in every format that is read, with EXIF where it has a place."""
    for ending, name in (("jpg", "JPEG"), ("png", "PNG"), ("tif", "TIFF"), ("webp", "WEBP"), ("bmp", "BMP"), ("gif", "GIF")):
        yield ending, _encoded(name, 1)
    for ending, name in (("jp2", "JPEG2000"), ("ppm", "PPM"), ("avif", "AVIF"), ("heic", "HEIF")):
        try:
            yield ending, _encoded(name, 2)
        except (KeyError, OSError):
            continue  # this Pillow writes no such images
    for mode in ("L", "P", "CMYK", "I;16", "F"):
        yield "tif", _encoded("TIFF", 3, mode)
    yield from (("tif", data) for data in _rasters())


def _encoded(name: str, seed: int, mode: str = "RGB") -> bytes:
    rng = np.random.default_rng(seed)
    image = Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8))
    if mode == "I;16":
        image = Image.fromarray(rng.integers(0, 65536, (24, 32), dtype=np.uint16))
    elif mode != "RGB":
        image = image.convert(mode)
    stream = io.BytesIO()
    if name in ("JPEG", "PNG", "WEBP", "TIFF") and mode == "RGB":
        image.save(stream, name, exif=_exif())
    else:
        image.save(stream, name)
    return stream.getvalue()


def _exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0132] = "2024:05:01 12:00:00"
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0)})
    exif.get_ifd(0x8769).update({0x9003: "2024:05:01 12:00:00", 0x9011: "+02:00"})
    return exif


def _rasters() -> Iterator[bytes]:
    """GeoTIFFs with several bands, compressions and kinds of numbers."""
    from rasterio.io import MemoryFile
    from rasterio.transform import from_origin

    rng = np.random.default_rng(4)
    kinds: tuple[tuple[str, int, dict[str, object]], ...] = (
        ("uint8", 3, {"compress": "deflate"}),
        ("uint16", 4, {"compress": "lzw"}),
        ("float32", 1, {"tiled": True}),
    )
    for kind, bands, options in kinds:
        values = rng.uniform(0, 255, (bands, 32, 32)).astype(kind)
        with MemoryFile() as memory:
            shape = {"width": 32, "height": 32, "count": bands, "dtype": kind}
            if options.get("tiled"):
                options = {**options, "blockxsize": 16, "blockysize": 16}
            with memory.open(
                driver="GTiff", crs="EPSG:32633", transform=from_origin(390_000, 5_820_000, 0.5, 0.5), **shape, **options
            ) as raster:
                raster.write(values)
            yield bytes(memory.getbuffer())
