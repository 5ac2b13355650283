from __future__ import annotations

import numpy as np
import pytest

from cvgl.errors import DataError
from cvgl.geo import haversine_m
from cvgl.retrieval import positions
from cvgl.retrieval.positions import positions_of


def geographic(latitude: float | None, longitude: float | None) -> dict[str, object]:
    return {"latitude": latitude, "longitude": longitude, "x": None, "y": None, "crs": None}


def planar(x: float, y: float, crs: str | None = "local") -> dict[str, object]:
    return {"latitude": None, "longitude": None, "x": x, "y": y, "crs": crs}


UNKNOWN = geographic(None, None)


def test_degrees_are_measured_on_the_sphere() -> None:
    a, b = positions_of([geographic(52.0, 4.0), UNKNOWN]), positions_of([geographic(52.0, 4.001), geographic(52, 4)])
    distance = a.distance_m(b)
    assert distance[0] == pytest.approx(float(haversine_m(52, 4, 52, 4.001)))
    assert distance[0] == pytest.approx(68.5, abs=0.5)
    assert np.isnan(distance[1])


def test_one_crs_stays_planar() -> None:
    a = positions_of([planar(0, 0, "EPSG:32632"), planar(3, 4, "EPSG:32632")])
    assert a.frame == "EPSG:32632"
    assert a.take([0]).distance_m(a.take([1]))[0] == 5
    assert positions_of([planar(1, 2, None)]).frame == "local"


def test_mixed_frames_meet_in_degrees() -> None:
    pytest.importorskip("pyproj")
    mixed = positions_of([planar(500_000, 5_000_000, "EPSG:32632"), geographic(45.15321, 9.0)])
    assert mixed.frame == "geographic"
    assert mixed.take([0]).distance_m(mixed.take([1]))[0] < 30
    # A metre of web Mercator at 60 degrees north is half a metre on the ground.
    mercator = positions_of([planar(0, 8_399_738, "EPSG:3857"), planar(1000, 8_399_738, "EPSG:3857")])
    assert mercator.take([0]).distance_m(mercator.take([1]))[0] == pytest.approx(500, rel=0.01)


def test_a_local_frame_and_degrees_have_no_distance() -> None:
    with pytest.raises(DataError, match="local metric frame"):
        positions_of([planar(0, 0), geographic(45, 9)])


def test_rows_with_both_use_what_all_have() -> None:
    both = {**planar(0, 0), "latitude": 45.0, "longitude": 9.0}
    assert positions_of([both, planar(3, 4)]).frame == "local"
    assert positions_of([both, geographic(45, 9)]).frame == "geographic"


@pytest.mark.parametrize("block", [1, 7, 2_000_000])
def test_nearest_is_the_first_of_the_nearest_known(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(positions, "_BLOCK_PAIRS", block)
    rows = [planar(0, 0), planar(9, 0), UNKNOWN, planar(5, 0)]
    references = [UNKNOWN, planar(10, 0), planar(0, 1), planar(0, -1)]
    everything = positions_of(rows + references)
    assert everything.take([0, 1, 2, 3]).nearest(everything.take([4, 5, 6, 7])).tolist() == [2, 1, -1, 1]
    assert everything.take([0]).nearest(everything.take([4])).tolist() == [-1]
    assert positions_of([]).nearest(positions_of([])).tolist() == []
