from __future__ import annotations

import numpy as np
import pytest

from cvgl.retrieval.bootstrap import BLOCK, by_blocks, by_place, interval, resampled_rates


def width(values: np.ndarray, units_of: object) -> float:
    rates = resampled_rates(values[None].astype(float), units_of)[0]  # type: ignore[arg-type] # Units
    bounds = interval(float(values.mean()), rates)
    return bounds.high - bounds.low


def test_intervals_of_independent_queries_are_those_of_a_proportion() -> None:
    hits = np.arange(400) % 4 == 0
    bounds = interval(0.25, resampled_rates(hits[None].astype(float), by_place(range(400)))[0])
    expected = 1.96 * np.sqrt(0.25 * 0.75 / 400)
    assert bounds.value - bounds.low == pytest.approx(expected, rel=0.15)
    assert bounds.high - bounds.value == pytest.approx(expected, rel=0.15)


def test_what_is_common_to_two_configurations_cancels_in_their_difference() -> None:
    rng = np.random.default_rng(0)
    hits = (rng.random(200) < 0.5).astype(float)
    better = hits.copy()
    better[np.flatnonzero(hits == 0)[:10]] = 1
    rates = resampled_rates(np.stack([hits, better]), by_place(range(200)))
    gain = interval(float(better.mean() - hits.mean()), rates[1] - rates[0])
    alone = interval(float(hits.mean()), rates[0])
    assert gain.above_zero
    assert gain.high - gain.low < (alone.high - alone.low) / 2


def test_images_that_err_together_are_drawn_together() -> None:
    hits = np.repeat(np.arange(40) % 2, 25).astype(bool)  # 1000 images, 40 stretches or places
    alone = width(hits, by_place(range(1000)))
    blocks = by_blocks(np.arange(1000))
    assert blocks.name == f"blocks of {BLOCK} consecutive images"
    assert width(hits, blocks) > 2 * alone
    assert width(hits, by_place(np.repeat(np.arange(40), 25).tolist())) > 3 * alone


def test_blocks_follow_the_order_taken_and_weigh_every_image_alike() -> None:
    order = np.random.default_rng(0).permutation(400)
    units = by_blocks(order)
    assert [rows.tolist() for rows in units.rows[:2]] == [order[:25].tolist(), order[1:26].tolist()]
    assert units.rows[-1].tolist() == [order[-1], *order[:24].tolist()]
    assert (np.bincount(np.concatenate(units.rows)) == 25).all()
    assert units.drawn == 16


@pytest.mark.parametrize(("n", "length"), [(1, 1), (7, 1), (80, 10), (5000, 25)])
def test_short_runs_have_shorter_blocks(n: int, length: int) -> None:
    units = by_blocks(np.arange(n))
    assert len(units.rows[0]) == length
    assert units.drawn * length >= n


def test_what_does_not_count_is_left_out_of_the_rate() -> None:
    values = np.array([[1.0, np.nan, 1.0, np.nan], [0.0, 1.0, 0.0, 1.0]])
    rates = resampled_rates(values, by_place("abcd"), resamples=200)
    finite = np.isfinite(rates[0])
    assert 0 < (~finite).sum() < 50  # only unknown queries were drawn: 1 in 16
    assert (rates[0, finite] == 1).all()
    assert np.isfinite(rates[1]).all()


def test_draws_are_the_same_each_time_and_an_extreme_rate_lies_in_its_interval() -> None:
    values = np.ones((1, 30))
    units = by_place(range(30))
    np.testing.assert_array_equal(resampled_rates(values, units), resampled_rates(values, units))
    bounds = interval(1.0, resampled_rates(values, units)[0])
    assert (bounds.low, bounds.value, bounds.high) == (1, 1, 1)
    assert not interval(0.0, np.zeros(0)).above_zero
    assert not interval(0.0, np.full(9, -1e-17)).below_zero  # 0.6 - 0.4 - 0.2
