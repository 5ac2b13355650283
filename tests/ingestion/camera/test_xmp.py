"""XMP as drones and programs write it: attributes, elements, structures, misspelt names."""

from __future__ import annotations

from typing import Any

import pytest

from cvgl.ingestion.camera.containers import MAX_XMP_BYTES
from cvgl.ingestion.camera.record import Remark
from cvgl.ingestion.camera.xmp import coordinate, read_xmp
from cvgl.ingestion.exif import read_exif
from tests.data.metadata import jpeg, xmp_packet


@pytest.mark.parametrize(
    ("written", "degrees"),
    [
        ("+46.8426071", 46.8426071),
        ("-91.99456", -91.99456),
        ("52,31.2N", 52.52),
        ("52,31,12N", 52.52),
        ("52,31,12.0S", -52.52),
        ("52 31 12 N", 52.52),
        ("52°31'12\"W", -52.52),
        ("W 52.52", -52.52),
        ("-52.52S", -52.52),
        ("52.52e", 52.52),
        ("52,52", 52.52),
        (" 0 ", 0.0),
        ("5.252E+1", 52.52),
        ("-4.5e-05", -0.000045),
        ("", None),
        ("N", None),
        ("north", None),
        ("nan", None),
        ("52,31,12,9N", None),
        ("52,75.5N", None),
        ("52N 4E", None),
    ],
)
def test_degrees_in_any_usual_form(written: str, degrees: Any) -> None:
    assert coordinate(written) == (None if degrees is None else pytest.approx(degrees, abs=1e-9))


@pytest.mark.parametrize(
    ("attributes", "elements"),
    [
        ('drone-dji:GpsLatitude="+46.5" drone-dji:GpsLongitude="-91.25"', ""),
        ('drone-dji:GpsLatitude="46.5" drone-dji:GpsLongtitude="-91.25"', ""),
        ('drone-dji:Latitude="46.5" drone-dji:Longitude="-91.25"', ""),
        ("", "<drone-dji:GpsLatitude>+46.5</drone-dji:GpsLatitude><drone-dji:GpsLongtitude>-91.25</drone-dji:GpsLongtitude>"),
        ('exif:GPSLatitude="46,30.0N" exif:GPSLongitude="91,15.0W"', ""),
        ("", "<exif:GPSLatitude>46,30,0N</exif:GPSLatitude><exif:GPSLongitude>91,15,0W</exif:GPSLongitude>"),
        ('drone-parrot:GPSLatitude="46.5" drone-parrot:GPSLongitude="-91.25"', ""),
        ('Camera:Latitude="46.5" Camera:Longitude="-91.25"', ""),
        ("", '<drone-skydio:GPS drone-skydio:Latitude="46.5" drone-skydio:Longitude="-91.25"/>'),
        (
            "",
            '<drone-skydio:GPS rdf:parseType="Resource"><drone-skydio:Latitude>46.5</drone-skydio:Latitude>'
            "<drone-skydio:Longitude>-91.25</drone-skydio:Longitude></drone-skydio:GPS>",
        ),
        (
            "",
            '<drone-skydio:GPS><rdf:Description drone-skydio:Latitude="46.5" drone-skydio:Longitude="-91.25"/>'
            "</drone-skydio:GPS>",
        ),
        (
            'drone-dji:LRFTargetLat="10" drone-dji:LRFTargetLon="10"',
            '<drone-dji:Home drone-dji:Latitude="1" drone-dji:Longitude="2"/>'
            '<drone-dji:Fix drone-dji:Latitude="46.5" drone-dji:Longitude="-91.25"/>',
        ),
    ],
)
def test_positions_of_every_maker(attributes: Any, elements: Any) -> None:
    result = read_exif(*jpeg(xmp=xmp_packet(attributes, elements)))
    assert (result.position, result.position_source) == ((46.5, -91.25), "xmp")
    assert result.remarks == (Remark.POSITION_FROM_XMP,)


