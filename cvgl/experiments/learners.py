"""How a configuration becomes something that maps descriptors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cvgl import adapt
from cvgl.adaptation import standardise
from cvgl.adaptation.correction import BANK_ROWS
from cvgl.config import Recipe
from cvgl.errors import DataError
from cvgl.experiments.configuration import Configuration, Learner

if TYPE_CHECKING:
    from cvgl.adaptation.standardise import DescriptorTransform
    from cvgl.config import AdaptConfig
    from cvgl.experiments.material import TrainingPlaces, TrainingSet


def learn(
    configuration: Configuration,
    settings: AdaptConfig,
    training: TrainingSet,
    places: TrainingPlaces | None = None,
    checkpoint: Path | None = None,
) -> DescriptorTransform:
    """Learns what a configuration says.

    Args:
        configuration: its learner counts.
        settings: of the training, seed included; of no account where nothing is trained.
        training: unlabelled descriptors.
        places: ground truth of the training images, for the learners that need it.
        checkpoint: a file in which a long training keeps its state.

    Raises:
        DataError: the learner needs ground truth and none was handed over.
    """
    learner = configuration.learner
    if configuration.reference_samples is not None:
        training = training.with_references(configuration.reference_samples, settings.seed)
    if learner.needs_ground_truth:
        if places is None:
            raise DataError(
                f"'{configuration.name}' is defined by ground truth, and none was handed over",
                where="learn",
                fix="give `places`",
            )
        return _learn_from_truth(learner, settings, training, places, checkpoint)
    if learner is Learner.FROZEN:
        return standardise.frozen(training.queries.shape[1])
    if learner is Learner.STANDARDISED:
        return standardise.fit(training.queries, training.references)
    sequences = training.sequences if looks_at_sequences(configuration, settings, training) else None
    return adapt(training.queries, training.references, config=settings, checkpoint=checkpoint, sequences=sequences)


def looks_at_sequences(configuration: Configuration, settings: AdaptConfig, training: TrainingSet) -> bool:
    """Whether it matters to what is learned which images were taken in a row."""
    robust = configuration.learner is Learner.ADAPTED and settings.recipe is Recipe.ROBUST
    return robust and configuration.sequences and training.has_sequences


def depends_on_seed(configuration: Configuration, settings: AdaptConfig, training: TrainingSet) -> bool:
    """Whether another seed could give other figures.

    `robust` draws nothing where it follows sequences, and keeps all of a view's statistics where there are few images.
    Without sequences a seed divides the images for its self-check.
    """
    if not configuration.learner.is_random:
        return False
    if not looks_at_sequences(configuration, settings, training):
        return True
    return configuration.answering.corrected and max(len(training.queries), len(training.references)) > BANK_ROWS


def _learn_from_truth(
    learner: Learner, settings: AdaptConfig, training: TrainingSet, places: TrainingPlaces, checkpoint: Path | None
) -> DescriptorTransform:
    from cvgl.adaptation import learn
    from cvgl.experiments.sampling import building_balanced
    from cvgl.experiments.supervised import fit_bound

    if learner is Learner.SUPERVISED:
        return fit_bound(training, places, settings)
    draws = building_balanced(places.queries)
    return learn(training.queries, training.references, settings, checkpoint=checkpoint, draws=draws)
