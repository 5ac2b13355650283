"""Distances and conversions against known values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvgl.errors import DataError
from cvgl.geo import EARTH_RADIUS_M, check_geographic, haversine_m, planar_m, to_geographic

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
