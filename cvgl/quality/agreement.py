"""How well two views agree, told without labels: the share of pictures for which two halves of the descriptor, each asked on
its own, name the same partner in the other view.

A picture of one view and one of the other are mutual neighbours when each is the other's nearest. Their share alone says
little: among similarities drawn at random half of all pictures have a mutual neighbour, and whitening within such pairs
confirms them. But two halves of the dimensions that err do not err alike. So the dimensions are split at random, each half
finds its pairs and is whitened within them without a look at the other, and what counts are the pairs that both found (the
idea of co-training, Blum and Mitchell 1998, and of split-half reliability).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cvgl.adaptation.descriptors import unit_rows
from cvgl.adaptation.standardise import fit
from cvgl.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cvgl.types import Float32Array

IMPLEMENTATION = 2  # raised whenever the same descriptors would get another score
NEIGHBOURS = 10
ROUNDS = 4
SPLITS = 4


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well two views agree.

    Attributes:
        share: of the pictures of the smaller side, 0 to 1, whose partner both halves of the descriptor name.
        standard_error: of the share, over the draw of pictures.
    """

    share: float
    standard_error: float


def agreement(query_features: Any, reference_features: Any) -> Agreement:
    """The share of pictures whose mutual neighbour both halves of the descriptor name, over several splits into halves.

    Views are standardised first, and each half is whitened within its own pairs, `ROUNDS` times over.

    Args:
        query_features: (M, d) descriptors of one view, at least two rows and columns.
        reference_features: (N, d) of the other view, at least two rows.

    Raises:
        DataError: fewer than two descriptors on a side, or not finite, or of different dimensions.
    """
    count = min(len(query_features), len(reference_features))
    if count < 2:
        raise DataError(
            f"agreement needs two pictures of each view, not {count}", where="descriptors", fix="ingest more pictures"
        )
    standardised = fit(query_features, reference_features)
    queries = standardised.transform_query(query_features)
    references = standardised.transform_reference(reference_features)
    generator = np.random.default_rng(0)  # a score must not depend on anything but the descriptors
    shared = 0
    for _ in range(SPLITS):
        halves = np.array_split(generator.permutation(queries.shape[1]), 2)
        found = [_pairs_after_whitening(unit_rows(queries[:, half]), unit_rows(references[:, half])) for half in halves]
        shared += len(found[0] & found[1])
    share = shared / SPLITS / count
    # Agresti and Coull's two successes and failures: a share of 0 or 1 from few pictures is not certain.
    expected = (share * count + 2) / (count + 4)
    return Agreement(share, float(np.sqrt(expected * (1 - expected) / (count + 4))))


def _pairs_after_whitening(queries: Float32Array, references: Float32Array) -> set[tuple[int, int]]:
    """Mutual pairs when differences between mutual pairs have been weighed down, again and again."""
    pairs = mutual_pairs(queries, references)
    for _ in range(ROUNDS):
        if len(pairs) < 2:
            break
        whitening = within_whitening(queries[pairs[:, 0]] - references[pairs[:, 1]])
        pairs = mutual_pairs(whitening.unit_rows(queries), whitening.unit_rows(references))
    return {(int(query), int(reference)) for query, reference in pairs}


def mutual_pairs(queries: Float32Array, references: Float32Array) -> NDArray[np.intp]:
    """Pairs (query, reference) that are each other's nearest by similarity corrected for hubs, (P, 2).

    The correction is CSLS (Conneau et al. 2018): twice the similarity, minus the mean similarity of each side to its nearest.
    """
    similarity = queries @ references.T
    nearest_references = _mean_of_largest(similarity, 1)
    nearest_queries = _mean_of_largest(similarity, 0)
    corrected = 2 * similarity - nearest_references[:, None] - nearest_queries[None, :]
    best_reference, best_query = corrected.argmax(1), corrected.argmax(0)
    mutual = np.flatnonzero(best_query[best_reference] == np.arange(len(queries)))
    return np.stack([mutual, best_reference[mutual]], axis=1)


@dataclass(frozen=True, slots=True)
class Whitening:
    """x -> x C^(-1/2) up to a common factor, for C with few directions of its own and one variance in all others.

    Attributes:
        directions: (r, d), orthonormal.
        factors: (r,), by which those directions are scaled in comparison with all others.
    """

    directions: Float32Array
    factors: Float32Array

    def unit_rows(self, rows: Float32Array) -> Float32Array:
        """Whitened rows of unit length."""
        along = rows @ self.directions.T
        return unit_rows(np.asarray(rows + (along * (self.factors - 1)) @ self.directions, dtype=np.float32))


def within_whitening(differences: Float32Array) -> Whitening:
    """The whitening of the differences of pairs, whose covariance is shrunk towards a multiple of the identity.

    The shrinkage is Ledoit and Wolf's (2004), for a mean of zero. Fewer differences than dimensions are no obstacle, and cost
    only the square of their number.
    """
    count, dimension = differences.shape
    rows = differences.astype(np.float64)
    eigenvalues, left = np.linalg.eigh(rows @ rows.T)
    variances = np.maximum(eigenvalues, 0) / count
    mean = variances.sum() / dimension
    shrinkage = ledoit_wolf(variances, float((np.square(rows).sum(axis=1) ** 2).sum()), count, dimension)
    floor = shrinkage * mean
    kept = eigenvalues > eigenvalues[-1] * 1e-10
    if not kept.any() or floor <= 0:
        return Whitening(np.zeros((0, dimension), np.float32), np.zeros(0, np.float32))
    directions = (left[:, kept] / np.sqrt(eigenvalues[kept])).T @ rows
    factors = np.sqrt(floor / ((1 - shrinkage) * variances[kept] + floor))
    return Whitening(directions.astype(np.float32), factors.astype(np.float32))


def ledoit_wolf(variances: NDArray[np.float64], fourth_powers: float, count: int, dimension: int) -> float:
    """How far to shrink a covariance towards its mean variance times the identity, 0 to 1 (Ledoit & Wolf 2004).

    Args:
        variances: eigenvalues of the covariance about zero; those that are zero may be left out.
        fourth_powers: sum over the rows of their lengths to the power of four.
        count: rows.
        dimension: of a row.
    """
    mean = variances.sum() / dimension
    squares = np.square(variances).sum()
    distance = (squares - dimension * mean**2) / dimension
    error = (fourth_powers / count - squares) / (dimension * count)
    return float(min(error, distance) / distance) if distance > 0 else 1.0


def _mean_of_largest(similarity: Float32Array, axis: int) -> Float32Array:
    """Mean over the largest values along an axis, at most `NEIGHBOURS` of them and never all but one."""
    length = similarity.shape[axis]
    count = min(NEIGHBOURS, max(1, length // 2))
    largest = np.take(np.partition(similarity, length - count, axis=axis), range(length - count, length), axis=axis)
    means: Float32Array = largest.mean(axis=axis)
    return means
