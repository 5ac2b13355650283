"""Positions of University-1652's buildings from the KML file that its authors publish beside the images."""

from __future__ import annotations

import codecs
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cvgl.errors import DataError
from cvgl.geo import Position
from cvgl.ingestion.entries import RefusedError
from cvgl.ingestion.fields import geographic
from cvgl.ingestion.text_encoding import decode_text

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_MAX_BYTES = 64 * 2**20
_ENCODING = re.compile(rb"(?:\xef\xbb\xbf)?\s*<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z][A-Za-z0-9._-]*)[\"']")
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
        lines = decode_text(path.read_bytes())[0].splitlines()
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


def _tag(node: Element) -> str:
    return node.tag.rpartition("}")[2]


def _root(path: Path) -> Element:
    """The document's root. No KML needs a document type or entities, which are what makes foreign XML dangerous."""
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import ParseError, fromstring

    try:
        if path.stat().st_size > _MAX_BYTES:
            raise DataError("the KML file is too large to be a list of buildings", where=path, fix="remove it")
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"the KML file cannot be read: {error.strerror}", where=path, fix="check its rights") from error
    try:
        # As text, which is decoded already, so that what the document says of its encoding does not count any more.
        root: Element = fromstring(_decoded(data), forbid_dtd=True)
    except DefusedXmlException as error:
        raise DataError(
            "the KML file declares a document type or entities, which no KML needs", where=path, fix="remove the declaration"
        ) from error
    except (ParseError, UnicodeError, LookupError, ValueError) as error:
        raise DataError(f"the KML file is not XML: {error}", where=path, fix="fetch it again") from error
    return root


def _decoded(data: bytes) -> str:
    """The document as text: by its mark, else by the encoding that it declares, else UTF-8 or what Windows wrote before.

    Raises:
        UnicodeError: it is not in the encoding that it declares.
        LookupError: nobody knows that encoding.
    """
    declared = _ENCODING.match(data)
    name = declared[1].decode("ascii") if declared else ""
    if not name or name.lower().replace("_", "-") in ("utf-8", "utf8"):
        return decode_text(data)[0]
    if codecs.lookup(name).name.startswith(("utf-16", "utf-32")):
        return decode_text(data)[0]  # a document that can be searched for ASCII is in neither of them
    return decode_text(data)[0] if data.startswith(codecs.BOM_UTF8) else data.decode(name)
