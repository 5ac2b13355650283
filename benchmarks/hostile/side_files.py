"""Edited tables, world files, projections, placemarks and manifests beside sound pictures."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from benchmarks.hostile.mutation import damaged, edited
from benchmarks.hostile.tally import Tally
from cvgl.config import IngestConfig
from cvgl.errors import CvglError
from cvgl.ingestion.tables import read_images, read_quarantine
from cvgl.lake import Lake
from cvgl.stages.ingest import ingest

_PLACES = 4
_BYTES_SHARE = 0.3  # of the changes that are made to bytes rather than to the text


class _Source(NamedTuple):
    """A kind of source.

    Attributes:
        side_files: texts by the names of the files.
        edited: the names of those that are changed.
        root: what is ingested, below the source's folder.
    """

    side_files: dict[str, str]
    edited: tuple[str, ...]
    root: str = "."


def try_side_files(folder: Path, seed: int, inputs: int) -> Tally:
    """Ingests small sources, one side file of each edited.

    Args:
        folder: to work in.
        seed: of every change.
        inputs: edited files.
    """
    tally = Tally("edited side files")
    kinds = [make() for make in _KINDS]
    for i in range(inputs):
        rng = np.random.default_rng([seed, i])
        kind = kinds[i % len(kinds)]
        source, lake = folder / f"source-{i}", Lake.at(folder / f"lake-{i}")
        uris = _images(source)
        name = kind.edited[int(rng.integers(len(kind.edited)))]
        for other, text in kind.side_files.items():
            path = source / other
            data = text.encode()
            if other == name:
                data = damaged(data, rng) if rng.random() < _BYTES_SHARE else edited(text, rng).encode("utf-8", "surrogatepass")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        tally.tried += 1
        _ingest(tally, f"{name} #{i}", source / kind.root, lake, uris)
        shutil.rmtree(source)
        shutil.rmtree(lake.root, ignore_errors=True)
    return tally


def _ingest(tally: Tally, label: str, source: Path, lake: Lake, uris: set[str]) -> None:
    try:
        ingest(IngestConfig(source=str(source), dataset="hostile"), lake)
    except CvglError:
        tally.refused += 1
        return
    except Exception as error:  # noqa: BLE001  # what it is held to is that there is none
        tally.crashed(label, error)
        return
    tally.accepted += 1
    taken = {row["uri"] for row in read_images(lake, "hostile").to_pylist()}
    refused = {row["uri"] for row in read_quarantine(lake, "hostile").to_pylist()}
    missing = uris - taken - refused
    if source.is_file():
        # A manifest names what there is: a row that is gone takes its image along, a damaged one is refused by its own name.
        text = source.read_bytes()
        missing = {uri for uri in missing if "/".join(Path(uri).parts[-2:]).encode() in text and not refused}
    if missing:
        tally.loses(label, sorted(missing))


_ENCODED = [
    [Image.fromarray(np.random.default_rng([place, view]).integers(0, 256, (16, 16, 3), dtype=np.uint8)) for view in range(2)]
    for place in range(_PLACES)
]


def _images(source: Path) -> set[str]:
    uris = set()
    for place in range(_PLACES):
        for view, folder in enumerate(("satellite", "drone")):
            path = source / folder / f"{place}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            stream = io.BytesIO()
            _ENCODED[place][view].save(stream, "PNG")
            path.write_bytes(stream.getvalue())
            uris.add(str(path.resolve()))
    return uris


def _degrees() -> _Source:
    rows = "\n".join(
        f"{place}.png,{52.5 + place / 1000:.6f},{13.4 + place / 1000:.6f},place-{place}" for place in range(_PLACES)
    )
    text = f"path,latitude,longitude,location_id\n{rows}\n"
    return _Source({"satellite/positions.csv": text, "drone.csv": text}, ("satellite/positions.csv", "drone.csv"))


def _metres() -> _Source:
    rows = "\n".join(
        f"{place}.png;{390_000 + 60 * place};{5_820_000 + 60 * place};EPSG:32633;2024-05-01T12:00:0{place}Z"
        for place in range(_PLACES)
    )
    return _Source({"satellite.csv": f"filename;x;y;crs;captured_at\n{rows}\n"}, ("satellite.csv",))


def _world_files() -> _Source:
    files = {f"satellite/{place}.pgw": f"0.5\n0\n0\n-0.5\n{390_000 + 60 * place}\n5820000\n" for place in range(_PLACES)}
    wkt = (
        'PROJCS["WGS_1984_UTM_Zone_33N",GEOGCS["GCS_WGS_1984",DATUM["D_WGS_1984",SPHEROID["WGS_1984",6378137.0,298.257223563]],'
        'PRIMEM["Greenwich",0.0],UNIT["Degree",0.0174532925199433]],PROJECTION["Transverse_Mercator"],'
        'PARAMETER["False_Easting",500000.0],PARAMETER["False_Northing",0.0],PARAMETER["Central_Meridian",15.0],'
        'PARAMETER["Scale_Factor",0.9996],PARAMETER["Latitude_Of_Origin",0.0],UNIT["Meter",1.0]]'
    )
    files |= {f"satellite/{place}.prj": wkt for place in range(_PLACES)}
    return _Source(files, tuple(files))


def _aux() -> _Source:
    text = (
        "<PAMDataset>\n<SRS>EPSG:32633</SRS>\n<GeoTransform> 390000, 0.5, 0, 5820000, 0, -0.5</GeoTransform>\n"
        '<Metadata>\n<MDI key="AREA_OR_POINT">Area</MDI>\n</Metadata>\n</PAMDataset>\n'
    )
    files = {f"satellite/{place}.png.aux.xml": text for place in range(_PLACES)}
    return _Source(files, tuple(files))


def _manifest() -> _Source:
    rows = [
        f"{view}/{place}.png,{view},{52.5 + place / 1000:.6f},{13.4:.6f},run-1,train,p{place}"
        for place in range(_PLACES)
        for view in ("satellite", "drone")
    ]
    text = "\n".join(["path,view,latitude,longitude,sequence,subset,location_id", *rows, ""])
    return _Source({"manifest.csv": text}, ("manifest.csv",), "manifest.csv")


_KINDS: tuple[Callable[[], _Source], ...] = (_degrees, _metres, _world_files, _aux, _manifest)
