"""Within-place whitening: directions in which two views of one place differ are weighted less.

With z_q = place + e_q and z_r = place + e_r, the difference of a correct pair has the summed covariance C of both noises, and
the log-likelihood of a pair is -(z_q - z_r)' C^-1 (z_q - z_r) / 2 up to a constant. After z -> C^-1/2 z the noise is the same
in all directions, so cosines compare places (within-class covariance normalisation, Hatch et al. 2006; the two-covariance
model of probabilistic linear discriminant analysis, Ioffe 2006, Prince and Elder 2007).

A covariance from few pairs in many dimensions is a poor estimate. It is shrunk towards a multiple of the identity by the
estimator of Ledoit and Wolf (2004): with few pairs the map stays near the identity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cvgl.adaptation.descriptors import unit_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cvgl.types import Float32Array

MIN_SHRINKAGE, MAX_SHRINKAGE = 0.02, 0.98
"""Bounds of the estimate: below, directions without differences would be amplified; above, nothing would be learned."""


class Whitening(NamedTuple):
    """The map z -> z C^-1/2, scaled to the identity in directions without observed differences.

    Attributes:
        directions: float64 (k, d), orthonormal; as many as there are pairs, or dimensions.
        factors: float64 (k,), by which rows are scaled along them.
        shrinkage: of the covariance towards the identity, in [0, 1].
    """

    directions: NDArray[np.float64]
    factors: NDArray[np.float64]
    shrinkage: float

    def unit_rows(self, rows: Float32Array) -> Float32Array:
        """Maps rows (n, d) and normalises them; with few directions cheaper than the product with `weight`."""
        directions = self.directions.astype(np.float32)
        along = (rows @ directions.T) * (self.factors - 1).astype(np.float32)
        return unit_rows(np.asarray(rows + along @ directions, dtype=np.float32))

    @property
    def weight(self) -> Float32Array:
        """C^-1/2, float32 (d, d), symmetric."""
        return _along(self.directions, self.factors)

    @property
    def inverse(self) -> Float32Array:
        """C^1/2, float32 (d, d)."""
        return _along(self.directions, 1 / self.factors)


def identity(d: int) -> Whitening:
    """The whitening without pairs: the identity."""
    return Whitening(np.zeros((0, d)), np.zeros(0), 1.0)


def fit(
    differences: Float32Array, weights: NDArray[np.float64] | None = None, groups: NDArray[np.int64] | None = None
) -> Whitening:
    """The whitening of pairs' differences, in closed form.

    Args:
        differences: float32 (n, d), z_q - z_r of each pair, n >= 1.
        weights: float64 (n,), confidence in each pair, in (0, 1]; default: equal.
        groups: int64 (n,), equal for correlated pairs, such as frames over one tile: the shrinkage is that of the groups'
            means, since only independent pairs reduce the uncertainty of a covariance; default: each pair its own group.
    """
    rows = differences.astype(np.float64)
    if weights is not None:
        rows *= np.sqrt(weights / weights.mean())[:, None]
    d = rows.shape[1]
    if not rows.any():
        return identity(d)
    independent = rows if groups is None else _means(rows, groups)
    shrinkage = float(np.clip(ledoit_wolf(independent), MIN_SHRINKAGE, MAX_SHRINKAGE))
    variances, directions = spectrum(rows)
    mean_variance = variances.sum() / d
    # (1 - s) C + s m I, divided by s m: the identity plus the observed covariance.
    relative = 1 + (1 - shrinkage) * variances / (shrinkage * mean_variance)
    return Whitening(directions, relative**-0.5, shrinkage)


def _means(rows: NDArray[np.float64], groups: NDArray[np.int64]) -> NDArray[np.float64]:
    _, group = np.unique(groups, return_inverse=True)
    sums = np.zeros((int(group.max()) + 1, rows.shape[1]))
    np.add.at(sums, group, rows)
    return np.asarray(sums / np.bincount(group)[:, None])


def spectrum(rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Eigenvalues (k,) and eigenvectors (k, d) of rows' rows / n, from whichever side is smaller."""
    n, d = rows.shape
    if n < d:
        _, singular, directions = np.linalg.svd(rows, full_matrices=False)
        return singular**2 / n, directions
    values, vectors = np.linalg.eigh(rows.T @ rows / n)
    return np.maximum(values, 0), vectors.T


def _along(directions: NDArray[np.float64], factors: NDArray[np.float64]) -> Float32Array:
    """The symmetric map that scales along the directions (k, d) by the factors (k,) and leaves the rest alone."""
    d = directions.shape[1]
    return np.ascontiguousarray(np.eye(d) + directions.T @ ((factors - 1)[:, None] * directions), dtype=np.float32)


def ledoit_wolf(rows: NDArray[np.float64]) -> float:
    """Optimal shrinkage of a covariance towards the identity: b^2 / d^2 of Ledoit and Wolf 2004, Section 3.

    Args:
        rows: float64 (n, d), of mean 0 by assumption (differences of pairs are, after standardising).

    Returns:
        In [0, 1]; 1 for a single row.
    """
    n, d = rows.shape
    # Norms of S and of the sum over rows through the n x n products where that is the smaller side.
    gram = rows @ rows.T if n < d else rows.T @ rows
    squared_norm = float(np.square(gram).sum()) / n**2  # of S = rows' rows / n
    lengths = np.einsum("ij,ij->i", rows, rows)
    mean_variance = float(lengths.sum()) / n / d
    distance = squared_norm - d * mean_variance**2
    spread = (float(np.square(lengths).sum()) / n - squared_norm) / n
    if n == 1 or distance <= 0:
        return 1.0
    return float(min(max(spread, 0.0), distance) / distance)
