"""XMP: an image's properties by namespace, the positions that drones write into it, and its times."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cvgl.ingestion.camera.record import Remark

EXIF = "http://ns.adobe.com/exif/1.0/"
_PREFIXES: Mapping[str, str] = {
    "exif": EXIF,
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "xap": "http://ns.adobe.com/xap/1.0/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "tiff": "http://ns.adobe.com/tiff/1.0/",
}
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_META = "adobe:ns:meta/"
# Every vendor has its own namespace and, at times, its own spelling: DJI's GpsLongtitude is in files of many years.
_LATITUDES = ("gpslatitude", "latitude", "lat")
_LONGITUDES = ("gpslongitude", "gpslongtitude", "longitude", "longtitude", "long", "lon")
# Structures that say where something else is: what was aimed at, where the flight began, what the image shows.
_ELSEWHERE = re.compile(r"target|dest|home|lrf|subject|shown|poi|takeoff|base")
_ATTRIBUTE = re.compile(r"([\w.\-]{1,64}):(\w{1,64})\s{0,8}=\s{0,8}(?:\"([^\"<>]{0,256})\"|'([^'<>]{0,256})')")
_ELEMENT = re.compile(r"<([\w.\-]{1,64}):(\w{1,64})(?:\s[^<>]{0,256})?>([^<>]{1,256})</")


@dataclass(frozen=True, slots=True)
class Property:
    """A simple value. `context` names the structures around it, in lower case, empty at the top."""

    context: str
    namespace: str
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Xmp:
    """The simple properties of a packet, attributes and elements alike."""

    properties: tuple[Property, ...] = ()

    def text(self, prefix: str, name: str) -> str:
        """A top-level property by the usual prefix of its namespace; empty where there is none."""
        namespace = _PREFIXES[prefix]
        key = ("", namespace, name)
        return next((item.value for item in self.properties if (item.context, item.namespace, item.name) == key), "")

    def drone_text(self, name: str) -> str:
        """A property of any vendor's namespace, by its name in any case; empty where there is none."""
        return next((item.value for item in self.properties if item.name.lower() == name.lower()), "")

    def position(self) -> tuple[float, float] | None:
        """Latitude and longitude as written, EXIF's own first, then a vendor's; None where no pair can be read."""
        groups: dict[tuple[str, str], dict[str, str]] = {}
        for item in self.properties:
            if not _ELSEWHERE.search(item.context) and (item.namespace != EXIF or item.context in ("", "locationcreated")):
                groups.setdefault((item.context, item.namespace), {}).setdefault(item.name.lower(), item.value)
        for _, values in sorted(groups.items(), key=lambda group: (group[0][1] != EXIF, group[0][0] != "")):
            latitude = next((values[name] for name in _LATITUDES if name in values), "")
            longitude = next((values[name] for name in _LONGITUDES if name in values), "")
            pair = coordinate(latitude), coordinate(longitude)
            if pair[0] is not None and pair[1] is not None:
                return pair[0], pair[1]
        return None


def read_xmp(packet: bytes, remarks: set[Remark]) -> Xmp:
    """Reads a packet; one that is no XML is searched for what looks like properties. Entities are never resolved."""
    if not packet:
        return Xmp()
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import ParseError, fromstring

    text = _decoded(packet)
    start = text.find("<")
    if start < 0:
        remarks.add(Remark.XMP_DAMAGED)
        return Xmp()
    try:
        root = fromstring(text[start:], forbid_dtd=True)
        return Xmp(tuple(_walk(root, "")))
    except (ParseError, DefusedXmlException, ValueError, RecursionError):
        remarks.add(Remark.XMP_DAMAGED)
        return Xmp(tuple(_searched(text)))


def coordinate(text: str) -> float | None:
    """Reads degrees: ``+46.123``, ``52,31.2N``, ``52,31,12N``, ``52 31 12 N``, ``N52.5``; south and west are negative.

    A sign and a letter together never cancel out: either of them makes the number negative.
    """
    written = text.strip("\0 \t\r\n").upper()
    if re.fullmatch(r"[+-]?\d+(?:\.\d*)?E[+-]\d{1,2}", written):
        return float(written)
    letters = re.findall(r"[NSEW]", written)
    body = re.sub(r"[NSEW]", " ", written).strip()
    if len(letters) > 1 or not body:
        return None
    negative = body.startswith(("-", "\u2212")) or letters in (["S"], ["W"])
    body = body.lstrip("+-\u2212 ")
    if not letters and re.fullmatch(r"\d+,\d+", body):
        body = body.replace(",", ".")  # a decimal comma; degrees and minutes come with a letter
    parts = [part for part in re.split(r"[,\s:;°º'\"′″]+", body) if part]
    if not 1 <= len(parts) <= 3 or not all(re.fullmatch(r"\d+(?:\.\d*)?|\.\d+", part) for part in parts):
        return None
    degrees, minutes, seconds = (*(float(part) for part in parts), 0.0, 0.0)[:3]
    if minutes > 60 or seconds > 60:
        return None
    value = degrees + minutes / 60 + seconds / 3600
    return -value if negative else value


def _decoded(packet: bytes) -> str:
    if packet[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return packet.decode("utf-16", "replace").strip("\0 \t\r\n")
    return packet.decode("utf-8-sig", "replace").strip("\0 \t\r\n")


def _walk(element: Any, context: str) -> Iterator[Property]:
    """Properties of an element and below. RDF's own elements are no structure: their names say nothing."""
    stack = [(element, context)]
    while stack:
        node, around = stack.pop()
        namespace, name = _split(node.tag)
        children = list(node)
        is_structure = namespace not in (_RDF, _META)
        if is_structure and not children and (node.text or "").strip():
            yield Property(around, namespace, name, node.text.strip())
        inside = f"{around}/{name.lower()}".strip("/") if is_structure else around
        for key, value in node.attrib.items():
            of, attribute = _split(key)
            if of not in ("", _RDF) and not of.startswith("http://www.w3.org/XML"):
                yield Property(inside, of, attribute, str(value).strip())
        stack.extend((child, inside) for child in reversed(children))


def _split(tag: str) -> tuple[str, str]:
    namespace, bracket, name = tag.rpartition("}")
    return (namespace.removeprefix("{"), name) if bracket else ("", tag)


def _searched(text: str) -> Iterator[Property]:
    for prefix, name, *values in (*_ATTRIBUTE.findall(text), *_ELEMENT.findall(text)):
        value = "".join(values).strip()
        if value and prefix not in ("xmlns", "rdf"):
            yield Property("", _PREFIXES.get(prefix, prefix), name, value)
