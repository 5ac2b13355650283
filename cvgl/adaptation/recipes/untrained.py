"""The baselines without a learned map: frozen descriptors, and views standardised separately or jointly."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from cvgl.adaptation import standardise
from cvgl.adaptation.recipes.base import Learned, Learner, TrainingInputs, identity_map
from cvgl.config import Recipe

if TYPE_CHECKING:
    from cvgl.adaptation.standardise import Standardised


def learn(inputs: TrainingInputs, statistics: Callable[[TrainingInputs], Standardised]) -> Learned:
    """Statistics of the training rows, and the identity behind them."""
    return Learned(statistics(inputs), identity_map(inputs.d0), identity_map(inputs.d0))


def _frozen(inputs: TrainingInputs) -> Standardised:
    return standardise.identity(inputs.d0)


def _standardised(inputs: TrainingInputs) -> Standardised:
    return standardise.fit(inputs.queries, inputs.references)


def _standardised_jointly(inputs: TrainingInputs) -> Standardised:
    return standardise.fit_jointly(inputs.queries, inputs.references)


LEARNERS = {
    recipe: Learner(partial(learn, statistics=statistics), keeps_banks=True)
    for recipe, statistics in (
        (Recipe.FROZEN, _frozen),
        (Recipe.STANDARDISED, _standardised),
        (Recipe.STANDARDISED_JOINTLY, _standardised_jointly),
    )
}
