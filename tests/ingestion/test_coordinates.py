"""Coordinates as people write them: read where they can mean one thing only, else refused with what they look like."""

from __future__ import annotations

from decimal import Decimal

import pytest

from cvgl.geo import Position
from cvgl.ingestion import fields
from cvgl.ingestion.coordinates import DECIMAL_COMMA, DEGREES_MINUTES_SECONDS, read_number
from cvgl.ingestion.entries import Reason, RefusedError

FORMS = (DECIMAL_COMMA, DEGREES_MINUTES_SECONDS)


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("52,5200", 52.52),
        ("-52,520", -52.52),
        ("52°31'12.0\"N", 52.52),
        ("52°31′12″", 52.52),
        ("52º31’12” N", 52.52),
        ("52° 31' 12'' S", -52.52),
        ("52 deg 31' 12.00\" N", 52.52),
        ("52d31m12s", 52.52),
        ("52d31m12s S", -52.52),
        ("52 31 12 N", 52.52),
        ("52 31 12", 52.52),
        ("S 52:31:12", -52.52),
        ("N 52° 31,2'", 52.52),
        ("52,31.2N", 52.52),
        ("52,31,12S", -52.52),
        ("52 degrees 31 minutes 12 seconds north", 52.52),
        ("-0°30'", -0.5),
        ("N52.52", 52.52),
        ("52.52 s", -52.52),
        ("-52.52S", -52.52),
        ("52.52°", 52.52),
        ("52.52 deg", 52.52),
        ("５２．５２", 52.52),
        ("٥٢٫٥٢", 52.52),
        ("−52.52", -52.52),
        ("\u200e52.52", 52.52),
        ("'52.52", 52.52),
        ("5.252e1", 52.52),
        (Decimal("52.52"), 52.52),
    ],
)
def test_a_latitude_is_read_in_every_unambiguous_form(cell: object, value: float) -> None:
    assert read_number(cell, "latitude")[0] == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize(
    ("cell", "word"),
    [
        ("52.520.008", "thousands"),
        ("52,520,008", "thousands"),
        ("1_000", "thousands"),
        ("52 520", "thousands"),
        ("152,5", "decimal comma"),
        ("52 31", "degrees, minutes"),
        ("52°75'", "60 minutes"),
        ("52.5°31'", "degrees, minutes"),
        ("52d31m12S", "south or seconds"),
        ("-52.5N", "contradict"),
        ("13.4E", "exchanged"),
        ("5231.200,N", "NMEA"),
        ("north", "not a number"),
        ("inf", "not a place"),
        ("1e999", "not a place"),
        (True, "not a number"),
        (["52"], "not a number"),
    ],
)
def test_what_may_mean_something_else_is_refused_by_name(cell: object, word: str) -> None:
    with pytest.raises(RefusedError) as caught:
        read_number(cell, "latitude")
    assert (caught.value.reason, word in caught.value.detail) == (Reason.BAD_POSITION, True), caught.value.detail


def test_east_in_german_and_french_is_not_guessed() -> None:
    with pytest.raises(RefusedError, match="west in others"):
        read_number("13,4 O", "longitude")
    assert read_number("13,4 Ost", "longitude") == (13.4, DECIMAL_COMMA)


@pytest.mark.parametrize(("cell", "value"), [("432100,5", 432100.5), ("432100.5 m", 432100.5), ("12,3456", 12.3456)])
def test_metres_with_a_comma_or_a_unit(cell: str, value: float) -> None:
    assert read_number(cell, "x")[0] == value


@pytest.mark.parametrize(
    "cell", ["432,100", "5,432,100.5", "5.432.100,5", "432 100.5", "432'100.5", "2.600.000", "432100 ft", "52°31'12\""]
)
def test_thousands_are_never_eaten_and_feet_are_no_metres(cell: str) -> None:
    with pytest.raises(RefusedError) as caught:
        read_number(cell, "x")
    assert caught.value.reason is Reason.BAD_POSITION


def test_exchanged_columns_are_named() -> None:
    with pytest.raises(RefusedError, match="exchanged"):
        fields.position({"latitude": "113.5", "longitude": "22.2"})
    with pytest.raises(RefusedError) as caught:
        fields.position({"latitude": "113.5", "longitude": "200"})
    assert "exchanged" not in caught.value.detail


def test_a_direction_in_a_column_of_its_own_gives_the_sign() -> None:
    cells = {"latitude": "33.9", "latitude_ref": "South", "longitude": "18.4", "longitude_ref": "E"}
    assert fields.position(cells) == Position(latitude=-33.9, longitude=18.4)
    assert fields.position({**cells, "latitude": "-33.9"}) == Position(latitude=-33.9, longitude=18.4)
    with pytest.raises(RefusedError, match="is negative"):
        fields.position({**cells, "longitude": "-18.4"})


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("gpslatitude", "latitude"),
        ("gps_longitude", "longitude"),
        ("latitude_deg", "latitude"),
        ("longitude [deg]", "longitude"),
        ("lat (°)", "latitude"),
        ("gps latitude ref", "latitude_ref"),
        ("sourcefile", "path"),
        ("x (px)", None),
        ("x_m", None),
        ("lattitude", None),
    ],
)
def test_columns_are_known_by_the_names_of_other_programs(name: str, meaning: str | None) -> None:
    assert fields.column_meaning(name) == meaning


def test_nought_nought_is_no_fix_and_half_a_pair_no_position() -> None:
    remarks: list[str] = []
    for cells in (
        {"latitude": 0, "longitude": "0.000"},
        {"latitude": "-0.0", "longitude": 1e-9},
        {"x": 0, "y": 0, "crs": "EPSG:4326"},
        {"x": 0, "y": 0, "crs": "EPSG:32633"},
        {"x": "0", "y": "0", "crs": "EPSG:3857"},
        {"latitude": "47.4", "longitude": "NaN"},
        {"longitude": 8.5, "latitude": None},
        {"x": "1", "crs": "local"},
    ):
        assert fields.position(cells, remarks.append) is None
    assert len(remarks) == 8
    assert fields.position({"x": 0, "y": 0, "crs": "local"}, remarks.append) == Position(x=0, y=0, crs="local")
    assert fields.position({"latitude": 0, "longitude": 8}, remarks.append) == Position(latitude=0, longitude=8)
    assert fields.position({"latitude": 0, "longitude": 0, "x": 5, "y": 6, "crs": "local"}) == Position(x=5, y=6, crs="local")
    assert len(remarks) == 8


def test_an_origin_where_its_crs_is_used_is_a_place() -> None:
    for crs in ("EPSG:3413", "+proj=aeqd +lat_0=52 +lon_0=13 +units=m"):  # the pole; the middle of somebody's own map
        assert fields.position({"x": 0, "y": 0, "crs": crs}) == Position(x=0, y=0, crs=crs)
