"""Cells become values or a reason; nothing in between."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta, timezone

import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cvgl.geo import Position, haversine_m, to_geographic
from cvgl.ingestion import fields
from cvgl.ingestion.entries import Reason, RefusedError
from cvgl.types import Subset, View


@pytest.mark.parametrize(
    ("name", "view"),
    [
        ("drone", View.DRONE),
        ("UAV", View.DRONE),
        ("Queries", View.DRONE),
        ("satellite", View.SATELLITE),
        ("Sat", View.SATELLITE),
        ("references", View.SATELLITE),
        ("map", View.SATELLITE),
        ("street", View.GROUND),
        ("Street-View", View.GROUND),
        ("ground", View.GROUND),
    ],
)
def test_views_have_many_names(name: str, view: View) -> None:
    assert fields.view(name) is view


@pytest.mark.parametrize("name", ["", None, "aerial", "drone2", 7])
def test_unknown_views_are_refused(name: object) -> None:
    with pytest.raises(RefusedError) as caught:
        fields.view(name)
    assert caught.value.reason is Reason.UNKNOWN_VIEW


@pytest.mark.parametrize("cell", ["train;gallery", "gallery, train", " Train|GALLERY ", ["gallery", "train", "train"]])
def test_subsets_are_read_in_any_usual_form_and_sorted(cell: object) -> None:
    assert fields.subsets(cell) == (Subset.GALLERY, Subset.TRAIN)


def test_an_unknown_subset_is_refused_and_none_is_none() -> None:
    assert fields.subsets(None) == ()
    with pytest.raises(RefusedError) as caught:
        fields.subsets("train;valid")
    assert (caught.value.reason, "'valid'" in caught.value.detail) == (Reason.UNKNOWN_SUBSET, True)


def test_times_end_in_utc() -> None:
    expected = datetime(2024, 5, 31, 12, 3, tzinfo=UTC)
    assert fields.captured_at("2024-05-31T14:03:00+02:00") == expected
    assert fields.captured_at("2024-05-31 12:03") == expected
    assert fields.captured_at(datetime(2024, 5, 31, 12, 3)) == expected  # a zoneless Parquet column
    assert fields.captured_at("  ") is None


@pytest.mark.parametrize(
    "cell",
    [
        "2024-05-31T12:03:00,000Z",
        "2024-05-31 14:03:00 +0200",
        "2024-05-31T14:03+02",
        "2024:05:31 12:03:00",
        "20240531T120300Z",
        1717156980,
        1717156980.0,
        "1717156980",
        "1717156980000",
        datetime(2024, 5, 31, 14, 3, tzinfo=timezone(timedelta(hours=2))),
    ],
)
def test_times_in_any_usual_form(cell: object) -> None:
    assert fields.captured_at(cell) == datetime(2024, 5, 31, 12, 3, tzinfo=UTC)


def test_dates_and_fractions() -> None:
    assert fields.captured_at("2024-05-31") == fields.captured_at(date(2024, 5, 31)) == datetime(2024, 5, 31, tzinfo=UTC)
    assert fields.captured_at("2024-05-31T12:03:00.1234567Z") == datetime(2024, 5, 31, 12, 3, 0, 123_456, UTC)


@pytest.mark.parametrize("cell", [None, "", "NaN", "NaT", "null", "None", "0000:00:00 00:00:00", "  :  ", float("nan"), pd.NaT])
def test_cells_that_stand_for_no_time(cell: object) -> None:
    assert fields.captured_at(cell) is None


@pytest.mark.parametrize(
    "cell", ["yesterday", "2024-13-01", "31.05.2024", "01/05/2024", 5.5, 45413.5, "0001-01-01T00:00:00+10:00"]
)
def test_what_is_no_time_is_refused(cell: object) -> None:
    with pytest.raises(RefusedError) as caught:
        fields.captured_at(cell)
    assert caught.value.reason is Reason.BAD_TIME


@given(st.floats(-90, 90), st.floats(-180, 180))
def test_positions_in_degrees_survive_text(latitude: float, longitude: float) -> None:
    assume(max(abs(latitude), abs(longitude)) > 1e-6)
    assert fields.position({"latitude": str(latitude), "longitude": longitude}) == Position(
        latitude=latitude, longitude=longitude
    )


@given(st.floats(), st.floats())
def test_a_position_is_right_or_refused(latitude: float, longitude: float) -> None:
    cells = {"latitude": latitude, "longitude": longitude}
    if math.isnan(latitude) or math.isnan(longitude) or max(abs(latitude), abs(longitude)) <= 1e-6:
        return
    if abs(latitude) <= 90 and abs(longitude) <= 180:
        assert fields.position(cells) == Position(latitude=latitude, longitude=longitude)
        return
    with pytest.raises(RefusedError) as caught:
        fields.position(cells)
    assert caught.value.reason is Reason.BAD_POSITION


def test_planar_positions_need_a_crs() -> None:
    assert fields.position({"x": "1.5", "y": "2", "crs": "local"}) == Position(x=1.5, y=2.0, crs="local")
    with pytest.raises(RefusedError, match="crs"):
        fields.position({"x": "1.5", "y": "2", "crs": None})


def test_degrees_given_as_x_and_y_become_degrees() -> None:
    wkt = 'GEOGCS["GCS_WGS_1984",DATUM["D_WGS_1984",SPHEROID["WGS_1984",6378137,298.257223563]]]'
    for crs in ("EPSG:4326", "wgs84", wkt):
        assert fields.position({"x": 8.5, "y": 47.4, "crs": crs}) == Position(latitude=47.4, longitude=8.5)
    with pytest.raises(RefusedError, match="latitude 123"):
        fields.position({"x": 8.5, "y": 123.0, "crs": "EPSG:4326"})


@pytest.mark.parametrize(
    "cells",
    [
        {"latitude": "123", "longitude": "8"},
        {"latitude": "north", "longitude": "8"},
        {"x": "inf", "y": "0", "crs": "local"},
        {"latitude": "47", "longitude": "8", "crs": "EPSG:32632"},
        {"latitude": ["47"], "longitude": "8"},
    ],
)
def test_positions_that_make_no_sense_are_refused(cells: dict[str, object]) -> None:
    with pytest.raises(RefusedError) as caught:
        fields.position(cells)
    assert caught.value.reason is Reason.BAD_POSITION


def test_empty_cells_are_no_position() -> None:
    assert fields.position({"latitude": None, "longitude": " ", "x": None, "crs": "local"}) is None


def test_whole_numbers_that_arrive_as_floats_are_written_as_whole_numbers() -> None:
    assert fields.text(839.0) == "839"
    assert fields.text("0839") == "0839"


def test_crs_words_are_stored_as_what_they_are() -> None:
    position = fields.position({"x": "500000", "y": "5000000", "crs": " epsg:32632 "})
    assert position == Position(x=500_000.0, y=5_000_000.0, crs="EPSG:32632")
    assert fields.planar(1.0, 2.0, "Local") == Position(x=1.0, y=2.0, crs="local")
    assert fields.planar(10.0, 50.0, "EPSG:4258") == Position(x=10.0, y=50.0, crs="EPSG:4258")


@pytest.mark.parametrize(
    "crs", ["UTM33N", "EPSG:99999", "beijing", "EPSG:4978", "EPSG:5773", "IAU_2015:30100", "/etc/hosts", "?"]
)
def test_what_is_no_crs_of_positions_on_earth_is_refused(crs: str) -> None:
    with pytest.raises(RefusedError) as refused:
        fields.position({"x": "500000", "y": "5000000", "crs": crs})
    assert refused.value.reason is Reason.BAD_POSITION
    assert crs in refused.value.detail
    assert "EPSG:32632" in refused.value.detail


DHDN = (
    'GEOGCS["DHDN",DATUM["Deutsches_Hauptdreiecksnetz",SPHEROID["Bessel 1841",6377397.155,299.1528128],'
    'TOWGS84[598.1,73.7,418.2,0.202,0.045,-2.455,6.7]],PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433]]'
)


def test_a_prj_with_a_shift_to_wgs_84_is_not_wgs_84() -> None:
    position = fields.planar(9.0, 50.0, DHDN)
    assert position == Position(x=9.0, y=50.0, crs=DHDN)
    latitude, longitude = to_geographic(9.0, 50.0, DHDN)
    assert float(haversine_m(latitude, longitude, 50.0, 9.0)) == pytest.approx(148, abs=5)  # the file's own shift is used


@pytest.mark.parametrize(
    ("prj", "crs"),
    [
        (
            'GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563],TOWGS84[0,0,0,0,0,0,0]],'
            'PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433]]',
            None,
        ),
        (
            'GEOGCS["GCS_ETRS_1989",DATUM["D_ETRS_1989",SPHEROID["GRS_1980",6378137.0,298.257222101]],'
            'PRIMEM["Greenwich",0.0],UNIT["Degree",0.0174532925199433]]',
            "EPSG:4258",
        ),
    ],
)
def test_a_prj_is_read_as_what_it_is(prj: str, crs: str | None) -> None:
    expected = Position(latitude=50.0, longitude=9.0) if crs is None else Position(x=9.0, y=50.0, crs=crs)
    assert fields.planar(9.0, 50.0, prj) == expected


@pytest.mark.parametrize(
    ("x", "y", "crs"),
    [
        (5_400_000, 3_513_000, "EPSG:31467"),
        (52.0, 4.0, "EPSG:4258"),
        (5_500_000, 1_600_000, "EPSG:2193"),
        (7e6, 6e5, "EPSG:2154"),
    ],
)
def test_exchanged_axes_are_refused(x: float, y: float, crs: str) -> None:
    with pytest.raises(RefusedError, match="exchanged") as refused:
        fields.planar(x, y, crs)
    assert refused.value.reason is Reason.BAD_POSITION
    assert fields.planar(y, x, crs) == Position(x=y, y=x, crs=crs)


def test_a_survey_beyond_its_zone_is_not_refused() -> None:
    assert fields.planar(900_000, 500_000, "EPSG:32632") == Position(x=900_000, y=500_000, crs="EPSG:32632")


@pytest.mark.parametrize("crs", ["EPSG:32632", "EPSG:25832", "EPSG:31467"])
def test_degrees_in_place_of_metres_are_refused(crs: str) -> None:
    with pytest.raises(RefusedError, match="degrees"):
        fields.planar(9.1, 48.2, crs)


def test_what_is_no_place_of_its_crs_is_refused() -> None:
    with pytest.raises(RefusedError, match="EPSG:4258"):
        fields.planar(200.0, 95.0, "EPSG:4258")
