"""One run of the whole pipeline."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from cvgl.config.adapt import AdaptConfig
from cvgl.config.alignment import AlignConfig
from cvgl.config.cluster import ClusterConfig
from cvgl.config.evaluate import EvaluateConfig
from cvgl.config.extract import ExtractConfig
from cvgl.config.ingest import IngestConfig
from cvgl.config.quality import SelectConfig
from cvgl.config.recipes import Recipe
from cvgl.config.register import RegisterConfig
from cvgl.config.settings import Settings

_OF_ANY_RECIPE = {"seed", "query_view", "device", "precision", "hubness_neighbours", "checkpoint_every"}


class RunConfig(Settings):
    """One run of the whole pipeline."""

    lake: str = Field(".cvgl", description="folder that holds everything")
    ingest: IngestConfig
    align: AlignConfig = AlignConfig()
    extract: ExtractConfig = ExtractConfig()
    cluster: ClusterConfig = ClusterConfig()
    # Made anew, so that a form that is filled in from the defaults holds none of one recipe under the name of another.
    adapt: AdaptConfig = Field(default_factory=lambda: AdaptConfig(recipe=Recipe.AUTO))
    select: SelectConfig = SelectConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    registry: RegisterConfig = RegisterConfig()

    @model_validator(mode="before")
    @classmethod
    def _chosen_by_default(cls, values: Any) -> Any:
        """A run chooses its recipe, unless one is named or settings are given that only some recipe has."""
        adapt = values.get("adapt") if isinstance(values, dict) else None
        if not isinstance(adapt, dict) or "recipe" in adapt or not set(adapt) <= _OF_ANY_RECIPE:
            return values
        return {**values, "adapt": {**adapt, "recipe": Recipe.AUTO}}

    @property
    def dataset(self) -> str:
        """Name of the data set."""
        return self.ingest.dataset
