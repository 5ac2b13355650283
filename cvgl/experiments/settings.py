"""What a reproduction is asked for: the parameters of its flow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator

from cvgl.config import AdaptConfig, AlignConfig, BackboneConfig, ExtractConfig, Recipe, Settings
from cvgl.errors import ConfigError
from cvgl.experiments.configuration import Sampling
from cvgl.experiments.sources import SourceConfig

Seed = Annotated[int, Field(ge=0, lt=2**31)]


class Overrides(Settings):
    """Settings of adaptation that hold for every configuration of an experiment; none: the recipe's own.

    `robust` follows no gradient, so of these only `iterations` says anything to it.
    """

    iterations: int | None = Field(None, ge=0, description="of every training")
    temperature: float | None = Field(None, gt=0, description="tau of InfoNCE")
    threshold: float | None = Field(None, ge=-1, le=1, description="similarity above which a pseudo-label counts")
    learning_rate: float | None = Field(None, gt=0, description="of the optimiser")

    def changes(self, recipe: str) -> dict[str, Any]:
        """The fields that were given and that a recipe knows."""
        return self.model_dump(exclude_none=True, include={"iterations"} if recipe == Recipe.ROBUST else None)


class ReproduceConfig(Settings):
    """One experiment, on one or more data sets, with one or more frozen models."""

    experiment: str = Field(description="name in cvgl.experiments.experiments")
    sources: tuple[SourceConfig, ...] = Field(min_length=1, description="the data sets, each measured on its own")
    backbones: tuple[BackboneConfig, ...] = Field(min_length=1, description="the frozen models, one table each")
    extract: ExtractConfig = Field(ExtractConfig(), description="everything but the frozen model")
    align: AlignConfig = Field(
        AlignConfig(enabled=False), description="enabled: everything is also measured with an alignment chosen without labels"
    )
    seeds: tuple[Seed, ...] = Field((0, 1, 2), min_length=1, description="of the trainings; figures are means over them")
    released_sampling: Sampling = Field(
        Sampling.UNIFORM,
        description="building-balanced reads the buildings of the training images, as the released code does",
    )
    frozen_only: bool = Field(False, description="only the frozen model as it is, as where the paper adapts nothing")
    split_seed: int = Field(0, ge=0, lt=2**31, description="of the division of a test set, where an experiment has one")
    overrides: Overrides = Overrides()

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) != len(seeds):
            raise ValueError("a seed stands there twice")
        return seeds

    @field_validator("sources")
    @classmethod
    def _named_apart(cls, sources: tuple[SourceConfig, ...]) -> tuple[SourceConfig, ...]:
        names = [source.dataset for source in sources]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two data sets would be called '{twice[0]}'")
        return sources

    @property
    def title(self) -> str:
        """The data sets, for people."""
        return ", ".join(source.dataset for source in self.sources)

    def source(self, dataset: str) -> SourceConfig:
        """The data set of a name.

        Raises:
            ConfigError: there is none.
        """
        match = next((source for source in self.sources if source.dataset == dataset), None)
        if match is None:
            raise ConfigError(f"'{dataset}' is none of: {self.title}", where="ReproduceConfig.sources", fix="name it there")
        return match

    def extraction(self, backbone: BackboneConfig) -> ExtractConfig:
        """The extraction's settings for one of the frozen models."""
        return self.extract.model_copy(update={"backbone": backbone})

    def training(self, changes: Mapping[str, Any], seed: int) -> AdaptConfig:
        """The settings of one training: a configuration's changes before the overrides before the recipe's defaults.

        Raises:
            ConfigError: they contradict one another.
        """
        try:
            device = self.extract.device
            overrides = self.overrides.changes(changes.get("recipe", AdaptConfig.model_fields["recipe"].default))
            return AdaptConfig.model_validate({"device": device, **overrides, **changes, "seed": seed})
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            field = f"{first['loc'][0]} = {first['input']!r}: " if first["loc"] else ""
            raise ConfigError(
                f"{field}{first['msg']}", where=f"settings of {self.experiment}", fix="change the overrides"
            ) from error
