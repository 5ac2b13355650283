"""The paired bootstrap that the gate goes by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from cvgl.errors import DataError
from cvgl.retrieval.bootstrap import Interval
from cvgl.retrieval.paired import Answered, Asked, Difference, Draw, difference

DRAW = Draw(resamples=2000, seed=0, level=0.95)
THERE, BACK = ("drone_to_satellite", "open-set"), ("satellite_to_drone", "open-set")


def side(right: Sequence[bool] | np.ndarray, views: int = 1, prefix: str = "") -> Answered:
    """Query i shows place i // views."""
    ids = tuple(f"{prefix}{number:05d}" for number in range(len(right)))
    return Answered(ids, tuple(f"place {number // views}" for number in range(len(right))), np.asarray(right, bool))


def compared(
    ours: Answered, theirs: Answered, runs: dict[str, list[str]] | None = None, requests: Asked = THERE, draw: Draw = DRAW
) -> Difference:
    return difference({requests: ours}, {requests: theirs}, runs or {}, draw)


def test_the_interval_is_that_of_mcnemars_discordant_pairs() -> None:
    ours, theirs = np.zeros(400, bool), np.zeros(400, bool)
    ours[:240], theirs[40:260] = True, True  # 40 gained, 20 lost, of 400
    comparison = compared(side(ours), side(theirs))
    expected = 1.96 * np.sqrt((60 - 20**2 / 400) / 400**2)
    assert (comparison.challenger, comparison.incumbent, comparison.interval.value) == pytest.approx((0.6, 0.55, 0.05))
    assert comparison.interval.value - comparison.interval.low == pytest.approx(expected, rel=0.1)
    assert comparison.interval.high - comparison.interval.value == pytest.approx(expected, rel=0.1)
    assert (comparison.passes_margin(0.0), comparison.units, comparison.n_queries) == (True, "400 places", 400)


def test_images_of_a_place_are_drawn_together() -> None:
    rng = np.random.default_rng(0)
    won, lost = np.repeat(rng.random(50) < 0.3, 8), np.repeat(rng.random(50) < 0.3, 8)
    alone, together = (compared(side(won, views), side(lost, views)).interval for views in (1, 8))
    assert together.value == alone.value
    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_a_place_is_drawn_with_its_queries_of_both_directions() -> None:
    """What is won and lost in both directions at once counts once, not twice."""
    rng = np.random.default_rng(1)
    won, lost = rng.random(300) < 0.5, rng.random(300) < 0.5
    drawn_together = compared(side(won), side(lost)).interval
    both = difference(
        {THERE: side(won), BACK: side(won, prefix="s")}, {THERE: side(lost), BACK: side(lost, prefix="s")}, {}, DRAW
    ).interval
    assert (both.low, both.high) == pytest.approx((drawn_together.low, drawn_together.high), abs=1e-12)


def test_images_taken_in_a_row_are_drawn_in_blocks() -> None:
    won = np.repeat(np.random.default_rng(2).random(20) < 0.5, 25)
    ours, theirs = side(won), side(np.zeros(500, bool))
    in_a_row = compared(ours, theirs, {THERE[0]: list(ours.image_ids)})
    alone = compared(ours, theirs)
    assert in_a_row.units == "blocks of 25 consecutive images"
    width, narrow = (comparison.interval.high - comparison.interval.low for comparison in (in_a_row, alone))
    assert width > 2.5 * narrow
    mixed = difference({THERE: ours, BACK: ours}, {THERE: theirs, BACK: theirs}, {THERE[0]: list(ours.image_ids)}, DRAW)
    assert (mixed.interval.high - mixed.interval.low) == pytest.approx((width + narrow) / 2, rel=1e-6)  # errs together


def test_the_same_answers_give_no_interval_and_the_same_call_the_same_figures() -> None:
    rng = np.random.default_rng(3)
    ours = side(rng.random(100) < 0.5)
    same = compared(ours, ours)
    assert same.interval == Interval(value=0.0, low=0.0, high=0.0)
    assert (same.passes_margin(0.0), same.passes_margin(0.01)) == (False, True)
    other = side(rng.random(100) < 0.5)
    assert compared(ours, other) == compared(ours, other)
    assert compared(ours, other) != compared(ours, other, draw=Draw(2000, 1, 0.95))
    narrow, wide = (compared(ours, other, draw=Draw(2000, 0, level)).interval for level in (0.5, 0.99))
    assert narrow.high - narrow.low < wide.high - wide.low


def test_a_challenger_of_equal_worth_clears_zero_as_often_as_the_level_says() -> None:
    rng, cleared = np.random.default_rng(4), 0
    for _ in range(120):
        ours, theirs = (side(rng.random(100) < 0.5) for _ in range(2))
        cleared += compared(ours, theirs, draw=Draw(200, 0, 0.95)).passes_margin(0.0)
    assert 1 <= cleared <= 9  # 2.5 % of 120 are 3


@pytest.mark.parametrize(
    ("theirs", "expected_reason"),
    [
        (side([True] * 5), "2 queries were put to one of them only"),
        (Answered(side([True] * 7).image_ids, ("elsewhere",) * 7, np.ones(7, bool)), "asked for different places"),
        (None, "only one of them was asked drone_to_satellite under open-set"),
    ],
)
def test_other_questions_are_not_compared(theirs: Answered | None, expected_reason: str) -> None:
    with pytest.raises(DataError, match=f"not comparable because .*{expected_reason}"):
        difference({THERE: side([True] * 7)}, {} if theirs is None else {THERE: theirs}, {}, DRAW)
    with pytest.raises(DataError, match="neither has answered"):
        difference({}, {}, {}, DRAW)
