"""The closed-form whitening against matrix functions of numpy and against scikit-learn's shrinkage."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf_shrinkage

from cvgl.adaptation import whitening


def differences(n: int, d: int, seed: int = 0) -> NDArray[Any]:
    rng = np.random.default_rng(seed)
    scales = np.geomspace(3, 0.3, d)
    return np.asarray(((rng.normal(size=(n, d)) * scales) @ np.linalg.qr(rng.normal(size=(d, d)))[0]).astype(np.float32))


def inverse_root(matrix: NDArray[Any]) -> NDArray[Any]:
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors / np.sqrt(values)) @ vectors.T)


def expected_weight(rows: NDArray[Any], shrinkage: float) -> NDArray[Any]:
    """C^-1/2 of the shrunk covariance, times the root of what the identity's part of it is."""
    rows = rows.astype(np.float64)
    covariance = rows.T @ rows / len(rows)
    mean_variance = np.trace(covariance) / len(covariance)
    shrunk = (1 - shrinkage) * covariance + shrinkage * mean_variance * np.eye(len(covariance))
    return np.asarray(inverse_root(shrunk) * np.sqrt(shrinkage * mean_variance))


@pytest.mark.parametrize(("n", "d"), [(5, 30), (29, 30), (30, 30), (31, 30), (400, 30), (2, 3), (1000, 8)])
def test_shrinkage_is_that_of_ledoit_and_wolf(n: int, d: int) -> None:
    rows = differences(n, d).astype(np.float64)
    assert whitening.ledoit_wolf(rows) == pytest.approx(ledoit_wolf_shrinkage(rows, assume_centered=True), rel=1e-9)


def test_shrinkage_of_what_has_no_structure_is_whole() -> None:
    assert whitening.ledoit_wolf(differences(1, 9).astype(np.float64)) == 1
    assert whitening.ledoit_wolf(np.zeros((7, 9))) == 1
    assert whitening.ledoit_wolf(np.eye(6)) == 1
    assert whitening.ledoit_wolf(differences(20, 1).astype(np.float64)) == 1


@pytest.mark.parametrize(("n", "d"), [(12, 30), (29, 30), (30, 30), (200, 30)])
def test_weight_is_the_inverse_root_of_the_shrunk_covariance(n: int, d: int) -> None:
    rows = differences(n, d)
    learned = whitening.fit(rows)
    assert learned.weight.dtype == learned.inverse.dtype == np.float32
    assert learned.weight.shape == (d, d)
    assert np.allclose(learned.weight, expected_weight(rows, learned.shrinkage), atol=1e-5)
    assert np.allclose(learned.weight, learned.weight.T, atol=1e-6)
    assert np.allclose(learned.weight @ learned.inverse, np.eye(d), atol=1e-4)


def test_both_ways_to_the_spectrum_agree() -> None:
    """Rows of zeros change neither side of the products, only which one is smaller."""
    rows = differences(20, 30).astype(np.float64)
    padded = np.concatenate([rows, np.zeros((20, 30))])
    (few, few_directions), (many, many_directions) = whitening.spectrum(rows), whitening.spectrum(padded)
    assert (len(few), len(many)) == (20, 30)
    covariance, again = (
        values * directions.T @ directions for values, directions in ((few, few_directions), (many, many_directions))
    )
    assert np.allclose(covariance / 2, again)
    assert np.allclose(covariance, rows.T @ rows / 20)


def test_differences_become_alike_in_all_directions() -> None:
    rows = differences(5000, 10)
    learned = whitening.fit(rows)
    variances = np.var(rows @ learned.weight, axis=0)
    assert np.var(rows, axis=0).max() / np.var(rows, axis=0).min() > 2
    assert learned.shrinkage == whitening.MIN_SHRINKAGE
    # What is left apart is what the least shrinkage adds to small variances.
    assert variances.max() / variances.min() < 1.35


