"""Images that declare many pixels in few bytes, many of them at once, through ingestion."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.hostile.tally import Tally
from cvgl.config import IngestConfig
from cvgl.ingestion.tables import read_images, read_quarantine
from cvgl.lake import Lake
from cvgl.stages.ingest import ingest

_SIDE = 13_300  # 177 million pixels, just below what is allowed


def try_memory(folder: Path, seed: int, inputs: int) -> Tally:
    """Ingests a folder of them beside sound images.

    Args:
        folder: to work in.
        seed: unused but for the sound images.
        inputs: how many.
    """
    tally = Tally("images that declare much")
    source, lake = folder / "source", Lake.at(folder / "lake")
    rng = np.random.default_rng(seed)
    sound, large = set(), set()
    for i in range(4):
        path = source / "satellite" / f"sound-{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(path)
        sound.add(str(path.resolve()))
    makers = (_bitmap, _netpbm, _png, _grey_jpeg)
    for i in range(inputs):
        ending, data = makers[i % len(makers)](i)
        path = source / "satellite" / f"{i}.{ending}"
        path.write_bytes(data)
        large.add(str(path.resolve()))
    tally.tried = inputs
    try:
        ingest(IngestConfig(source=str(source), dataset="hostile"), lake)
    except Exception as error:  # noqa: BLE001  # what it is held to is that there is none
        tally.crashed("memory", error)
        return tally
    taken = {row["uri"] for row in read_images(lake, "hostile").to_pylist()}
    refused = {row["uri"] for row in read_quarantine(lake, "hostile").to_pylist()}
    for uri in (sound | large) - taken - refused | (sound & refused):
        tally.loses("memory", uri)
    tally.accepted, tally.refused = len(large & taken), len(large & refused)
    return tally


def _bitmap(number: int) -> tuple[str, bytes]:
    side = _SIDE - number
    header = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 24, 0, 0, 0, 0, 0, 0)
    return "bmp", b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + header


def _netpbm(number: int) -> tuple[str, bytes]:
    return "ppm", f"P6 {_SIDE - number} {_SIDE - number} 255\n".encode()


def _png(number: int) -> tuple[str, bytes]:
    """A whole image of one colour, in a few hundred kilobytes."""
    side = _SIDE - number

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    packer = zlib.compressobj(9)
    row = bytes(1 + 3 * side)
    data = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    return "png", b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)) + chunk(
        b"IDAT", data
    ) + chunk(b"IEND", b"")


def _grey_jpeg(number: int) -> tuple[str, bytes]:
    """A header that says 13,000 pixels a side, over the data of an image of 8."""
    stream = io.BytesIO()
    Image.new("L", (8, 8), 128 + number % 64).save(stream, "JPEG")
    data = bytearray(stream.getvalue())
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", _SIDE - number, _SIDE - number)
    return "jpg", bytes(data)
