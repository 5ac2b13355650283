"""Errors of two sides in metres with intervals, and R@1 beside chance."""

from __future__ import annotations

import numpy as np
import pytest

from cvgl.errors import DataError
from cvgl.retrieval.bootstrap import Units, by_place, resampled_medians, resampled_rates
from cvgl.retrieval.paired import Answered, Draw
from cvgl.retrieval.paired_distance import DistanceDifference, against_chance, distance_difference

QUICK = Draw(resamples=400, seed=0, level=0.95)
ASKED = ("drone_to_satellite", "standard")


def side(errors: np.ndarray, right: np.ndarray | None = None, n_right: int = 1, place: int = 1) -> Answered:
    n = len(errors)
    return Answered(
        tuple(f"q{i}" for i in range(n)),
        tuple(f"p{i // place}" for i in range(n)),
        np.zeros(n, bool) if right is None else right,
        np.asarray(errors, np.float64),
        np.full(n, n_right),
    )


def compared(ours: np.ndarray, theirs: np.ndarray, radius: float = 100.0) -> DistanceDifference:
    comparison = distance_difference({ASKED: side(ours)}, {ASKED: side(theirs)}, {}, QUICK, radius)
    assert comparison is not None
    return comparison


def test_the_figures_are_those_of_the_errors() -> None:
    rng = np.random.default_rng(1)
    theirs = rng.uniform(50, 600, 81)
    comparison = compared(theirs * 1.5, theirs)
    assert (comparison.challenger_m, comparison.incumbent_m) == pytest.approx((1.5 * np.median(theirs), np.median(theirs)))
    assert comparison.growth.value == pytest.approx(np.log(1.5))
    assert comparison.growth.low > 0
    assert (comparison.challenger_within, comparison.incumbent_within) == pytest.approx(
        (np.mean(theirs * 1.5 <= 100), np.mean(theirs <= 100))
    )
    assert (comparison.is_farther, comparison.is_farther_with_confidence, comparison.is_nearer) == (True, True, False)
    back = compared(theirs, theirs * 1.5)
    assert (back.is_farther, back.is_farther_with_confidence, back.is_nearer) == (False, False, True)
    assert back.growth.value == pytest.approx(-comparison.growth.value)


def test_errors_below_half_the_spacing_of_the_map_are_equal() -> None:
    errors = np.linspace(1, 40, 41)
    comparison = compared(errors, errors / 3)
    assert (comparison.growth.value, comparison.within.value, comparison.is_farther, comparison.is_nearer) == (
        0.0,
        0.0,
        False,
        False,
    )


def test_a_few_queries_give_no_confidence() -> None:
    rng = np.random.default_rng(2)
    theirs = rng.uniform(10, 1000, 12)
    comparison = compared(theirs * np.tile([0.5, 2.0], 6), theirs)
    assert comparison.growth.low < 0 < comparison.growth.high
    assert not comparison.is_farther_with_confidence


def test_only_queries_with_an_error_on_both_sides_count() -> None:
    ours, theirs = np.array([10.0, np.nan, 900.0, 10.0]), np.array([10.0, 10.0, np.nan, 300.0])
    assert compared(ours, theirs).n_queries == 2
    assert distance_difference({ASKED: side(ours * np.nan)}, {ASKED: side(theirs)}, {}, QUICK, 100.0) is None
    with pytest.raises(DataError, match="spacing"):
        distance_difference({ASKED: side(ours)}, {ASKED: side(theirs)}, {}, QUICK, 0.0)


def test_queries_taken_in_a_row_are_drawn_in_blocks() -> None:
    errors = np.linspace(100, 1000, 40)
    run = {ASKED[0]: [f"q{i}" for i in range(40)]}
    comparison = distance_difference({ASKED: side(errors)}, {ASKED: side(errors)}, run, QUICK, 100.0)
    assert comparison is not None
    assert comparison.units == "blocks of 5 consecutive images"


@pytest.mark.parametrize(
    ("right", "n_right", "gallery", "is_beaten"),
    [(4, 1, 96, True), (1, 1, 96, False), (0, 1, 96, False), (30, 1, 96, True), (30, 54, 108, False), (1, 1, 1, False)],
)
def test_recall_beside_chance(right: int, n_right: int, gallery: int, is_beaten: bool) -> None:
    answered = {ASKED: side(np.zeros(61), np.arange(61) < right, n_right)}
    comparison = against_chance(answered, {ASKED: gallery}, {}, QUICK)
    assert comparison is not None
    assert (comparison.recall.value, comparison.chance, comparison.is_beaten) == (
        pytest.approx(right / 61),
        pytest.approx(n_right / gallery),
        is_beaten,
    )
    assert comparison.recall.low <= comparison.recall.value <= comparison.recall.high


def test_without_known_places_there_is_no_chance_to_beat() -> None:
    assert against_chance({}, {}, {}, QUICK) is None


def test_medians_are_of_the_same_draws_as_rates() -> None:
    values = np.array([[1.0, 2.0, 3.0, 10.0, np.nan], [np.nan] * 5])
    units = by_place(["a", "a", "b", "c", "d"])
    medians = resampled_medians(values, units, 200, 3)
    rates = resampled_rates(values, units, 200, 3)
    assert np.isnan(medians[1]).all()
    assert set(medians[0][np.isfinite(medians[0])]) <= {1.0, 2.0, 3.0, 10.0}
    only = [i for i in range(200) if medians[0, i] == 10.0 and rates[0, i] == 10.0]
    assert only  # resamples of nothing but the last query have it as their mean and as their median
    whole = resampled_medians(values[:1, :4], Units((np.arange(4),), 1, "all"), 5, 0)
    assert whole.tolist() == [[2.0] * 5]
