"""Distances and conversions against known values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvgl.errors import DataError
from cvgl.geo import EARTH_RADIUS_M, check_geographic, haversine_m, planar_m, to_geographic, to_local_m

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
