"""What a reproduction is asked for: the parameters of its flow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator

from cvgl.config import AdaptConfig, BackboneConfig, DatasetName, ExtractConfig, Layout, Settings
from cvgl.errors import ConfigError
from cvgl.reproduction.experiments import Sampling

Seed = Annotated[int, Field(ge=0, lt=2**31)]


class Overrides(Settings):
    """Settings of adaptation that hold for every configuration of an experiment; none: the recipe's own."""

    iterations: int | None = Field(None, ge=0)
    temperature: float | None = Field(None, gt=0)
    threshold: float | None = Field(None, ge=-1, le=1)
    learning_rate: float | None = Field(None, gt=0)

    def changes(self) -> dict[str, Any]:
        """The fields that were given."""
        return self.model_dump(exclude_none=True)


class ReproduceConfig(Settings):
    """One experiment of the paper, on one dataset, with one or more frozen models."""

    experiment: str = Field(description="name in cvgl.reproduction.experiments")
    data_root: str = Field(description="folder in the layout of University-1652")
    dataset: DatasetName = Field(description="name of the dataset in the lake")
    layout: Layout = Layout.AUTO
    backbones: tuple[BackboneConfig, ...] = Field(min_length=1, description="the frozen models, one table each")
    extract: ExtractConfig = Field(ExtractConfig(), description="everything but the frozen model")
    seeds: tuple[Seed, ...] = Field((0, 1, 2), min_length=1, description="of the trainings; figures are means over them")
    released_sampling: Sampling = Field(
        Sampling.UNIFORM,
        description="building-balanced reads the buildings of the training pictures, as the released code does",
    )
    overrides: Overrides = Overrides()

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) != len(seeds):
            raise ValueError("a seed stands there twice")
        return seeds

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
            return AdaptConfig.model_validate({"device": device, **self.overrides.changes(), **changes, "seed": seed})
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            field = f"{first['loc'][0]} = {first['input']!r}: " if first["loc"] else ""
            raise ConfigError(
                f"{field}{first['msg']}", where=f"settings of {self.experiment}", fix="change the overrides"
            ) from error
