"""How adaptations are judged and chosen without labels."""

from __future__ import annotations

from pydantic import Field

from cvgl.config.recipes import Recipe
from cvgl.config.settings import Settings

BASELINES = (Recipe.FROZEN, Recipe.STANDARDISED)
"""What learns no map, and what every choice is compared with. They are always candidates."""


class SelectConfig(Settings):
    """The choice that the recipe `auto` makes."""

    candidates: tuple[Recipe, ...] = Field(
        (Recipe.STANDARDISED_JOINTLY, Recipe.ROBUST, Recipe.PAPER_STANDARDISED, Recipe.PAPER, Recipe.RELEASED),
        description="recipes beside 'frozen' and 'standardised', from the simplest to the least safe",
    )
    confidence: float = Field(
        2.326, ge=0, description="standard errors by which a candidate must be better than the one presumed (one-sided 99 %)"
    )
    confidence_along: float = Field(
        1.645, ge=0, description="the same for images taken in a row, whose credit is fair to all candidates (95 %)"
    )
    most_work: float = Field(
        1e9,
        ge=0,
        description="multiplications for one training of a recipe that follows a gradient, above which it is left out",
    )
    repeats: int = Field(2, ge=1, le=16, description="how often the queries are divided into two halves")
    fewest: int = Field(20, ge=4, description="images of a view below which nothing is chosen")
