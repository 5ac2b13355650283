"""EXIF positions as firmware and programs write them: right, or passed over with a remark; never another place."""

from __future__ import annotations

import math
from typing import Any

import pytest
from PIL.TiffImagePlugin import IFDRational

from cvgl.geo import haversine_m
from cvgl.ingestion.camera.position import numbers, position_of
from cvgl.ingestion.camera.record import CameraRecord, Remark
from cvgl.ingestion.exif import read_exif
from tests.data.metadata import ASCII, BYTE, DOUBLE, exif_bytes, jpeg, rationals, text, xmp_packet

NORTH, EAST, SOUTH, WEST = text("N\0"), text("E\0"), text("S\0"), text("W\0")
LATITUDE, LONGITUDE = rationals(46, 50, (333855, 10000)), rationals(91, 59, (404156, 10000))
PLACE = (46 + 50 / 60 + 33.3855 / 3600, 91 + 59 / 60 + 40.4156 / 3600)


def record(gps: dict[int, Any], xmp: bytes = b"") -> CameraRecord:
    return read_exif(*jpeg(exif_bytes(gps=gps), xmp))


def check(gps: dict[int, Any], expected: Any, remarks: Any = (), xmp: bytes = b"") -> None:
    result = record(gps, xmp)
    assert result.remarks == remarks
    assert result.position == (None if expected is None else pytest.approx(expected, abs=1e-7))


def test_degrees_minutes_seconds_and_letters() -> None:
    check({1: NORTH, 2: LATITUDE, 3: EAST, 4: LONGITUDE}, PLACE)
    check({1: SOUTH, 2: LATITUDE, 3: WEST, 4: LONGITUDE}, (-PLACE[0], -PLACE[1]))


@pytest.mark.parametrize(
    "latitude",
    [
        rationals(46, (505564250, 10**7)),
        rationals(46, (505564250, 10**7), (0, 0)),
        rationals(46, (505564250, 10**7), (0, 1)),
        rationals((468426071, 10**7)),
        rationals((468426071, 10**7), (0, 0), (0, 0)),
        rationals((468426071, 10**7), 0, 0),
        (DOUBLE, [46.8426071]),
        (DOUBLE, [46.0, 50.0, 33.3855]),
        (ASCII, b"46.8426071\0"),
        (ASCII, b"46,50.5564250N\0"),
    ],
)
def test_one_and_two_numbers_and_seconds_of_0_0(latitude: Any) -> None:
    check({1: NORTH, 2: latitude, 3: EAST, 4: LONGITUDE}, PLACE)


@pytest.mark.parametrize(
    ("latitude", "expected"), [(rationals(46), 46.0), (rationals(46, 30), 46.5), (rationals(46, 30, (0, 0)), 46.5)]
)
def test_whole_degrees_and_minutes_are_taken_and_said(latitude: Any, expected: Any) -> None:
    check({1: NORTH, 2: latitude, 3: EAST, 4: LONGITUDE}, (expected, PLACE[1]), (Remark.POSITION_COARSE,))


@pytest.mark.parametrize(
    "letter", [text("s\0"), text("South\0"), text(" S \0"), text("S"), text("S\0\0\0rest"), (BYTE, [83]), (7, b"S\0")]
)
def test_letters_in_any_form(letter: Any) -> None:
    check({1: letter, 2: LATITUDE, 3: EAST, 4: LONGITUDE}, (-PLACE[0], PLACE[1]))


@pytest.mark.parametrize(
    "degrees", [rationals(-46, 50, (333855, 10000)), rationals(-46, -50, (-333855, 10000)), (DOUBLE, [-PLACE[0]])]
)
def test_a_sign_and_a_letter_never_cancel_out(degrees: Any) -> None:
    check({1: SOUTH, 2: degrees, 3: WEST, 4: rationals((-919945599, 10**7))}, (-PLACE[0], -PLACE[1]))


def test_the_sign_of_minutes_counts_where_degrees_are_0() -> None:
    check({1: SOUTH, 2: rationals(0, -30, 0), 3: EAST, 4: LONGITUDE}, (-0.5, PLACE[1]))


def test_a_negative_number_in_an_unsigned_field() -> None:
    wrapped = (5, [(2**32 - 46, 1), (50, 1), (333855, 10000)])
    check({1: SOUTH, 2: wrapped, 3: EAST, 4: LONGITUDE}, (-PLACE[0], PLACE[1]))


def test_a_negative_number_beside_the_letter_of_the_other_side() -> None:
    check(
        {1: NORTH, 2: rationals(-46, 30, (1, 2)), 3: EAST, 4: LONGITUDE},
        (-46.5 - 0.5 / 3600, PLACE[1]),
        (Remark.SIGN_CONTRADICTS,),
    )


def test_xmp_settles_which_side_is_meant() -> None:
    xmp = xmp_packet(f'drone-dji:GpsLatitude="+{PLACE[0]}" drone-dji:GpsLongitude="-{PLACE[1]}"')
    check({1: NORTH, 2: rationals(-46, 50, (333855, 10000)), 4: LONGITUDE}, (PLACE[0], -PLACE[1]), xmp=xmp)


def test_without_letters_a_sign_is_taken_and_its_absence_is_not() -> None:
    check(
        {2: rationals(-46, 30, (1, 2)), 4: rationals(-91, 30, (1, 2))},
        (-46.5 - 0.5 / 3600, -91.5 - 0.5 / 3600),
        (Remark.SIGN_OF_NUMBER,),
    )
    check({2: LATITUDE, 4: LONGITUDE}, None, (Remark.NO_HEMISPHERE,))
    check({1: text("\0"), 2: LATITUDE, 3: EAST, 4: LONGITUDE}, None, (Remark.NO_HEMISPHERE,))
    check({1: text("?\0"), 2: LATITUDE, 3: EAST, 4: LONGITUDE}, None, (Remark.NO_HEMISPHERE,))


