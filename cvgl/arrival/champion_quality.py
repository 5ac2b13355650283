"""How well the champion does on images without labels: the seam through which a measure of quality is plugged in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from cvgl.quality.agreement import agreement
from cvgl.quality.prediction import predict
from cvgl.quality.scores import score
from cvgl.quality.similarity import DescriptorPair

if TYPE_CHECKING:
    from cvgl.types import Float32Array

FEWEST = 10  # images of a side
_DEVIATIONS = 1.645  # half of the 90 % interval of a prediction


@dataclass(frozen=True, slots=True)
class Quality:
    """A label-free figure, higher is better, with the standard error that it has from the draw of pictures."""

    score: float
    standard_error: float


class QualityMeasure(Protocol):
    """Any label-free measure of adapted queries against adapted references, both with unit rows."""

    def __call__(self, queries: Float32Array, references: Float32Array) -> Quality:
        """Quality of these queries over these references."""
        ...


@dataclass(frozen=True, slots=True)
class QualityChange:
    """The champion on what it knows and on what came, from as many images of each."""

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
    """The share of images for which two halves of the adapted descriptor name the same partner (`cvgl.quality.agreement`)."""
    score = agreement(queries, references)
    return Quality(score.score, score.standard_error)


def predicted_recall(queries: Float32Array, references: Float32Array) -> Quality:
    """The R@1 that labels would show, told from scores without labels (`cvgl.quality.prediction`).

    It tells a season more often than halves do, at the same rate of false alarms (`benchmarks/season_detection.py`). On
    images that the champion has learned from it is too high, so a loss counts from a larger share on.
    """
    prediction = predict(score(DescriptorPair(queries, references)))
    return Quality(prediction.value, (prediction.high - prediction.low) / 2 / _DEVIATIONS)


def quality_change(
    learned: Float32Array, new: Float32Array, references: Float32Array, measure: QualityMeasure = predicted_recall
) -> QualityChange | None:
    """Compares the champion on known and on new queries, on equally many of each, over the same references.

    Args:
        learned: (m, d) adapted queries that the champion has learned from.
        new: (n, d) adapted queries that have come.
        references: (r, d) adapted references.
        measure: of quality.

    Returns:
        None where a side has too few images to tell.
    """
    count = min(len(learned), len(new))
    if min(count, len(references)) < FEWEST:
        return None
    return QualityChange(measure(learned[:count], references), measure(new[:count], references))
