"""Positions of University-1652's buildings from the KML file that its authors publish beside the pictures."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.etree import ElementTree

from cvgl.datasets.entries import Position, RefusedError
from cvgl.datasets.fields import geographic
from cvgl.errors import DataError

_MOST_BYTES = 64 * 2**20
_NUMBER = re.compile(r"^\s*(\d{4})(?!\d)")  # a building's folder is named by four digits


def read_building_positions(path: Path, name_list: Path | None) -> tuple[dict[str, Position], int]:
    """Reads the placemarks of a KML file.

    A placemark belongs to the building whose number its name starts with, or whose name in the list is its own; names
    that several buildings share decide nothing.

    Args:
        path: the KML file.
        name_list: a text file of lines such as ``0000 Some Library``; None where there is none.

    Returns:
        Positions by the buildings' folder names, and how many placemarks belong to no building.

    Raises:
        DataError: the file is no KML, or is not text.
    """
    numbers = _numbers_by_name(name_list)
    positions: dict[str, Position] = {}
    unknown = 0
    for name, longitude, latitude in _placemarks(path):
        number = _NUMBER.match(name)
        building = number.group(1) if number else numbers.get(_plain(name))
        if building is None:
            unknown += 1
            continue
        try:
            positions.setdefault(building, geographic(latitude, longitude))
        except RefusedError as refused:
            raise DataError(f"the place '{name}' has no position: {refused.detail}", where=path, fix="mend it") from refused
    return positions, unknown


def _numbers_by_name(path: Path | None) -> Mapping[str, str]:
    if path is None or not path.is_file():
        return {}
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the list of names cannot be read: {error}", where=path, fix="fetch it again") from error
    pairs = [(_plain(line.strip()[4:]), number.group(1)) for line in lines if (number := _NUMBER.match(line))]
    often = Counter(name for name, _ in pairs)
    return {name: number for name, number in pairs if often[name] == 1}


def _plain(name: str) -> str:
    return " ".join(name.lower().split())


def _placemarks(path: Path) -> Iterator[tuple[str, float, float]]:
    """Name, longitude and latitude of each placemark that has a point or a look-at."""
    for mark in _root(path).iter():
        if _tag(mark) != "Placemark":
            continue
        texts = {_tag(node): (node.text or "").strip() for node in mark.iter()}
        written = texts.get("coordinates", "").split(",")
        if len(written) < 2:
            written = [texts.get("longitude", ""), texts.get("latitude", "")]
        try:
            yield texts.get("name", ""), float(written[0]), float(written[1])
        except ValueError:
            continue  # a tour, a folder's own mark: no place


def _tag(node: ElementTree.Element) -> str:
    return node.tag.rpartition("}")[2]


def _root(path: Path) -> ElementTree.Element:
    """The document's root. Entities are what makes foreign XML dangerous, and no KML needs any, so they are refused."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise DataError("the KML file is too large to be a list of buildings", where=path, fix="remove it")
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"the KML file cannot be read: {error.strerror}", where=path, fix="check its rights") from error
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise DataError("the KML file declares entities, which no KML needs", where=path, fix="remove it")
    try:
        return ElementTree.fromstring(data)  # noqa: S314  # without entities there is nothing to expand
    except ElementTree.ParseError as error:
        raise DataError(f"the KML file is not XML: {error}", where=path, fix="fetch it again") from error