def test_a_receiver_without_a_fix_keeps_a_position_that_it_has() -> None:
    check({1: NORTH, 2: LATITUDE, 3: EAST, 4: LONGITUDE, 9: text("V\0")}, PLACE, (Remark.STATUS_VOID,))
    check({1: NORTH, 2: LATITUDE, 3: EAST, 4: LONGITUDE, 9: text("A\0")}, PLACE)
    check({9: text("V\0")}, None)


def test_longitudes_beyond_180() -> None:
    check(
        {1: NORTH, 2: LATITUDE, 3: EAST, 4: rationals(190, 30, (1, 10))}, (PLACE[0], -169.5 + 0.1 / 3600), (Remark.BEYOND_180,)
    )


@pytest.mark.parametrize(
    ("gps", "remark"),
    [
        ({1: NORTH, 2: rationals(0, 0, 0), 3: EAST, 4: rationals(0, 0, 0)}, Remark.POSITION_ZERO),
        ({1: NORTH, 2: rationals(123, 0, 0), 3: EAST, 4: LONGITUDE}, Remark.POSITION_OFF_THE_GLOBE),
        ({1: NORTH, 2: LATITUDE, 3: EAST, 4: rationals(361, 0, 0)}, Remark.POSITION_OFF_THE_GLOBE),
        ({1: NORTH, 2: rationals((1, 0), (1, 0), (1, 0)), 3: EAST, 4: LONGITUDE}, Remark.POSITION_UNREADABLE),
        ({1: NORTH, 2: rationals((0, 0), (0, 0), (0, 0)), 3: EAST, 4: LONGITUDE}, Remark.POSITION_UNREADABLE),
        ({1: NORTH, 2: rationals(46, (0, 0), 30), 3: EAST, 4: LONGITUDE}, Remark.POSITION_UNREADABLE),
        ({1: NORTH, 2: rationals(46, 5033, 0), 3: EAST, 4: LONGITUDE}, Remark.POSITION_UNREADABLE),
        ({1: NORTH, 2: (DOUBLE, [math.inf]), 3: EAST, 4: LONGITUDE}, Remark.POSITION_UNREADABLE),
        ({1: NORTH, 2: LATITUDE, 3: EAST}, Remark.POSITION_HALF),
        ({1: NORTH, 2: LATITUDE, 3: EAST, 4: text("east\0")}, Remark.POSITION_HALF),
    ],
)
def test_what_is_passed_over_is_said(gps: dict[int, Any], remark: Remark) -> None:
    check(gps, None, (remark,))


def test_tokyo_datum_is_converted() -> None:
    position = {1: NORTH, 2: rationals(35, 39, (170, 10)), 3: EAST, 4: rationals(139, 44, (280, 10))}
    plain = record(position).position
    converted = record({**position, 18: text("TOKYO\0")})
    assert converted.remarks == (Remark.DATUM_CONVERTED,)
    assert plain is not None
    assert converted.position is not None
    # Between Tokyo and WGS 84 lie some 450 m there: 11.8 seconds of latitude, -11.6 of longitude.
    assert float(haversine_m(*plain, *converted.position)) == pytest.approx(450, abs=30)
    assert converted.position[0] > plain[0]
    assert converted.position[1] < plain[1]


@pytest.mark.parametrize(
    ("datum", "remarks"), [("WGS-84", ()), ("WGS84\0\0", ()), ("", ()), ("Bessel", (Remark.DATUM_UNKNOWN,))]
)
def test_other_datums(datum: str, remarks: Any) -> None:
    check({1: NORTH, 2: LATITUDE, 3: EAST, 4: LONGITUDE, 18: text(f"{datum}\0")}, PLACE, remarks)


def test_numbers_of_any_type() -> None:
    assert numbers((IFDRational(3, 2), (5, 2), 7, 1.25)) == [1.5, 2.5, 7.0, 1.25]
    assert numbers(IFDRational(1, 4)) == [0.25]
    assert all(math.isnan(number) for number in numbers((IFDRational(0, 0), (1, 0), float("nan"), "x", None)))
    assert numbers(None) == []


def test_a_place_that_xmp_holds_is_taken_where_exif_has_none() -> None:
    remarks: set[Remark] = set()
    assert position_of({}, (50.0, 4.0), remarks) == ((50.0, 4.0), "xmp")
    assert remarks == {Remark.POSITION_FROM_XMP}


def test_a_place_that_xmp_contradicts() -> None:
    xmp = xmp_packet('drone-dji:GpsLatitude="+47.5" drone-dji:GpsLongitude="+91.99"')
    check({1: NORTH, 2: LATITUDE, 3: EAST, 4: LONGITUDE}, PLACE, (Remark.SOURCES_CONTRADICT,), xmp)
    near = xmp_packet('drone-dji:GpsLatitude="+46.8427" drone-dji:GpsLongitude="+91.9945"')
    check({1: NORTH, 2: LATITUDE, 3: EAST, 4: LONGITUDE}, PLACE, (), near)


@pytest.mark.parametrize(
    "gps", [{1: NORTH, 2: rationals(0, 0, 0), 3: EAST, 4: rationals(0, 0, 0)}, {2: LATITUDE, 4: LONGITUDE}]
)
def test_exif_without_a_place_gives_way_to_xmp(gps: dict[int, Any]) -> None:
    result = record(gps, xmp_packet('drone-dji:GpsLatitude="+12.5" drone-dji:GpsLongitude="-3.25"'))
    assert (result.position, result.position_source) == ((12.5, -3.25), "xmp")
    assert Remark.POSITION_FROM_XMP in result.remarks
