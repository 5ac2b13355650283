from __future__ import annotations

import numpy as np
import pytest

from cvgl.errors import DataError
from cvgl.retrieval import positions
from cvgl.retrieval.positions import positions_of


def geographic(latitude: float | None, longitude: float | None) -> dict[str, object]:
    return {"latitude": latitude, "longitude": longitude, "x": None, "y": None, "crs": None}


def planar(x: float, y: float, crs: str | None = "local") -> dict[str, object]:
    return {"latitude": None, "longitude": None, "x": x, "y": y, "crs": crs}


UNKNOWN = geographic(None, None)


def test_degrees_are_measured_on_the_ellipsoid() -> None:
    a, b = positions_of([geographic(52.0, 4.0), UNKNOWN]), positions_of([geographic(52.0, 4.001), geographic(52, 4)])
    distance = a.distance_m(b)
    assert distance[0] == pytest.approx(68.678, abs=1e-3)
    assert np.isnan(distance[1])


def test_one_crs_stays_planar() -> None:
    a = positions_of([planar(500_000, 5e6, "EPSG:32632"), planar(500_003, 5e6 + 4, "EPSG:32632")])
    assert a.frame == "EPSG:32632"
    assert a.take([0]).distance_m(a.take([1]))[0] == pytest.approx(5 / 0.9996, rel=1e-6)  # the scale at zone 32's meridian
    assert positions_of([planar(1, 2, None)]).frame == "local"


@pytest.mark.parametrize(
    ("crs", "first", "second", "metres"),
    [
        ("EPSG:4258", (10.0, 60.0), (10.0, 60.0027), 300.83),
        ("EPSG:4269", (-105.0, 40.0), (-105.0, 40.0027), 299.82),
        ("epsg:3857", (0, 8_399_738), (40, 8_399_738), 20.05),
        ("EPSG:3395", (0, 8_362_698.5), (40, 8_362_698.5), 20.05),
        ("EPSG:2231", (3e6, 1.7e6), (3e6 + 3280.8333, 1.7e6), 999.89),
        ("EPSG:4807", (0.0, 50.0), (0.0, 50.01), 1000.19),  # grads, from Paris
        ("EPSG:7415", (155_000, 463_000), (156_000, 463_000), 1000.09),  # with heights
    ],
)
def test_distances_are_metres_on_the_ground_in_every_crs(
    crs: str, first: tuple[float, float], second: tuple[float, float], metres: float
) -> None:
    both = positions_of([planar(*first, crs), planar(*second, crs)])
    assert both.take([0]).distance_m(both.take([1]))[0] == pytest.approx(metres, rel=1e-4)
    east_north = both.local_m()
    assert np.hypot(*(east_north[1] - east_north[0])) == pytest.approx(metres, rel=0.007)


def test_a_web_mercator_of_esri_is_measured_on_the_ground() -> None:
    prj = (
        'PROJCS["WGS_1984_Web_Mercator_Auxiliary_Sphere",GEOGCS["GCS_WGS_1984",DATUM["D_WGS_1984",'
        'SPHEROID["WGS_1984",6378137.0,298.257223563]],PRIMEM["Greenwich",0.0],UNIT["Degree",0.0174532925199433]],'
        'PROJECTION["Mercator_Auxiliary_Sphere"],PARAMETER["False_Easting",0.0],PARAMETER["False_Northing",0.0],'
        'PARAMETER["Central_Meridian",0.0],PARAMETER["Standard_Parallel_1",0.0],PARAMETER["Auxiliary_Sphere_Type",0.0],'
        'UNIT["Meter",1.0]]'
    )
    both = positions_of([planar(0, 8_399_738, prj), planar(40, 8_399_738, "EPSG:3857")])  # old rows and new ones
    assert both.take([0]).distance_m(both.take([1]))[0] == pytest.approx(20.05, rel=1e-3)


