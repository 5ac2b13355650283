"""Two samples of descriptors: one distribution, or how far apart they are."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from cvgl.arrival.drift import drift
from cvgl.config import DecideConfig
from cvgl.errors import DataError

POLICY = DecideConfig()


def sample(n: int, shift: float = 0.0, scale: float = 1.0, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return ((rng.normal(size=(n, 16)) + shift) * scale).astype(np.float32)


def test_samples_of_one_distribution_do_not_differ() -> None:
    measured = drift(sample(200, seed=1), sample(300, seed=2), POLICY)
    assert measured.p_value > 0.05
    assert measured.effect < 0.005
    assert (measured.n_new, measured.n_known, measured.permuted) == (200, 300, "pictures")


def test_the_p_value_is_uniform_where_nothing_differs() -> None:
    policy = DecideConfig(permutations=99, significance=0.05)
    values = [drift(sample(20, seed=2 * k), sample(30, seed=2 * k + 1), policy).p_value for k in range(200)]
    assert 0.01 <= np.mean(np.array(values) <= 0.05) <= 0.1
    assert 0.4 <= np.mean(values) <= 0.6


def test_the_effect_grows_with_the_shift_and_not_with_the_scale_or_the_sample() -> None:
    effects = [drift(sample(200, shift, seed=1), sample(200, seed=2), POLICY).effect for shift in (0.2, 0.5, 1.0, 10.0)]
    assert effects == sorted(effects)
    assert effects[-1] > 0.8
    scaled = drift(sample(200, 0.5, 1000.0, seed=1), sample(200, scale=1000.0, seed=2), POLICY)
    assert scaled.effect == pytest.approx(effects[1], rel=1e-3)
    smaller = drift(sample(60, 0.5, seed=1), sample(60, seed=2), POLICY)
    assert smaller.effect == pytest.approx(effects[1], rel=0.3)
    assert smaller.p_value <= 0.01


def test_a_change_of_spread_alone_is_seen() -> None:
    assert drift(sample(200, scale=1.5, seed=1), sample(200, seed=2), POLICY).p_value <= 0.01


def test_one_flight_is_not_taken_for_another_world() -> None:
    """Images of a run resemble each other, so runs are permuted, and the test keeps its level."""
    policy = DecideConfig(permutations=199, significance=0.05)
    with_runs, without = 0, 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        offsets = np.repeat(rng.normal(size=(12, 16)), 10, axis=0)  # twelve runs of ten images
        rows = (offsets + 0.3 * rng.normal(size=offsets.shape)).astype(np.float32)
        runs = [str(row // 10) for row in range(120)]
        with_runs += drift(rows[:60], rows[60:], policy, runs[:60], runs[60:]).p_value <= 0.05
        without += drift(rows[:60], rows[60:], policy).p_value <= 0.05
    assert with_runs <= 7
    assert without >= 30


def test_the_same_input_gives_the_same_figures() -> None:
    assert drift(sample(50), sample(50, seed=5), POLICY) == drift(sample(50), sample(50, seed=5), POLICY)


def test_identical_images_on_both_sides_are_no_drift() -> None:
    same = np.ones((10, 4), np.float32)
    measured = drift(same, same, POLICY)
    assert (measured.effect, measured.p_value) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("new", "learned", "expected_reason"),
    [
        (sample(4), sample(50), "at least 5"),
        (sample(50), sample(50)[:, :3], "different models"),
        (np.full((9, 16), np.nan, np.float32), sample(50), "not finite"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    new: NDArray[np.float32], learned: NDArray[np.float32], expected_reason: str
) -> None:
    with pytest.raises(DataError, match=expected_reason):
        drift(new, learned, POLICY)
