"""How well the champion does on pictures without labels: the seam through which a measure of quality is plugged in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from cvgl.quality.agreement import agreement

if TYPE_CHECKING:
    from cvgl.types import Float32Array

FEWEST = 10  # pictures of a side


@dataclass(frozen=True, slots=True)
class Quality:
    """A label-free figure, higher is better, with the standard error that it has from the draw of pictures."""

    score: float
    standard_error: float


class QualityMeasure(Protocol):
    """Any label-free measure of adapted queries against adapted references, both with unit rows."""

    def __call__(self, queries: Float32Array, references: Float32Array) -> Quality: ...


@dataclass(frozen=True, slots=True)
class QualityChange:
    """The champion on what it knows and on what came, from as many pictures of each."""

    before: Quality
    after: Quality

    @property
    def drop(self) -> float:
        """Loss as a share of the score before; negative for a gain."""
        return (self.before.score - self.after.score) / max(self.before.score, 1e-9)

    @property
    def standard_error(self) -> float:
        """Of the difference of both scores."""
        return float(np.hypot(self.before.standard_error, self.after.standard_error))

    @property
    def is_significant(self) -> bool:
        """Beyond two standard errors."""
        return self.before.score - self.after.score > 2 * self.standard_error


def split_half_agreement(queries: Float32Array, references: Float32Array) -> Quality:
    """The share of pictures for which two halves of the adapted descriptor name the same partner (`cvgl.quality.agreement`)."""
    found = agreement(queries, references)
    return Quality(found.score, found.standard_error)


def quality_change(
    known: Float32Array, new: Float32Array, references: Float32Array, measure: QualityMeasure = split_half_agreement
) -> QualityChange | None:
    """Compares the champion on known and on new queries, on equally many of each, over the same references.

    Args:
        known: (m, d) adapted queries that the champion has learned from.
        new: (n, d) adapted queries that have come.
        references: (r, d) adapted references.
        measure: of quality.

    Returns:
        None where a side has too few pictures to tell.
    """
    count = min(len(known), len(new))
    if min(count, len(references)) < FEWEST:
        return None
    return QualityChange(measure(known[:count], references), measure(new[:count], references))