@pytest.mark.parametrize(
    ("attributes", "elements"),
    [
        ('drone-dji:GpsLatitude="0.000000" drone-dji:GpsLongitude="+0.0"', ""),
        ('drone-dji:GpsLatitude="46.5"', ""),
        ('drone-dji:GpsLatitude="nan" drone-dji:GpsLongitude="nan"', ""),
        ('drone-dji:GpsLatitude="146.5" drone-dji:GpsLongitude="3"', ""),
        (
            "",
            '<Iptc4xmpExt:LocationShown rdf:parseType="Resource"><exif:GPSLatitude>46,30N</exif:GPSLatitude>'
            "<exif:GPSLongitude>91,15W</exif:GPSLongitude></Iptc4xmpExt:LocationShown>",
        ),
        ("", '<drone-dji:HomePoint drone-dji:Latitude="1" drone-dji:Longitude="2"/>'),
    ],
)
def test_what_is_no_position_of_the_camera(attributes: Any, elements: Any) -> None:
    assert read_exif(*jpeg(xmp=xmp_packet(attributes, elements))).position is None


def test_the_place_of_the_camera_is_told_from_that_of_what_is_shown() -> None:
    place = (
        '<Iptc4xmpExt:{0} rdf:parseType="Resource"><exif:GPSLatitude>{1},0N</exif:GPSLatitude>'
        "<exif:GPSLongitude>3,0E</exif:GPSLongitude></Iptc4xmpExt:{0}>"
    )
    xmp = xmp_packet("", place.format("LocationShown", 10) + place.format("LocationCreated", 20))
    assert read_exif(*jpeg(xmp=xmp)).position == (20.0, 3.0)


def test_undeclared_prefixes_are_no_xml_and_are_read_all_the_same() -> None:
    packet = b'<x:xmpmeta><rdf:Description drone-dji:GpsLatitude="+46.5"\n drone-dji:GpsLongtitude="-91.25"></x:xmpmeta>'
    result = read_exif(*jpeg(xmp=packet))
    assert (result.position, set(result.remarks)) == ((46.5, -91.25), {Remark.XMP_DAMAGED, Remark.POSITION_FROM_XMP})


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_encodings(encoding: str) -> None:
    packet = xmp_packet('drone-dji:GpsLatitude="+46.5" drone-dji:GpsLongitude="-91.25"').decode().encode(encoding)
    remarks: set[Remark] = set()
    assert read_xmp(packet + b"\0\0", remarks).position() == (46.5, -91.25)
    assert remarks == set()


def test_entities_are_not_resolved() -> None:
    packet = b'<!DOCTYPE x [<!ENTITY a "46.5">]><x:xmpmeta xmlns:x="adobe:ns:meta/" x:Latitude="&a;" x:Longitude="&a;"/>'
    remarks: set[Remark] = set()
    assert read_xmp(packet, remarks).position() is None
    assert remarks == {Remark.XMP_DAMAGED}


def test_a_huge_packet_is_passed_over_and_said() -> None:
    image, stream = jpeg()
    image.info["xmp"] = xmp_packet('drone-dji:GpsLatitude="1" drone-dji:GpsLongitude="1"') + b" " * MAX_XMP_BYTES
    result = read_exif(image, stream)
    assert (result.position, result.remarks) == (None, (Remark.XMP_TOO_LARGE,))


@pytest.mark.parametrize(
    "packet", [b"\0\0", b"no xml", b"<", b"<a" * 20_000, b"a:b='" * 20_000, "<x>\ud800</x>".encode("utf-8", "surrogatepass")]
)
def test_nonsense_has_no_position(packet: bytes) -> None:
    assert read_xmp(packet, set()).position() is None


def test_properties_deep_inside() -> None:
    depth = 5_000
    packet = b"<a:a xmlns:a='b'>" * depth + b"</a:a>" * depth
    assert read_xmp(packet, set()).position() is None
