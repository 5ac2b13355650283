"""The baselines that need no training: the frozen descriptors, and each view standardised by its own statistics.

Standardising is what any adaptation has to be compared with: two views of one frozen model lie around different means, and
removing the means is worth more than a published training recipe on some sets (see docs/adaptation.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from cvgl.adaptation.descriptors import blocks, checked, in_blocks, unit_rows

if TYPE_CHECKING:
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
        return in_blocks(features, "query features", self.d0, self.d0, unit_rows)

    def transform_reference(self, features: Any) -> Float32Array:
        return in_blocks(features, "reference features", self.d0, self.d0, unit_rows)


@dataclass(frozen=True, slots=True)
class Statistics:
    """Mean and deviation of one view's unit descriptors, each float32 (d0,)."""

    mean: Float32Array
    deviation: Float32Array

    def standardise(self, features: Float32Array) -> Float32Array:
        """(n, d0) -> float32 (n, d0): centred, scaled, L2-normalised."""
        return unit_rows((unit_rows(features) - self.mean) / self.deviation)


@dataclass(frozen=True, slots=True)
class Standardised:
    """Each view minus its own mean, over its own deviation, then L2."""

    query: Statistics
    reference: Statistics

    def transform_query(self, features: Any) -> Float32Array:
        d0 = len(self.query.mean)
        return in_blocks(features, "query features", d0, d0, self.query.standardise)

    def transform_reference(self, features: Any) -> Float32Array:
        d0 = len(self.reference.mean)
        return in_blocks(features, "reference features", d0, d0, self.reference.standardise)


def frozen(d0: int) -> Frozen:
    """The identity followed by L2."""
    return Frozen(d0)


def identity(d0: int) -> Standardised:
    """No offset and no scaling: L2 alone, in the form of statistics."""
    nothing = Statistics(mean=np.zeros(d0, np.float32), deviation=np.ones(d0, np.float32))
    return Standardised(query=nothing, reference=nothing)


def fit(query_features: Any, reference_features: Any, *, scale: bool = True) -> Standardised:
    """Takes each view's mean and per-dimension deviation from training rows.

    Args:
        query_features: (M, d0) frozen descriptors of the drone or ground view.
        reference_features: (N, d0) of the satellite view.
        scale: False leaves the deviations alone and only centres.

    Raises:
        DataError: see `cvgl.adaptation.descriptors.checked`.
    """
    query = checked(query_features, "query features")
    reference = checked(reference_features, "reference features", query.shape[1])
    return Standardised(query=_statistics(query, scale), reference=_statistics(reference, scale))


def _statistics(values: Float32Array, scale: bool) -> Statistics:
    """Two passes in float64 over blocks: stable where the deviation is small beside the mean, as in frozen features.

    A dimension that does not vary (or a single row) keeps its scale: it is centred, to zero for what was seen, rather than
    blown up by a division by rounding noise.
    """
    mean = sum((unit_rows(block).sum(axis=0, dtype=np.float64) for _, block in blocks(values)), np.zeros(values.shape[1]))
    mean /= len(values)
    if not scale:
        return Statistics(mean=mean.astype(np.float32), deviation=np.ones(len(mean), np.float32))
    squares = np.zeros(values.shape[1])
    for _, block in blocks(values):
        squares += np.square(unit_rows(block) - mean).sum(axis=0)
    deviation = np.sqrt(squares / len(values))
    # Rounding of unit rows to float32 leaves up to about 1e-7 of deviation in a dimension that is constant.
    varying = deviation > 1e-6
    return Statistics(mean=mean.astype(np.float32), deviation=np.where(varying, deviation, 1.0).astype(np.float32))
