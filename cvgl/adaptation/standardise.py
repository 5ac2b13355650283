"""The baselines without training: the frozen descriptors, and each view standardised by its own statistics.

Standardisation is the baseline of any adaptation: descriptors of two views of one frozen model have different means, and
removing them is worth more than a published training recipe on some sets (see docs/concepts/adaptation.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from cvgl.adaptation.descriptors import blocks, checked, in_blocks, unit_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cvgl.types import Float32Array


class DescriptorTransform(Protocol):
    """Maps frozen descriptors of either view into the space in which they are compared by inner product."""

    def transform_query(self, features: Any) -> Float32Array:
        """(n, d0) descriptors of the drone or ground view -> float32 (n, d) unit rows."""
        ...

    def transform_reference(self, features: Any) -> Float32Array:
        """(n, d0) descriptors of the satellite view -> float32 (n, d) unit rows."""
        ...


@dataclass(frozen=True, slots=True)
class Frozen:
    """The foundation model as it is: L2-normalised descriptors (Li et al. 2024, Section III-C).

    Attributes:
        d0: dimension of the descriptors.
    """

    d0: int

    def transform_query(self, features: Any) -> Float32Array:
        """(n, d0) descriptors of the drone or ground view -> float32 (n, d0) unit rows."""
        return in_blocks(features, "query features", self.d0, self.d0, unit_rows)

    def transform_reference(self, features: Any) -> Float32Array:
        """(n, d0) descriptors of the satellite view -> float32 (n, d0) unit rows."""
        return in_blocks(features, "reference features", self.d0, self.d0, unit_rows)


@dataclass(frozen=True, slots=True)
class Statistics:
    """Mean and standard deviation of one view's unit descriptors, each float32 (d0,)."""

    mean: Float32Array
    std: Float32Array

    def standardise(self, features: Float32Array) -> Float32Array:
        """(n, d0) -> float32 (n, d0): centred, scaled, L2-normalised."""
        return unit_rows((unit_rows(features) - self.mean) / self.std)


@dataclass(frozen=True, slots=True)
class Standardised:
    """Each view minus its own mean, over its own standard deviation, then L2."""

    query: Statistics
    reference: Statistics

    def transform_query(self, features: Any) -> Float32Array:
        """(n, d0) descriptors of the drone or ground view -> float32 (n, d0) unit rows."""
        d0 = len(self.query.mean)
        return in_blocks(features, "query features", d0, d0, self.query.standardise)

    def transform_reference(self, features: Any) -> Float32Array:
        """(n, d0) descriptors of the satellite view -> float32 (n, d0) unit rows."""
        d0 = len(self.reference.mean)
        return in_blocks(features, "reference features", d0, d0, self.reference.standardise)


def frozen(d0: int) -> Frozen:
    """The identity followed by L2."""
    return Frozen(d0)


def identity(d0: int) -> Standardised:
    """No offset and no scaling: L2 alone, in the form of statistics."""
    neutral = Statistics(mean=np.zeros(d0, np.float32), std=np.ones(d0, np.float32))
    return Standardised(query=neutral, reference=neutral)


def fit(query_features: Any, reference_features: Any, *, scale: bool = True) -> Standardised:
    """Takes each view's mean and per-dimension standard deviation from training rows.

    Args:
        query_features: (M, d0) frozen descriptors of the drone or ground view, as an array or as an object with a length, a
            `dimension` and a method `blocks`, which is read twice (`cvgl.features.StoredDescriptors`).
        reference_features: (N, d0) of the satellite view, likewise.
        scale: False only centres.

    Raises:
        DataError: see `cvgl.adaptation.descriptors.checked`.
    """
    query = _Rows(query_features, "query features")
    reference = _Rows(reference_features, "reference features", query.dimension)
    return Standardised(query=_statistics(query, scale), reference=_statistics(reference, scale))


def fit_jointly(queries: Float32Array, references: Float32Array) -> Standardised:
    """Takes one mean and standard deviation for both views, with equal weights of the views.

    Where one view covers far more ground than the other, the difference between their means is content, too.

    Args:
        queries: float32 (M, d0), checked.
        references: float32 (N, d0), checked.
    """
    views = [_statistics(_Rows(rows, name), True) for rows, name in ((queries, "query features"), (references, "references"))]
    means = np.stack([view.mean.astype(np.float64) for view in views])
    mean = means.mean(axis=0)
    std = np.sqrt((np.stack([_variance(view) for view in views]) + np.square(means - mean)).mean(axis=0))
    joint = Statistics(mean.astype(np.float32), np.where(std > 1e-6, std, 1.0).astype(np.float32))
    return Standardised(query=joint, reference=joint)


def _variance(statistics: Statistics) -> NDArray[np.float64]:
    return np.square(statistics.std.astype(np.float64))


class _Rows:
    """Unit rows of one view in blocks, from an array or from an object with a method `blocks`."""

    def __init__(self, features: Any, name: str, dimension: int | None = None) -> None:
        self._name, self._features, self._is_blocked = name, features, hasattr(features, "blocks")
        if self._is_blocked and not len(features):
            checked(np.zeros((0, dimension or 1), np.float32), name)  # raises the error of an empty view
        if not self._is_blocked:
            self._features = checked(features, name, dimension)
        self.dimension: int = features.dimension if self._is_blocked else self._features.shape[1]
        self._expected = self.dimension if dimension is None else dimension

    def __len__(self) -> int:
        return len(self._features)

    def blocks(self) -> Iterator[Float32Array]:
        arriving = self._features.blocks() if self._is_blocked else (block for _, block in blocks(self._features))
        for block in arriving:
            yield unit_rows(checked(block, self._name, self._expected) if self._is_blocked else block)


def _statistics(values: _Rows, scale: bool) -> Statistics:
    """Two passes in float64 over blocks: stable where the standard deviation is small beside the mean, as in frozen features.

    A dimension that does not vary (or a single row) keeps its scale: it is centred, to zero for the training rows, rather
    than divided by rounding noise.
    """
    mean = sum((block.sum(axis=0, dtype=np.float64) for block in values.blocks()), np.zeros(values.dimension))
    mean /= len(values)
    if not scale:
        return Statistics(mean=mean.astype(np.float32), std=np.ones(len(mean), np.float32))
    squares = np.zeros(values.dimension)
    for block in values.blocks():
        squares += np.square(block - mean).sum(axis=0)
    std = np.sqrt(squares / len(values))
    # Rounding of unit rows to float32 leaves a standard deviation of up to about 1e-7 in a constant dimension.
    varying = std > 1e-6
    return Statistics(mean=mean.astype(np.float32), std=np.where(varying, std, 1.0).astype(np.float32))
