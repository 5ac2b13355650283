"""The tags that place a TIFF, as they stand in its first directory: what GDAL makes good in silence is seen here."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

SCALE, TIE_POINTS, KEYS, DOUBLES, LETTERS, RPC = 33550, 33922, 34735, 34736, 34737, 50844
# What each is made of: TIFF's number of the type, and struct's letter.
_TYPES = {SCALE: (12, "d"), TIE_POINTS: (12, "d"), KEYS: (3, "H"), DOUBLES: (12, "d"), LETTERS: (2, "B"), RPC: (12, "d")}
_GEOJP2 = b"uuid" + bytes.fromhex("b14bf8bd083d4b43a5ae8cd7d5a6ce03")
# Where the values of each geo key stand: in the directory itself, or among the letters or doubles.
_PLACES = {
    **dict.fromkeys((1024, 1025, 2048, 2050, 2051, 2052, 2054, 2056, 2060, 3072, 3074, 3075, 3076, 4096, 4098, 4099), 0),
    **dict.fromkeys((1026, 2049, 3073, 4097), LETTERS),
    **dict.fromkeys((2053, 2055, 2057, 2058, 2059, 2061, 3077, *range(3078, 3096)), DOUBLES),
}
_MAX_ENTRIES, _MAX_VALUES = 4096, 2**20


@dataclass(frozen=True, slots=True)
class Tags:
    """The tags that place a TIFF.

    Attributes:
        values: by number; letters are numbers, too. Empty where a tag is not what it should be.
        letters: from where to where in the file there is text: of the geo keys, and GML in a JPEG 2000.
    """

    values: Mapping[int, tuple[int | float, ...]] = field(default_factory=dict)
    letters: tuple[tuple[int, int], ...] = ()


def read_tags(descriptor: int) -> Tags:
    """Reads the tags of an open TIFF or BigTIFF, or of the small TIFF that a GeoJP2 holds.

    Raises:
        OSError: the disk failed.
    """
    end = os.fstat(descriptor).st_size
    try:
        if os.pread(descriptor, 2, 0) in (b"II", b"MM"):
            return _read(descriptor, 0, end)
        tags, texts = Tags(), []
        for start, last in _boxes(descriptor, end):
            name = os.pread(descriptor, 20, start + 4)
            if name == _GEOJP2:
                tags = _read(descriptor, start + 24, last)
            elif name[:4] in (b"asoc", b"xml "):
                texts.append((start + 8, last))
        return Tags(tags.values, (*tags.letters, *texts))
    except struct.error:  # the file ends before its directory does
        pass
    return Tags()


def _boxes(descriptor: int, end: int) -> Iterator[tuple[int, int]]:
    """Where the boxes of a JPEG 2000 begin and end."""
    start = 0
    for _ in range(_MAX_ENTRIES):
        [size] = _unpacked(descriptor, ">I", start, end)
        if size == 1:
            [size] = _unpacked(descriptor, ">Q", start + 8, end)
        last = min(start + size, end) if size else end
        yield start, last
        if 0 < size < 8 or last >= end:
            return
        start = last


def _read(descriptor: int, base: int, end: int) -> Tags:
    head = os.pread(descriptor, 16, base)
    order = "<" if head[:2] == b"II" else ">"
    is_big = head[2:4] in (b"+\0", b"\0+")
    word, count_form, entry_form = ("Q", "Q", "HHQ8s") if is_big else ("I", "H", "HHI4s")
    start = base + struct.unpack_from(order + word, head, 8 if is_big else 4)[0]
    [count] = _unpacked(descriptor, order + count_form, start, end)
    start += struct.calcsize(order + count_form)
    values: dict[int, tuple[int | float, ...]] = {}
    letters: tuple[tuple[int, int], ...] = ()
    for index in range(min(count, _MAX_ENTRIES)):
        place = start + index * struct.calcsize(order + entry_form)
        tag, kind, number, inline = _unpacked(descriptor, order + entry_form, place, end)
        if tag not in _TYPES:
            continue
        expected, letter = _TYPES[tag]
        values[tag] = ()
        if kind != expected or number > _MAX_VALUES:
            continue
        form = f"{order}{number}{letter}"
        place += struct.calcsize(order + entry_form) - len(inline)
        if struct.calcsize(form) > len(inline):
            place = base + struct.unpack(order + word, inline)[0]
        try:
            values[tag] = _unpacked(descriptor, form, place, end)
        except struct.error:
            continue
        if tag == LETTERS:
            letters = ((place, place + number),)
    return Tags(values, letters)


def _unpacked(descriptor: int, form: str, place: int, end: int) -> tuple[Any, ...]:
    if place > end:
        raise struct.error("beyond the end of the file")
    return struct.unpack(form, os.pread(descriptor, struct.calcsize(form), place))


def problem_of_tags(tags: Tags) -> str | None:
    """What is wrong with the tags that place a raster, or None.

    GDAL refuses damaged keys, too, but libgeotiff writes of some of them to the terminal, past every handler; of a tie point
    that is not whole GDAL says nothing and puts the raster's corner at 0, 0.
    """
    values = tags.values
    if SCALE in values and len(values.get(TIE_POINTS, ())) < 6:
        return "it has a pixel size and no whole tie point"
    if KEYS not in values:
        return None
    keys = [int(value) for value in values[KEYS]]
    if len(keys) < 4 or len(keys) < 4 + 4 * keys[3]:
        return "its geo keys are not whole"
    for start in range(4, 4 + 4 * keys[3], 4):
        key, place, count, offset = keys[start : start + 4]
        most = len(values.get(place, ())) if place in (KEYS, DOUBLES, LETTERS) else 0
        is_elsewhere = place != _PLACES.get(key, place)
        if is_elsewhere or ((count != 1) if place == 0 else (offset + count > most)):
            return "its geo keys are damaged"
    return None
