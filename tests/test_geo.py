"""Distances and conversions against known values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvgl.errors import DataError
from cvgl.geo import (
    EARTH_RADIUS_M,
    canonical_crs,
    check_geographic,
    ground_distance_m,
    haversine_m,
    is_wgs84,
    missing_grids,
    planar_m,
    same_crs,
    to_geographic,
    to_local_m,
    to_wgs84,
)

latitudes = st.floats(-90, 90)
longitudes = st.floats(-180, 180)


def test_known_distances() -> None:
    degree = np.pi * EARTH_RADIUS_M / 180
    assert haversine_m(0, 0, 0, 1) == pytest.approx(degree)
    assert haversine_m(60, 10, 60, 11) == pytest.approx(degree / 2, rel=1e-3)
    assert haversine_m(0, 0, 0, 180) == pytest.approx(np.pi * EARTH_RADIUS_M)
    assert haversine_m(10, 179.9, 10, -179.9) == pytest.approx(haversine_m(10, 0, 10, 0.2))  # over the date line
    assert planar_m(1, 2, 4, 6) == 5


@given(latitudes, longitudes, latitudes, longitudes)
def test_distance_is_symmetric_and_bounded(a: float, b: float, c: float, d: float) -> None:
    there, back = haversine_m(a, b, c, d), haversine_m(c, d, a, b)
    assert there == pytest.approx(back)
    assert 0 <= there <= np.pi * EARTH_RADIUS_M * (1 + 1e-12)
    assert haversine_m(a, b, a, b) == 0


def test_broadcasts_and_keeps_missing_positions_missing() -> None:
    distance = haversine_m([[0.0], [np.nan]], 0, [0, 1, 2], 0)
    assert distance.shape == (2, 3)
    assert np.isnan(distance[1]).all()


@pytest.mark.parametrize("latitude", [-60.0, -33.0, 0.0, 52.0, 60.0])
@pytest.mark.parametrize("longitude", [0.0, 4.3, 179.99, -179.99])
def test_positions_of_an_area_keep_their_distances_in_metres(latitude: float, longitude: float) -> None:
    rng = np.random.default_rng(0)
    lat = latitude + rng.uniform(-0.045, 0.045, 30)
    lon = longitude + rng.uniform(-0.045, 0.045, 30) / np.cos(np.radians(latitude))
    lon = (lon + 180) % 360 - 180  # some lie across the date line
    local = to_local_m(lat, lon)
    assert local.shape == (30, 2)
    assert np.allclose(local.mean(axis=0), 0, atol=10)
    flat = planar_m(local[:, None, 0], local[:, None, 1], local[None, :, 0], local[None, :, 1])
    true = haversine_m(lat[:, None], lon[:, None], lat[None], lon[None])
    apart = true > 1
    assert np.abs(flat[apart] / true[apart] - 1).max() < 1.5e-3


def test_local_positions_are_east_and_north() -> None:
    degree = np.pi * EARTH_RADIUS_M / 180
    local = to_local_m([50.0, 50.0, 50.01], [4.0, 4.01, 4.0])
    assert local[1, 0] - local[0, 0] == pytest.approx(0.01 * degree * np.cos(np.radians(50)), rel=1e-3)
    assert local[1, 1] - local[0, 1] == pytest.approx(0, abs=1e-6)
    assert local[2, 1] - local[0, 1] == pytest.approx(0.01 * degree)
    assert local[2, 0] - local[0, 0] == pytest.approx(0, abs=1e-6)
    assert np.allclose(to_local_m([50.0], [4.0]), 0)


def test_projected_positions_become_geographic() -> None:
    latitude, longitude = to_geographic([500_000.0], [0.0], "EPSG:32632")  # the equator on the central meridian of zone 32
    assert latitude[0] == pytest.approx(0, abs=1e-9)
    assert longitude[0] == pytest.approx(9)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("local", "local"),
        ("EPSG:32632", "EPSG:32632"),
        ("epsg:3857", "EPSG:3857"),
        ("32632", "EPSG:32632"),
        ("+init=epsg:32632", "EPSG:32632"),
        ("urn:ogc:def:crs:EPSG::3035", "EPSG:3035"),
        ("OGC:CRS84", "EPSG:4326"),
        ("ETRS89 / UTM zone 32N", "EPSG:25832"),
        ("ESRI:102100", "EPSG:3857"),
        ("+proj=utm +zone=33 +datum=WGS84", "EPSG:32633"),
        ("+proj=utm +zone=33 +ellps=bessel", "+proj=utm +zone=33 +ellps=bessel"),  # of no known datum
    ],
)
def test_a_crs_is_stored_under_one_name(text: str, name: str) -> None:
    assert canonical_crs(text) == name
    assert canonical_crs(canonical_crs(text)) == name


@pytest.mark.parametrize("code", [31467, 3035, 2180, 3857, 25832, 4258])
def test_the_prj_of_a_code_is_the_code(code: int) -> None:
    import pyproj

    # ESRI's begins with east where the code itself begins with north.
    assert canonical_crs(pyproj.CRS.from_epsg(code).to_wkt("WKT1_ESRI")) == f"EPSG:{code}"


@pytest.mark.parametrize(
    "text",
    [
        *("UTM33N", "EPSG:99999", "", "beijing", "EPSG:4978", "EPSG:5773", "IAU_2015:30100", "+init=/etc/hosts:1"),
        "x" * 100_000,
        'LOCAL_CS["site",UNIT["metre",1]]',
    ],
)
def test_what_horizontal_positions_on_earth_cannot_be_in_is_refused(text: str) -> None:
    with pytest.raises(DataError) as error:
        canonical_crs(text)
    assert error.value.fix
    assert len(error.value.what) < 250


def test_which_texts_are_wgs_84_in_degrees() -> None:
    assert all(map(is_wgs84, ["EPSG:4326", "wgs84", "CRS84", "+proj=longlat +datum=WGS84"]))
    assert not any(
        map(is_wgs84, ["local", "EPSG:4258", "EPSG:3857", "+proj=longlat +ellps=bessel +towgs84=598,74,418,0,0,0,0"])
    )
    assert same_crs("epsg:32632", "EPSG:32632")
    assert not same_crs("UTM32N", "EPSG:32632")


@pytest.mark.parametrize(
    ("crs", "first", "second", "metres"),
    [
        ("local", (0, 0), (3, 4), 5),
        ("geographic", (60, 10), (60, 10.01), 557.98),
        ("EPSG:4258", (10, 60), (10.01, 60), 557.98),
        ("EPSG:2231", (3e6, 1.7e6), (3e6 + 328.0833, 1.7e6), 99.99),
        ("EPSG:4807", (2.0, 50.0), (2.0, 50.1), 10_001.9),
        ("+proj=ob_tran +o_proj=longlat +o_lon_p=0 +o_lat_p=40 +lon_0=10 +datum=WGS84", (0, 0), (0, 1), 111_197),
    ],
)
def test_ground_distance(crs: str, first: tuple[float, float], second: tuple[float, float], metres: float) -> None:
    assert ground_distance_m(crs, first, second) == pytest.approx(metres, rel=1e-3)


def test_ground_distance_broadcasts_and_keeps_missing_positions_missing() -> None:
    a, b = np.array([[[10.0, 60.0]], [[np.nan, 60.0]]]), np.array([[[10.0, 60.0], [10.0, 61.0], [10.0, 95.0]]])
    distance = ground_distance_m("EPSG:4258", a, b)
    assert distance.shape == (2, 3)
    assert distance[0, :2] == pytest.approx([0, 111_420], rel=1e-3)
    assert np.isnan(distance[0, 2])  # no place of it
    assert np.isnan(distance[1]).all()


def test_a_shift_of_datum_that_is_not_known_is_an_error_and_not_left_out() -> None:
    hangzhou = (519_000.0, 3_348_000.0)
    with pytest.raises(DataError, match="Beijing 1954") as error:
        to_geographic(*hangzhou, "EPSG:2437")
    assert "WGS 84" in error.value.fix
    both = to_wgs84([hangzhou[0], 519_000.0], [hangzhou[1], 3_700_000.0], "EPSG:2437")
    assert both.without_shift.tolist() == [True, False]  # one of the datum's areas has a shift
    assert np.isnan(both.latitude).tolist() == [True, False]
    assert both.accuracy_m[1] == 15


@pytest.mark.parametrize(
    ("crs", "x", "y"),
    [("EPSG:4490", 120.0, 30.0), ("EPSG:9474", 40.0, 55.0), ("EPSG:9000", 10.0, 50.0), ("EPSG:6322", -157.0, 21.0)],
)
def test_datums_of_the_same_system_need_no_shift(crs: str, x: float, y: float) -> None:
    # China 2000 and PZ-90.02: PROJ knows no way to WGS 84, or fails to list them, and there is none to go.
    there = to_wgs84(x, y, crs)
    assert [float(there.latitude), float(there.longitude)] == pytest.approx([y, x], abs=3e-5)
    assert there.accuracy_m <= 4


@pytest.mark.parametrize("crs", ["EPSG:6983", "EPSG:10175", "+proj=utm +zone=32 +ellps=GRS80", "+proj=longlat +ellps=bessel"])
def test_datums_that_say_too_little_are_not_taken_for_wgs_84(crs: str) -> None:
    # The Israeli IG05 lies 78 m from WGS 84 on the same ellipsoid: an ellipsoid is no datum.
    assert to_wgs84(35.0, 32.0, crs).without_shift


@pytest.mark.parametrize(
    ("crs", "x", "y", "accuracy"),
    [("EPSG:27700", 530_000, 180_000, 2), ("EPSG:31467", 3_513_000, 5_400_000, 3), ("EPSG:32632", 5e5, 5e6, 0)],
)
def test_how_right_latitude_and_longitude_are(crs: str, x: float, y: float, accuracy: float) -> None:
    assert to_wgs84(x, y, crs).accuracy_m == accuracy


def test_grids_that_would_be_better_are_named() -> None:
    assert missing_grids("EPSG:27700") == ("uk_os_OSTN15_NTv2_OSGBtoETRS.tif",)
    assert missing_grids("EPSG:32632") == ()


def test_other_meridians_and_units_become_degrees_of_greenwich() -> None:
    latitude, longitude = to_geographic(600_000.0, 2_428_000.0, "EPSG:27572")  # grads from Paris
    assert latitude == pytest.approx(48.8503, abs=1e-3)
    assert longitude == pytest.approx(2.3365, abs=1e-3)


@pytest.mark.parametrize("crs", ["local", "EPSG:nonsense"])
def test_frames_without_a_place_on_earth_are_refused(crs: str) -> None:
    with pytest.raises(DataError):
        to_geographic([0.0], [0.0], crs)


@pytest.mark.parametrize(
    ("latitude", "longitude", "complaint"),
    [(0, 0, None), (90, -180, None), (90.1, 0, "latitude"), (0, 181, "longitude"), (float("nan"), 0, "not a number")],
)
def test_positions_are_checked(latitude: float, longitude: float, complaint: str | None) -> None:
    answer = check_geographic(latitude, longitude)
    assert answer is None if complaint is None else complaint in (answer or "")
