"""How the adapter is learned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

from pydantic import Field, model_validator

from cvgl.config.compute import Device, Precision
from cvgl.config.recipes import RECIPES, Recipe
from cvgl.config.settings import Settings
from cvgl.types import View


def _by_recipe(name: str) -> Callable[[dict[str, Any]], Any]:
    """A default that depends on the recipe, which is validated before the field that has it."""
    return lambda data: RECIPES[data["recipe"]].default(name)


class AdaptConfig(Settings):
    """The adapter's training.

    Defaults are the paper's (Li et al. 2024, Section III-F and IV-B) where it gives one, and those of its published trainer for
    the recipe `released`.
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
        default_factory=lambda data: None if data["residual"] else RECIPES[data["recipe"]].default("dimension"),
        ge=1,
        le=16384,
        description="d of the adapted space (paper and released: 2048); none: d0, the only one with residual and robust",
    )
    iterations: int = Field(
        default_factory=_by_recipe("iterations"),
        ge=0,
        description="T (paper: 60; 10 for CVUSA and CVACT; released: 200 epochs of one batch; robust: 5)",
    )
    query_samples: int | None = Field(
        default_factory=_by_recipe("query_samples"),
        ge=1,
        description="queries drawn each iteration (paper: 700; 1,500 for CVUSA and CVACT; released: none, one per "
        "reference; robust: none, all of them, the same in each iteration)",
    )
    threshold: float = Field(
        0.1, ge=-1, le=1, description="a pseudo-label needs a similarity above this (paper and released: 0.1)"
    )
    temperature: float = Field(
        default_factory=_by_recipe("temperature"),
        gt=0,
        description="tau of InfoNCE, Eq. 6 (not given in the paper: 0.1; released learns it, starting at 1 / 14.28)",
    )
    learning_rate: float = Field(
        default_factory=_by_recipe("learning_rate"),
        gt=0,
        description="of Adam (paper: 0.001), or of AdamW at its highest (released: 0.0002)",
    )
    weight_decay: float = Field(
        default_factory=_by_recipe("weight_decay"), ge=0, description="of AdamW (released: 0.01; the paper has none)"
    )
    smoothing: float = Field(
        default_factory=_by_recipe("smoothing"),
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
        for name in RECIPES[self.recipe].unused:
            if getattr(self, name) != self._default(name):
                raise ValueError(f"{name} has no effect in the recipe '{self.recipe}': leave it out, or name another recipe")
        if self.residual and self.reconstruction_weight:
            raise ValueError("residual takes the place of the reverter: leave reconstruction_weight out, or set it to 0")
        if not self.em_weight and not self.reconstruction_weight:
            raise ValueError("em_weight and reconstruction_weight are both 0: there is nothing to learn (or set iterations=0)")
        if self.precision is Precision.FLOAT16:
            raise ValueError("training in float16 is not offered, since its gradients underflow; use bfloat16")
        return self

    def _default(self, name: str) -> Any:
        decided = {"recipe": self.recipe, "residual": False}
        return type(self).model_fields[name].get_default(call_default_factory=True, validated_data=decided)

    def identity(self) -> dict[str, Any]:
        """All settings that change the adapter: without the device and the interval of checkpoints."""
        return self.model_dump(mode="json", exclude={"device", "checkpoint_every"})