def test_a_crs_true_to_scale_is_walked_in_as_it_is() -> None:
    # What trajectories are digested from: names of runs of older lakes stay.
    rows = [planar(500_000 + east, 5e6, "EPSG:32632") for east in (0, 100, 300)]
    assert positions_of(rows).local_m().tolist() == [[row["x"], row["y"]] for row in rows]
    feet = positions_of([planar(3e6 + east, 1.7e6, "EPSG:2231") for east in (0, 100, 300)]).local_m()
    assert np.diff(feet[:, 0]) == pytest.approx([30.477, 60.954], rel=1e-3)
    assert np.isnan(positions_of([planar(3e6, 1.7e6, "EPSG:2231"), UNKNOWN]).local_m()[1]).all()


def test_names_of_one_crs_are_one_frame() -> None:
    both = positions_of([planar(5e5, 5e6, "epsg:32632"), planar(5e5, 5e6, "+proj=utm +zone=32 +datum=WGS84")])
    assert both.frame == "EPSG:32632"


def test_a_datum_without_a_known_shift_has_distances_and_meets_no_other_frame() -> None:
    hangzhou = [planar(519_000, 3_348_000, "EPSG:2437"), planar(519_100, 3_348_000, "EPSG:2437")]
    alone = positions_of(hangzhou)
    assert alone.take([0]).distance_m(alone.take([1]))[0] == pytest.approx(100, rel=1e-3)
    with pytest.raises(DataError, match="no shift from the datum"):
        positions_of([*hangzhou, geographic(30.25, 120.2)])


def test_a_crs_of_an_older_lake_that_is_none_is_named() -> None:
    with pytest.raises(DataError) as error:
        positions_of([planar(5e5, 5e6, "UTM33N")])
    assert "UTM33N" in error.value.what
    assert "ingest" in error.value.fix


def test_positions_that_are_no_place_of_their_crs_count_as_unknown(caplog: pytest.LogCaptureFixture) -> None:
    both = positions_of([planar(10, 50, "EPSG:4258"), planar(10, 95, "EPSG:4258")])
    assert both.known.tolist() == [True, False]
    assert "1 positions in EPSG:4258" in caplog.text


def test_nearest_is_nearest_on_the_ground() -> None:
    # At 60 degrees north a degree of longitude is half a degree of latitude.
    rows = [planar(10, 60, "EPSG:4258"), planar(10, 60.0008, "EPSG:4258"), planar(10.0012, 60, "EPSG:4258")]
    at = positions_of(rows)
    assert at.take([0]).nearest(at.take([1, 2])).tolist() == [1]
    across = positions_of([geographic(0, 179.999), geographic(0, -179.999), geographic(0, 179.99)])
    assert across.take([0]).nearest(across.take([1, 2])).tolist() == [0]


@pytest.mark.parametrize("frame", ["geographic", "EPSG:25832", "EPSG:3857"])
def test_nearest_agrees_with_distances(frame: str) -> None:
    rng = np.random.default_rng(3)
    low, high = {"geographic": ([50, 5], [55, 12])}.get(frame, ([4e5, 5.5e6], [6e5, 5.8e6]))
    queries, references = (positions.Positions(frame, rng.uniform(low, high, (n, 2))) for n in (40, 70))
    distances = np.stack([queries.distance_m(references.take([row] * 40)) for row in range(70)], axis=1)
    assert queries.nearest(references).tolist() == distances.argmin(axis=1).tolist()


def test_mixed_frames_meet_in_degrees() -> None:
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
    monkeypatch.setattr("cvgl.geo.distances._BLOCK_PAIRS", block)
    rows = [planar(0, 0), planar(9, 0), UNKNOWN, planar(5, 0)]
    references = [UNKNOWN, planar(10, 0), planar(0, 1), planar(0, -1)]
    everything = positions_of(rows + references)
    assert everything.take([0, 1, 2, 3]).nearest(everything.take([4, 5, 6, 7])).tolist() == [2, 1, -1, 1]
    assert everything.take([0]).nearest(everything.take([4])).tolist() == [-1]
    assert positions_of([]).nearest(positions_of([])).tolist() == []
