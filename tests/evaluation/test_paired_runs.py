"""Comparing two runs of a lake query by query, from what the stage `evaluate` left."""

from __future__ import annotations

import numpy as np
import pyarrow.compute as pc
import pytest

from cvgl.config import EvaluateConfig, RegisterConfig
from cvgl.errors import DataError, LakeError
from cvgl.evaluation.evaluate import evaluate
from cvgl.evaluation.paired_runs import answers, compare, spacing_m
from cvgl.lake import Lake, read_parquet
from cvgl.types import Representation
from tests.stages.lakes import DATASET, RUN, Shot, town, write_adapter, write_town, write_truth

QUICK = RegisterConfig(resamples=300)
OTHER = "town-paper-0123456789cd"


def test_the_figures_are_those_of_the_evaluation_and_the_rows_those_asked(lake: Lake) -> None:
    shots = town(places=12, views=3, noise=0.8)
    adapter = write_town(lake, shots)
    metrics = evaluate(adapter, EvaluateConfig(), lake).metrics
    comparison = compare(lake, DATASET, RUN, None, QUICK)
    for stage, rate in (
        (Representation.ADAPTED, comparison.difference.challenger),
        (Representation.FROZEN, comparison.difference.incumbent),
    ):
        assert rate == pytest.approx(np.mean([figure.recall["1"] for figure in metrics if figure.stage is stage]))
        for figure in metrics:
            if figure.stage is stage:
                right = answers(lake, RUN, stage)[figure.direction, figure.protocol].right
                assert (right.mean(), len(right)) == (pytest.approx(figure.recall["1"]), figure.n_queries)
    assert (comparison.difference.against, comparison.difference.units) == ("frozen", "12 places")
    apart = comparison.distance
    assert apart is not None
    assert apart.radius_m == pytest.approx(111.2, rel=0.01)  # tiles lie a thousandth of a degree of latitude apart
    queries = read_parquet(lake.evaluation(RUN) / "queries.parquet")
    rows = queries.filter(pc.equal(queries["stage"], str(Representation.ADAPTED)))
    assert np.sort(comparison.rows["challenger_m"].to_numpy()) == pytest.approx(np.sort(rows["distance_m"].to_numpy()))
    assert comparison.chance is not None
    assert comparison.chance.recall.value == pytest.approx(comparison.difference.challenger)
    assert comparison.chance.chance == pytest.approx(np.mean([1 / 14, 3 / 36]))
    assert comparison.rows.num_rows == sum(figure.n_queries for figure in metrics if figure.stage is Representation.ADAPTED)
    evaluate(write_adapter(lake, shots, OTHER, iterations=1, seed=1), EvaluateConfig(), lake)
    against = compare(lake, DATASET, OTHER, RUN, QUICK).difference
    assert (against.against, against.incumbent, against.rows) == (
        "champion",
        comparison.difference.challenger,
        comparison.difference.rows,
    )
    assert compare(lake, DATASET, RUN, OTHER, QUICK).difference.interval.value == pytest.approx(-against.interval.value)


def test_a_flight_is_drawn_in_blocks(lake: Lake) -> None:
    shots = town(places=12, views=3)
    for shot in shots:
        shot.sequence = "flight" if shot.view == "drone" else None
    evaluate(write_town(lake, shots), EvaluateConfig(), lake)
    assert compare(lake, DATASET, RUN, None, QUICK).difference.units == "blocks of 4 consecutive images, 12 places"


def test_runs_that_were_evaluated_on_other_places_are_not_compared(lake: Lake) -> None:
    shots = town()
    evaluate(write_town(lake, shots), EvaluateConfig(), lake)
    shots[1] = Shot(**{**vars(shots[1]), "place": "0005"})
    write_truth(lake, shots)
    evaluate(write_adapter(lake, shots, OTHER, seed=1), EvaluateConfig(), lake)
    with pytest.raises(DataError, match="not comparable because"):
        compare(lake, DATASET, OTHER, RUN, QUICK)
    with pytest.raises(LakeError, match="missing"):
        compare(lake, DATASET, OTHER, "nobody", QUICK)


def test_the_spacing_of_a_map_is_the_distance_to_the_nearest_other_place() -> None:
    blank = dict.fromkeys(("latitude", "longitude", "x", "y", "crs"))
    grid = [{**blank, "x": 40.0 * i, "y": 70.0 * j, "crs": "local"} for i in range(6) for j in range(5)]
    assert spacing_m(grid * 2) == pytest.approx(40.0)  # two images of a place lie no way apart
    north = [{**blank, "latitude": 60.0, "longitude": 10 + i / 1000} for i in range(40)]
    assert spacing_m(north) == pytest.approx(55.7, rel=0.01)
    assert spacing_m(grid[:1]) is None
    assert spacing_m([blank, *grid[:1]]) is None
    assert spacing_m([*grid, *north]) is None  # no distance between a local frame and degrees
