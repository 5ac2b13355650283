"""Whether two samples of descriptors come from one distribution, and how far apart they are if not.

The energy distance of Szekely and Rizzo ("Energy statistics", 2013) between samples X and Y is
2 E|X - Y| - E|X - X'| - E|Y - Y'|: zero exactly when the distributions are the same. Over 2 E|X - Y| it is their coefficient
of inhomogeneity, between 0 and 1 whatever the scale of the descriptors, which is the effect size here. Its significance
comes from permutations of the two samples' names; with thousands of images any difference is significant, so the policy
asks for both.

Images of one flight resemble each other. Where the order of images is known, whole runs are permuted instead of single
images, else a new flight over the same town would look like another world.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cvgl.config import DecideConfig
from cvgl.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cvgl.types import Float32Array

FEWEST = 5  # of a sample; below, the effect is noise
FEWEST_RUNS = 8  # of both samples together; with fewer, permutations of runs are too few for any p-value below 1/70
PERMUTED_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Drift:
    """A two-sample test.

    Attributes:
        effect: coefficient of inhomogeneity without its bias of small samples, 0 (the same) to 1 (nothing in common).
        p_value: share of permutations that differ at least as much.
        n_new: images that have come.
        n_known: images that they were compared with.
        permuted: 'pictures' or 'runs'.
    """

    effect: float
    p_value: float
    n_new: int
    n_known: int
    permuted: str


def drift(
    new: Float32Array,
    learned: Float32Array,
    config: DecideConfig,
    new_runs: Sequence[str | None] = (),
    known_runs: Sequence[str | None] = (),
) -> Drift:
    """Compares what has come with what is known.

    Args:
        new: (n, d) descriptors.
        learned: (m, d) descriptors.
        config: permutations and seed.
        new_runs: for each new image the run it was taken in, or none; empty: nothing is known of runs.
        known_runs: the same for the known images.

    Raises:
        DataError: fewer than five images on a side, or other dimensions, or numbers that are not finite.
    """
    _check(new, learned)
    labels = np.r_[np.ones(len(new), bool), np.zeros(len(learned), bool)]
    distances = _distances(np.concatenate([new, learned]).astype(np.float64))
    runs = _runs(new_runs, known_runs, len(new), len(learned))
    blocks = runs if runs is not None else np.arange(len(labels))
    effect = float(_coefficients(distances, labels[None])[0])
    generator = np.random.default_rng(config.seed)
    beyond = 0
    for start in range(0, config.permutations, PERMUTED_AT_ONCE):
        count = min(PERMUTED_AT_ONCE, config.permutations - start)
        permuted = np.stack([_permuted(blocks, int(labels.sum()), generator) for _ in range(count)])
        beyond += int((_coefficients(distances, permuted) >= effect).sum())
    p_value = (1 + beyond) / (1 + config.permutations)
    return Drift(max(effect, 0.0), p_value, len(new), len(learned), "pictures" if runs is None else "runs")


def _check(new: Float32Array, learned: Float32Array) -> None:
    if min(len(new), len(learned)) < FEWEST:
        raise DataError(
            f"drift is told from at least {FEWEST} images on each side, not {len(new)} and {len(learned)}",
            where="descriptors",
            fix="wait for more",
        )
    if new.shape[1:] != learned.shape[1:]:
        raise DataError(
            f"descriptors of different models cannot be compared: {new.shape[1:]} and {learned.shape[1:]}",
            where="descriptors",
            fix="extract with the settings of the champion",
        )
    if not (np.isfinite(new).all() and np.isfinite(learned).all()):
        raise DataError("descriptors hold numbers that are not finite", where="descriptors", fix="extract again")


def _distances(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    squares = (rows**2).sum(axis=1)
    squared = np.maximum(squares[:, None] + squares[None] - 2 * rows @ rows.T, 0)
    np.fill_diagonal(squared, 0)
    distances: NDArray[np.float64] = np.sqrt(squared)
    return distances


def _coefficients(distances: NDArray[np.float64], labels: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The coefficient for each row of labels (True: first sample); means within a sample leave the diagonal out."""
    first = labels.astype(np.float64)
    second = 1 - first
    n, m = first.sum(axis=1), second.sum(axis=1)
    to_first, to_second = first @ distances, second @ distances
    between = (to_first * second).sum(axis=1) / np.maximum(n * m, 1)
    within_first = (to_first * first).sum(axis=1) / np.maximum(n * (n - 1), 1)
    within_second = (to_second * second).sum(axis=1) / np.maximum(m * (m - 1), 1)
    difference = 2 * between - within_first - within_second
    coefficient: NDArray[np.float64] = difference / np.maximum(2 * between, np.finfo(np.float64).tiny)
    return coefficient


def _runs(new: Sequence[str | None], learned: Sequence[str | None], n_new: int, n_known: int) -> NDArray[np.int64] | None:
    """A number for each picture's run; None where images were not taken in runs, or too few runs are there."""
    if len(new) != n_new or len(learned) != n_known:
        return None
    names = [f"new {name}" if name else f"new image {row}" for row, name in enumerate(new)]
    names += [f"known {name}" if name else f"known image {row}" for row, name in enumerate(learned)]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    if len(numbers) == len(names) or len(numbers) < FEWEST_RUNS:
        return None
    return np.array([numbers[name] for name in names])


def _permuted(blocks: NDArray[np.int64], wanted: int, generator: np.random.Generator) -> NDArray[np.bool_]:
    """Labels of a random first sample of about `wanted` images, made of whole blocks."""
    order = generator.permutation(int(blocks.max()) + 1)
    sizes = np.bincount(blocks, minlength=len(order))[order]
    # Blocks are taken until another one would lead further away from the wanted size; never all of them.
    reached = np.cumsum(sizes)
    count = 1 + int(np.argmin(np.abs(reached[:-1] - wanted)))
    chosen = np.zeros(len(order), bool)
    chosen[order[:count]] = True
    return chosen[blocks]
