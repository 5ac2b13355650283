"""How the adapter is learned."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any, Self, TypeVar

from pydantic import Field, model_validator

from cvgl.config.compute import Device, Precision
from cvgl.config.settings import Settings
from cvgl.types import View

Value = TypeVar("Value")


class Recipe(StrEnum):
    """Ways to learn an adapter.

    Those named "paper" run Algorithm 1 of Li et al. 2024 and differ in what the descriptors go through first. The statistics
    are those of the unlabelled training rows. As printed, the algorithm's first pseudo-labels follow the views' offsets and
    gather on a few hubs; on the real sets measured it then loses to the frozen descriptors or equals them
    (docs/concepts/adaptation.md). So the default removes the offsets first, and says so in its name. "released" is the
    trainer that the authors published, which differs from what they printed in almost every part. "robust" is this
    project's own: each view standardised, then a Gaussian model of the difference between the views, in closed form
    (docs/lab-notebook/robust.md).

    "frozen", "standardised" and "standardised-jointly" learn no map: they are what others have to be better than. "auto" is
    a choice among all of these, by held-out training rows and without labels (docs/lab-notebook/judgement.md).
    """

    AUTO = "auto"  # whichever of the others proves best on rows that it did not learn from
    FROZEN = "frozen"  # L2 alone, nothing learned
    STANDARDISED = "standardised"  # minus their own view's mean, over its own deviation, then L2
    STANDARDISED_JOINTLY = "standardised-jointly"  # the same with one mean and deviation for both views

    PAPER = "paper"  # L2 alone, as printed
    PAPER_CENTRED = "paper-centred"  # minus their own view's mean, then L2
    PAPER_STANDARDISED = "paper-standardised"  # minus their own view's mean, over its own deviation, then L2
    RELEASED = "released"  # L2, then the published trainer: batch normalisation, mutual labels, learned temperature
    ROBUST = "robust"  # minus mean, over deviation, L2, then within-place whitening learned by expectation-maximisation


UNTRAINED = frozenset({Recipe.FROZEN, Recipe.STANDARDISED, Recipe.STANDARDISED_JOINTLY})
"""Recipes that learn no map."""

_WITHOUT_GRADIENT = UNTRAINED | {Recipe.ROBUST, Recipe.AUTO}

_GRADIENT_ONLY = ("residual", "threshold", "temperature", "learning_rate", "em_weight", "reconstruction_weight")
"""Settings of the recipes that follow a gradient; `robust` has its M-step in closed form."""


def by_recipe(paper: Value, released: Value, robust: Value) -> Callable[[dict[str, Any]], Value]:
    """A default that depends on the recipe, which is validated before the field that has it."""
    own = {Recipe.RELEASED: released, Recipe.ROBUST: robust}
    return lambda data: own.get(data["recipe"], paper)


def _iterations(data: dict[str, Any]) -> int:
    """60 as in the paper, where there is anything to iterate."""
    if data["recipe"] in UNTRAINED | {Recipe.AUTO}:
        return 0
    return int(by_recipe(60, 200, 5)(data))


def _query_samples(data: dict[str, Any]) -> int | None:
    return None if data["recipe"] in _WITHOUT_GRADIENT | {Recipe.RELEASED} else 700


class AdaptConfig(Settings):
    """The adapter's training. Defaults are the paper's (Li et al. 2024, Section III-F and IV-B) where it gives one, and those
    of its published trainer for the recipe `released`.

    A default that depends on the recipe is filled in when the settings are made, so a record of them holds every value.
    """

    recipe: Recipe = Field(
        Recipe.ROBUST,
        description="'robust' is this project's own, 'paper' the algorithm as printed, 'paper-...' the same on aligned views, "
        "'released' the authors' code, 'auto' whichever proves best without labels; default: 'robust', of a whole run 'auto'",
    )
    residual: bool = Field(
        False,
        description="the adapted descriptor is x + x W instead of x W, in place of the reverter (paper: Fig. 6a, Table VI); "
        "the dimension then stays d0",
    )
    dimension: int | None = Field(
        default_factory=lambda data: None if data["residual"] or data["recipe"] in _WITHOUT_GRADIENT else 2048,
        ge=1,
        le=16384,
        description="d of the adapted space (paper and released: 2048); none: d0, the only one with residual and robust",
    )
    iterations: int = Field(
        default_factory=_iterations,
        ge=0,
        description="T (paper: 60; 10 for CVUSA and CVACT; released: 200 epochs of one batch; robust: 5)",
    )
    query_samples: int | None = Field(
        default_factory=_query_samples,
        ge=1,
        description="queries drawn each iteration (paper: 700; 1,500 for CVUSA and CVACT; released: none, one per "
        "reference; robust: none, all of them, the same in each iteration)",
    )
    threshold: float = Field(
        0.1, ge=-1, le=1, description="a pseudo-label needs a similarity above this (paper and released: 0.1)"
    )
    temperature: float = Field(
        default_factory=by_recipe(0.1, 1 / 14.28, 0.1),
        gt=0,
        description="tau of InfoNCE, Eq. 6 (not given in the paper: 0.1; released learns it, starting at 1 / 14.28)",
    )
    learning_rate: float = Field(
        default_factory=by_recipe(1e-3, 2e-4, 1e-3),
        gt=0,
        description="of Adam (paper: 0.001), or of AdamW at its highest (released: 0.0002)",
    )
    weight_decay: float = Field(
        default_factory=by_recipe(0.0, 0.01, 0.0), ge=0, description="of AdamW (released: 0.01; the paper has none)"
    )
    smoothing: float = Field(
        default_factory=by_recipe(0.0, 0.1, 0.0),
        ge=0,
        lt=1,
        description="of InfoNCE's targets (released: 0.1; the paper has none)",
    )
    em_weight: float = Field(1.0, ge=0, description="weight of L_EM (paper and released: 1)")
    reconstruction_weight: float = Field(
        default_factory=lambda data: 0.0 if data["residual"] else 1.0,
        ge=0,
        description="weight of L_re, Eq. 8 (paper and released: 1); 0 switches AIC off, as residual does",
    )
    seed: int = Field(0, ge=0, lt=2**31, description="of everything that is drawn at random")
    query_view: View | None = Field(
        None, description="which view is adapted to the satellite view; default: the only one there is"
    )
    device: Device = Field(Device.AUTO, description="where the training runs; auto takes a GPU when there is one")
    precision: Precision = Field(
        Precision.FLOAT32, description="of the matrix products; tf32 and bfloat16 need a GPU, float16 is not offered"
    )
    hubness_neighbours: int = Field(
        10, ge=1, le=1000, description="k of the hubness correction, CSLS, under which `robust` finds its pseudo-labels"
    )
    checkpoint_every: int = Field(10, ge=1, description="iterations between checkpoints")

    @model_validator(mode="after")
    def _fits_the_recipe(self) -> Self:
        if self.recipe is not Recipe.RELEASED and (self.weight_decay or self.smoothing):
            raise ValueError("weight_decay and smoothing belong to the recipe 'released'; the paper's have neither")
        if self.recipe in _WITHOUT_GRADIENT:
            self._refuse_gradient_settings()
        if self.recipe in UNTRAINED | {Recipe.AUTO} and self.iterations:
            raise ValueError(f"the recipe '{self.recipe}' has no iterations: leave them out, or name the recipe that has")
        if self.residual and self.recipe is Recipe.RELEASED:
            raise ValueError("residual is a variant of the paper's recipes; 'released' has none")
        if self.residual and self.reconstruction_weight:
            raise ValueError("residual takes the place of the reverter: leave reconstruction_weight out, or set it to 0")
        if not self.em_weight and not self.reconstruction_weight:
            raise ValueError("em_weight and reconstruction_weight are both 0: there is nothing to learn (or set iterations=0)")
        if self.precision is Precision.FLOAT16:
            raise ValueError("training in float16 is not offered, since its gradients underflow; use bfloat16")
        return self

    def _refuse_gradient_settings(self) -> None:
        if self.dimension is not None:
            raise ValueError(f"the recipe '{self.recipe}' keeps the dimension of the descriptors: leave dimension out")
        for name in _GRADIENT_ONLY:
            if getattr(self, name) != type(self).model_fields[name].get_default(
                call_default_factory=True, validated_data={"recipe": self.recipe, "residual": False}
            ):
                raise ValueError(f"{name} belongs to the recipes that follow a gradient; '{self.recipe}' has no use for it")

    def identity(self) -> dict[str, Any]:
        """Everything that decides what is learned: not where it runs, nor how often the state is saved."""
        return self.model_dump(mode="json", exclude={"device", "checkpoint_every"})
