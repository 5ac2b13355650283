"""Asking mapped descriptors: one image at a time, or an image with those before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cvgl.adaptation import Adaptation
from cvgl.adaptation.correction import HubnessCorrected
from cvgl.errors import ConfigError
from cvgl.evaluation.retrieval_task import distances_m
from cvgl.evaluation.sequence_inference import Sequences
from cvgl.experiments.configuration import Answering
from cvgl.experiments.material import Examination
from cvgl.retrieval import evaluate, evaluate_scores

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cvgl.adaptation.standardise import DescriptorTransform
    from cvgl.retrieval import Evaluation


@dataclass(frozen=True, slots=True)
class Answers:
    """What one direction comes to.

    Attributes:
        evaluation: its figures.
        distance: float64 (Q,), metres from the first answer to the true position; NaN where one of them is unknown.
    """

    evaluation: Evaluation
    distance: NDArray[np.float64]


def can_answer(examination: Examination, answering: Answering, sequences: Sequences) -> bool:
    """Whether these queries can be asked so: a window needs images taken in a row, looked up on a map."""
    return answering.window is None or sequences.apply_to(examination.question)


def answer(
    examination: Examination, transform: DescriptorTransform, answering: Answering, protocol: str, sequences: Sequences
) -> Answers:
    """Ranks the gallery for every query.

    Args:
        examination: one that can be asked so.
        transform: what was learned.
        answering: how a place is told.
        protocol: decides which answers are right.
        sequences: of the data set, with the window of `answering`.

    Raises:
        ConfigError: correction is asked for, and what was learned keeps no statistics for it.
    """
    question = examination.question
    queries, gallery = examination.mapped(_corrected(transform, examination) if answering.corrected else transform)
    if answering.window is not None:
        believed = sequences.posterior(question, queries, gallery)
        evaluation = evaluate_scores([believed], question.queries.places, question.gallery.places, protocol, top_k=1)
    else:
        evaluation = evaluate(queries, question.queries.places, gallery, question.gallery.places, protocol, top_k=1)
    return Answers(evaluation, distances_m(question, evaluation.per_query.top_index))


def _corrected(transform: DescriptorTransform, examination: Examination) -> DescriptorTransform:
    if not isinstance(transform, Adaptation):
        raise ConfigError(
            "hubness is corrected by the statistics that an adaptation keeps, and this is none",
            where="Configuration.answering",
            fix="use the learner 'adapted' with the recipe 'robust'",
        )
    return HubnessCorrected(transform, "reference" if examination.question.gallery.view.is_reference else "query")
