"""The recipes by name, with the defaults of each and the settings that it has no use for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Recipe(StrEnum):
    """Ways to learn an adapter.

    Those named "paper" run Algorithm 1 of Li et al. 2024 and differ in the normalisation before it. The statistics are those
    of the unlabelled training rows. As printed, the algorithm's first pseudo-labels follow the offset between the views and
    concentrate on a few hubs; on the real sets measured it then loses to the frozen descriptors or equals them
    (docs/concepts/adaptation.md). "released" is the published trainer of the authors, which differs from the paper in almost
    every part. "robust" is this project's own: each view standardised, then a Gaussian model of the difference between the
    views, in closed form (docs/lab-notebook/robust.md).

    "frozen", "standardised" and "standardised-jointly" learn no map: they are the baselines. "auto" is a choice among all of
    these, by held-out training rows and without labels (docs/lab-notebook/judgement.md).
    """

    AUTO = "auto"  # the best of the others on held-out rows
    FROZEN = "frozen"  # L2 alone, nothing learned
    STANDARDISED = "standardised"  # mean and standard deviation of each view, then L2
    STANDARDISED_JOINTLY = "standardised-jointly"  # one mean and standard deviation for both views, then L2

    PAPER = "paper"  # L2 alone, as printed
    PAPER_CENTRED = "paper-centred"  # mean of each view, then L2
    PAPER_STANDARDISED = "paper-standardised"  # mean and standard deviation of each view, then L2
    RELEASED = "released"  # L2, then the published trainer: batch normalisation, mutual labels, learned temperature
    ROBUST = "robust"  # as standardised, then within-place whitening learned by expectation-maximisation


@dataclass(frozen=True, slots=True)
class RecipeSettings:
    """Settings of one recipe, for `AdaptConfig`.

    Attributes:
        defaults: of fields whose default depends on the recipe.
        unused: fields that have no effect in the recipe; any value but the default is refused.
        learns_map: whether there is anything to train.
    """

    defaults: Mapping[str, Any] = field(default_factory=dict)
    unused: tuple[str, ...] = ()
    learns_map: bool = True

    def default(self, name: str) -> Any:
        """The default of a field under this recipe; the paper's where the recipe has none of its own."""
        return self.defaults.get(name, _PAPER_DEFAULTS[name])


_PAPER_DEFAULTS: Mapping[str, Any] = {
    "dimension": 2048,
    "iterations": 60,
    "query_samples": 700,
    "temperature": 0.1,
    "learning_rate": 1e-3,
    "weight_decay": 0.0,
    "smoothing": 0.0,
}
_RELEASED_ONLY = ("weight_decay", "smoothing")
_GRADIENT_ONLY = (
    *("dimension", "residual", "threshold", "temperature", "learning_rate", "em_weight", "reconstruction_weight"),
    *_RELEASED_ONLY,
)
_PAPER = RecipeSettings(unused=_RELEASED_ONLY)
_UNTRAINED = RecipeSettings(
    defaults={"dimension": None, "iterations": 0, "query_samples": None},
    unused=(*_GRADIENT_ONLY, "iterations"),
    learns_map=False,
)

RECIPES: Mapping[Recipe, RecipeSettings] = {
    # Which settings the choice will have is not known before it is made, so it takes none of a training's.
    Recipe.AUTO: RecipeSettings(defaults=_UNTRAINED.defaults, unused=_UNTRAINED.unused),
    Recipe.FROZEN: _UNTRAINED,
    Recipe.STANDARDISED: _UNTRAINED,
    Recipe.STANDARDISED_JOINTLY: _UNTRAINED,
    Recipe.PAPER: _PAPER,
    Recipe.PAPER_CENTRED: _PAPER,
    Recipe.PAPER_STANDARDISED: _PAPER,
    Recipe.RELEASED: RecipeSettings(
        defaults={
            "iterations": 200,
            "query_samples": None,
            "temperature": 1 / 14.28,
            "learning_rate": 2e-4,
            "weight_decay": 0.01,
            "smoothing": 0.1,
        },
        unused=("residual",),
    ),
    Recipe.ROBUST: RecipeSettings(defaults={"dimension": None, "iterations": 5, "query_samples": None}, unused=_GRADIENT_ONLY),
}

UNTRAINED = frozenset(recipe for recipe, settings in RECIPES.items() if not settings.learns_map)
"""Recipes that learn no map."""
