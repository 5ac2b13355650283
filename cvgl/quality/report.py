"""The quality report of one adaptation: scores, predictions and a verdict, from unlabelled descriptors alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from cvgl.adaptation.halves import BLOCK_LENGTH, standard_error
from cvgl.adaptation.sequences import SequenceModel
from cvgl.adaptation.standardise import frozen
from cvgl.config import Settings
from cvgl.quality.checks import Finding, check_views, refused
from cvgl.quality.dependence import CERTAIN, Dependence, dependence_test
from cvgl.quality.prediction import Prediction, predict, predict_within
from cvgl.quality.scores import Halves, Scores, score
from cvgl.quality.similarity import DescriptorPair, answers, corrected, descriptor_pair, similarities

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cvgl.adaptation.sequences import FrameSequences
    from cvgl.adaptation.standardise import DescriptorTransform
    from cvgl.types import Float32Array

FEWEST = 20
CONFIDENCE = 1.282
RADII_M = (25.0, 50.0, 100.0)


@dataclass(frozen=True, slots=True)
class Pictures:
    """What an adaptation is judged on. There is no place for a label.

    Attributes:
        queries: float32 (M, d0), frozen descriptors of the drone or ground view.
        references: float32 (N, d0), of the satellite view.
        positions: float64 (N, 2), metres, of the references on their map; none where unknown.
        sequences: which queries were taken in a row; none where none were, or positions are unknown.
        seen: the adaptation has learned from these very images.
    """

    queries: Float32Array
    references: Float32Array
    positions: NDArray[np.float64] | None = None
    sequences: FrameSequences | None = None
    seen: bool = False


class DirectionQuality(Settings):
    """One direction of retrieval."""

    direction: Literal["query_to_reference", "reference_to_query"]
    frozen: Scores
    adapted: Scores
    predicted_frozen: Prediction
    predicted: Prediction = Field(description="R@1 of the adapted descriptors")
    predicted_within: dict[str, Prediction] = Field(description="by the radius in metres; empty where positions are unknown")


class Gain(Settings):
    """Whether adapted descriptors are better than frozen ones, query by query."""

    measure: Literal["halves", "course"] = Field(description="share, or nats an image; see cvgl.quality.selection")
    frozen: float
    adapted: float
    difference: float
    standard_error: float

    @property
    def is_certain(self) -> bool:
        """Better by one-sided 90 % confidence."""
        return self.difference > CONFIDENCE * self.standard_error


class QualityReport(Settings):
    """What can be said about an adaptation without any label.

    Attributes:
        verdict: accepted (better than the frozen model with confidence), refused, or uncertain.
        reason: one sentence for a person.
        seen: judged on the images that it has learned from, so that figures are too good.
    """

    verdict: Literal["accepted", "uncertain", "refused"]
    reason: str
    seen: bool
    relatedness: Dependence | None
    findings: tuple[Finding, ...]
    gain: Gain | None
    directions: tuple[DirectionQuality, ...]

    @property
    def is_unrelated(self) -> bool:
        """Whether the views have nothing in common, as far as that can be told."""
        return self.relatedness is not None and not self.relatedness.related


def judge(adaptation: DescriptorTransform, images: Pictures) -> QualityReport:
    """Judges an adaptation on unlabelled images.

    Args:
        adaptation: of frozen descriptors.
        images: best such as it has not learned from.

    Raises:
        DataError: features that are no finite matrices of one dimension.
    """
    findings = check_views(images.queries, images.references, FEWEST)
    if problem := refused(findings):
        return _report("refused", problem, images, None, findings, None, ())
    related = dependence_test(images.queries, images.references, images.sequences)
    before = _mapped(frozen(images.queries.shape[1]), images)
    after = _mapped(adaptation, images)
    directions = tuple(_direction(before, after, reverse=reverse) for reverse in (False, True))
    gain = _gain(before, after, images.sequences)
    verdict, reason = _verdict(related, gain)
    return _report(verdict, reason, images, related, findings, gain, directions)


def _report(
    verdict: Literal["accepted", "uncertain", "refused"],
    reason: str,
    images: Pictures,
    related: Dependence | None,
    findings: tuple[Finding, ...],
    gain: Gain | None,
    directions: tuple[DirectionQuality, ...],
) -> QualityReport:
    return QualityReport(
        verdict=verdict,
        reason=reason,
        seen=images.seen,
        relatedness=related,
        findings=findings,
        gain=gain,
        directions=directions,
    )


def unrelated_reason(related: Dependence) -> str:
    """What a person is told when two views have nothing in common."""
    return (
        "queries and references have nothing to do with one another: what they have in common is no more than chance gives "
        f"(strength {related.strength:.1f}, needed {related.threshold:.1f}); check that the map shows where the images "
        "were taken"
    )


def uncertainty_reason(related: Dependence) -> str:
    """What a person is told when two views may have nothing in common."""
    return (
        "it is doubtful whether queries and references have to do with one another (strength "
        f"{related.strength:.1f}; beyond doubt from {CERTAIN:.1f} on); more images, or an alignment of the views, would tell"
    )


def _verdict(related: Dependence, gain: Gain) -> tuple[Literal["accepted", "uncertain", "refused"], str]:
    if not related.related:
        return "refused", unrelated_reason(related)
    if not related.is_certain:
        return "uncertain", uncertainty_reason(related)
    unit = "" if gain.measure == "halves" else " nats an image"
    figures = f"{gain.adapted:.3f} against {gain.frozen:.3f}{unit}, {gain.difference:+.3f} +- {gain.standard_error:.3f}"
    if gain.is_certain:
        return "accepted", f"better than the frozen model without a look at labels: {figures}"
    return "uncertain", f"not better than the frozen model with confidence: {figures}"


def _mapped(transform: DescriptorTransform, images: Pictures) -> DescriptorPair:
    queries, references = transform.transform_query(images.queries), transform.transform_reference(images.references)
    if images.sequences is not None and images.sequences.usable:
        return DescriptorPair(queries, references, images.positions)  # a sample would tear sequences apart
    return descriptor_pair(queries, references, images.positions)


def _direction(before: DescriptorPair, after: DescriptorPair, *, reverse: bool) -> DirectionQuality:
    sides = [views if not reverse else DescriptorPair(views.references, views.queries) for views in (before, after)]
    scores = [score(side) for side in sides]
    within = {} if reverse else _within(scores[1], after)
    return DirectionQuality(
        direction="reference_to_query" if reverse else "query_to_reference",
        frozen=scores[0],
        adapted=scores[1],
        predicted_frozen=predict(scores[0]),
        predicted=predict(scores[1]),
        predicted_within=within,
    )


def _within(scores: Scores, views: DescriptorPair) -> dict[str, Prediction]:
    predictions = {f"{radius:g}": predict_within(scores, views, radius) for radius in RADII_M}
    return {radius: prediction for radius, prediction in predictions.items() if prediction is not None}


def _gain(before: DescriptorPair, after: DescriptorPair, sequences: FrameSequences | None) -> Gain:
    along = sequences if sequences is not None and sequences.usable else None
    earned = [credit_of(views, along) for views in (before, after)]
    difference, error = paired(earned[1] - earned[0], along)
    return Gain(
        measure="halves" if along is None else "course",
        frozen=float(earned[0].mean()),
        adapted=float(earned[1].mean()),
        difference=difference,
        standard_error=error,
    )


def credit_of(views: DescriptorPair, sequences: FrameSequences | None) -> NDArray[np.float64]:
    """float64 (M,): what speaks for each query's answer without labels, see `cvgl.quality.selection`.

    Args:
        views: mapped.
        sequences: usable ones, or none.
    """
    if sequences is None:
        mutual = answers(corrected(similarities(views.queries, views.references))).mutual
        return np.asarray((Halves(views, parts=2).credit() + mutual) / 2)
    return SequenceModel(sequences).gains((views.queries @ views.references.T).astype(np.float64))


def paired(difference: NDArray[np.float64], sequences: FrameSequences | None) -> tuple[float, float]:
    """Mean difference of credits, and its standard error over queries, or over blocks of images that err together."""
    if sequences is None:
        return float(difference.mean()), standard_error(difference)
    return float(difference.mean()), standard_error(difference[np.concatenate(sequences.rows)], BLOCK_LENGTH)
