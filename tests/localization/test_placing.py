from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from cvgl.errors import DataError
from cvgl.localization import Placement, Position, Reference, ReferenceIndex, locate, to_geojson


def index(n: int = 3, **position: object) -> ReferenceIndex:
    references = tuple(
        Reference(
            f"r{i}", f"/map/{i}.png", Position(latitude=50.0 + i, longitude=4.0 + i) if not position else Position(**position)
        )
        for i in range(n)
    )
    return ReferenceIndex(references, np.eye(n, 4, dtype=np.float32))


def test_the_best_reference_says_where() -> None:
    queries = np.array([[0, 0.8, 0.6, 0], [1, 0, 0, 0]], np.float32)
    first, second = locate(["a.jpg", "b.jpg"], queries, index(), top_k=2, adapter="run-1")
    assert (first.picture, first.latitude, first.longitude) == ("a.jpg", 51, 5)
    assert first.score == pytest.approx(0.8)
    assert first.margin == pytest.approx(0.2)
    assert [(a.image_id, a.uri, a.latitude) for a in first.top_k] == [("r1", "/map/1.png", 51), ("r2", "/map/2.png", 52)]
    assert first.placed
    assert first.adapter == "run-1"
    assert second.top_k[0].image_id == "r0"


def test_one_answer_still_has_a_margin_and_one_reference_has_none() -> None:
    query = np.array([[0.6, 0.8, 0, 0]], np.float32)
    (placement,) = locate(["a"], query, index(), top_k=1)
    assert len(placement.top_k) == 1
    assert placement.margin == pytest.approx(0.2)
    (placement,) = locate(["a"], query, index(1), top_k=50)
    assert placement.margin is None
    assert len(placement.top_k) == 1


def test_no_images_is_no_answer_and_no_map_is_an_error() -> None:
    assert locate([], np.zeros((0, 4), np.float32), index()) == []
    with pytest.raises(DataError, match="no references"):
        locate(["a"], np.ones((1, 4), np.float32), ReferenceIndex((), np.zeros((0, 4), np.float32)))
    with pytest.raises(DataError, match="2 images have 1"):
        locate(["a", "b"], np.ones((1, 4), np.float32), index())
    with pytest.raises(DataError, match="3 references have 2"):
        ReferenceIndex(index().references, np.eye(2, 4, dtype=np.float32))


def test_geojson_has_longitude_first_and_says_what_has_no_place() -> None:
    placed = locate(["a"], np.array([[0, 1, 0, 0]], np.float32), index())
    local = locate(["b"], np.array([[0, 1, 0, 0]], np.float32), index(x=3.0, y=4.0, crs="local"))
    bad = [Placement(picture="c", problem="not an image")]
    collection = json.loads(json.dumps(to_geojson([*placed, *local, *bad])))
    assert collection["type"] == "FeatureCollection"
    points = [feature["geometry"] for feature in collection["features"]]
    assert points == [{"type": "Point", "coordinates": [5, 51]}, None, None]
    assert collection["features"][1]["properties"]["x"] == 3
    assert collection["features"][2]["properties"]["problem"] == "not an image"


def test_geojson_converts_a_projected_position() -> None:
    placed = locate(["a"], np.array([[0, 1, 0, 0]], np.float32), index(x=500_000.0, y=5_000_000.0, crs="EPSG:32632"))
    longitude, latitude = to_geojson(placed)["features"][0]["geometry"]["coordinates"]
    assert longitude == pytest.approx(9.0)
    assert latitude == pytest.approx(45.15, abs=0.01)


@pytest.mark.parametrize(
    ("at", "reason"),
    [
        ({"x": 519_000.0, "y": 3_348_000.0, "crs": "EPSG:2437"}, "no shift from the datum"),
        ({"x": 5e5, "y": 5e6, "crs": "UTM33N"}, "not a coordinate reference system"),
        ({"x": 10.0, "y": 95.0, "crs": "EPSG:4258"}, "no place of EPSG:4258"),
    ],
)
def test_an_answer_without_latitude_and_longitude_says_why(at: dict[str, Any], reason: str) -> None:
    placed = locate(["a"], np.array([[0, 1, 0, 0]], np.float32), index(**at))
    assert (placed[0].placed, placed[0].x, placed[0].y) == (True, at["x"], at["y"])
    (feature,) = to_geojson(placed)["features"]
    assert feature["geometry"] is None
    assert reason in feature["properties"]["geometry_problem"]
    assert feature["properties"]["crs"] == at["crs"]


def test_a_local_answer_needs_no_reason() -> None:
    placed = locate(["a"], np.array([[0, 1, 0, 0]], np.float32), index(x=1.0, y=2.0, crs="local"))
    assert "geometry_problem" not in to_geojson(placed)["features"][0]["properties"]


def test_a_placement_survives_json() -> None:
    (placement,) = locate(["a"], np.array([[0, 1, 0, 0]], np.float32), index())
    assert Placement.model_validate_json(placement.model_dump_json()) == placement