def test_directions_without_differences_are_left_alone() -> None:
    rows = np.zeros((50, 8), np.float32)
    rows[:, :3] = differences(50, 3)
    learned = whitening.fit(rows)
    assert np.allclose(learned.weight[3:, 3:], np.eye(5), atol=1e-6)
    assert np.allclose(learned.weight[:3, 3:], 0, atol=1e-6)
    assert np.linalg.eigvalsh(learned.weight[:3, :3].astype(np.float64)).max() < 1


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_the_scale_of_differences_is_of_no_account(scale: float) -> None:
    rows = differences(60, 12)
    assert np.allclose(whitening.fit(np.float32(scale) * rows).weight, whitening.fit(rows).weight, atol=1e-5)


def test_a_weight_counts_like_repetitions() -> None:
    rows = differences(30, 8)
    counts = np.arange(30) % 3 + 1
    weighted, repeated = whitening.fit(rows, counts / 3.0), np.repeat(rows, counts, axis=0).astype(np.float64)
    assert np.allclose(weighted.weight, expected_weight(repeated, weighted.shrinkage), atol=1e-5)
    alike = whitening.fit(rows, np.full(30, 0.25))
    assert np.allclose(alike.weight, whitening.fit(rows).weight, atol=1e-6)


def test_pairs_of_one_group_make_a_covariance_no_more_certain() -> None:
    rows = differences(12, 20)
    single, copied = whitening.fit(rows), np.repeat(rows, 10, axis=0)
    grouped = whitening.fit(copied, groups=np.repeat(np.arange(12), 10) * 7)
    assert grouped.shrinkage == pytest.approx(single.shrinkage)
    assert np.allclose(grouped.weight, single.weight, atol=1e-5)
    assert whitening.fit(copied).shrinkage < single.shrinkage / 2
    own = whitening.fit(rows, groups=np.arange(12)[::-1].copy())
    assert np.allclose(own.weight, single.weight, atol=1e-6)


def test_one_pair_hardly_moves_the_map() -> None:
    learned = whitening.fit(differences(1, 16))
    assert learned.shrinkage == whitening.MAX_SHRINKAGE
    values = np.linalg.eigvalsh(learned.weight.astype(np.float64))
    assert np.allclose(values[1:], 1, atol=1e-5)
    assert 0.8 < values[0] < 1  # (1 + 0.02 * 16 / 0.98)^-1/2 = 0.87


def test_no_difference_is_no_whitening() -> None:
    learned = whitening.fit(np.zeros((4, 5), np.float32))
    assert np.array_equal(learned.weight, np.eye(5, dtype=np.float32))
    assert np.array_equal(learned.inverse, np.eye(5, dtype=np.float32))
    assert learned.shrinkage == 1


def test_differences_are_left_alone() -> None:
    rows = differences(9, 4)
    before = rows.copy()
    whitening.fit(rows, np.full(9, 0.5), np.arange(9))
    assert np.array_equal(rows, before)


def test_wrong_pairs_blunt_the_map_and_do_not_turn_it() -> None:
    """Differences of wrong pairs have the total covariance: the directions that tell places apart are not singled out."""
    rng = np.random.default_rng(0)
    places = rng.normal(size=(3000, 6)) @ np.eye(6, 12)
    noise = np.concatenate([np.zeros((3000, 6)), 2 * rng.normal(size=(3000, 6))], axis=1)
    noise += 0.1 * rng.normal(size=noise.shape)
    right = noise
    wrong = places + noise - places[rng.permutation(3000)]

    def contrast(rows: NDArray[Any]) -> Any:
        """How much more directions of places count than directions of noise."""
        diagonal = np.diag(whitening.fit(rows.astype(np.float32)).weight)
        return diagonal[:6].mean() / diagonal[6:].mean()

    half = np.concatenate([right[:1500], wrong[:1500]])
    assert contrast(right) > 3
    assert 1.2 < contrast(half) < contrast(right)
    assert contrast(wrong) > 1  # even with no right pair, what differs within places is not favoured
