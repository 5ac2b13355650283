"""Figures in metres do not depend on the CRS that positions come in."""

from __future__ import annotations

import pytest

from cvgl.config import EvaluateConfig
from cvgl.evaluation.evaluate import evaluate
from cvgl.evaluation.retrieval_task import EvaluationRows
from cvgl.geo import ground_distance_m
from cvgl.lake import Lake
from cvgl.retrieval.positions import positions_of
from cvgl.types import Representation
from tests.stages import lakes


@pytest.mark.parametrize(
    ("crs", "origin", "step"),
    [("EPSG:4258", (10.0, 60.0), 0.0027), ("epsg:3857", (0.0, 8_399_738.0), 600.0), ("EPSG:2231", (3e6, 1.7e6), 984.25)],
)
def test_metres_of_an_evaluation_are_metres_on_the_ground(
    lake: Lake, crs: str, origin: tuple[float, float], step: float
) -> None:
    shots = lakes.town()
    for shot in shots:
        place = int(shot.place or "0")
        true = shot.view != "satellite"  # each image was taken one step north of the tile of its place
        at = {"x": origin[0], "y": origin[1] + (3 * place + true) * step, "crs": crs}
        shot.truth, shot.position = (at, None) if true else (None, at)
    metrics = evaluate(lakes.write_town(lake, shots), EvaluateConfig(), lake).metrics
    (summary,) = [m for m in metrics if (m.stage, m.direction) == (Representation.STANDARDISED, "drone_to_satellite")]
    assert summary.recall["1"] > 0.5
    assert summary.median_m == pytest.approx(300, rel=0.01)
    assert summary.within_m["100"] == 0


def test_what_was_measured_in_another_unit_is_measured_again() -> None:
    def lines(crs: str, x: float, y: float) -> int:
        blank = {"image_id": "a", "view": "satellite", "subsets": ["gallery"], "location_id": None, "latitude": None}
        rows = [{**blank, "longitude": None, "x": x, "y": y, "crs": crs}]
        return len(list(EvaluationRows(rows, positions_of(rows), frozenset()).lines()))

    assert [lines("EPSG:4258", 10.0, 60.0), lines("EPSG:2231", 3e6, 1.7e6)] == [2, 2]
    # Figures of these are as right as they were, and need not be made again.
    assert [lines("EPSG:32632", 5e5, 5e6), lines("local", 0.0, 0.0), lines("EPSG:3857", 0.0, 8e6)] == [1, 1, 1]
    assert float(ground_distance_m("EPSG:4258", [10.0, 60.0], [10.0, 60.0027])) == pytest.approx(300.8, abs=0.1)
