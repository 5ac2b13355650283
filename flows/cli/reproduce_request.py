"""What was asked of `cvgl reproduce`, turned into settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from cvgl.config import AdaptConfig, AlignConfig, AlignmentConfig, BackboneConfig, ExtractConfig
from cvgl.experiments.contents import CONTENTS
from cvgl.experiments.experiments import EXPERIMENTS, Sampling
from flows.cli.options import Draft
from flows.cli.settings import Setting

if TYPE_CHECKING:
    from cvgl.experiments.experiments import Experiment
    from cvgl.experiments.planning import Resources
    from cvgl.experiments.settings import ReproduceConfig
    from cvgl.experiments.sources import SourceConfig
    from cvgl.experiments.weights import Choice

ALL, JUDGEMENT = "all", "judgement"
OVERRIDES = tuple(
    Setting(flag, f"adapt.{flag[2:].replace('-', '_')}")
    for flag in ("--iterations", "--temperature", "--threshold", "--learning-rate")
)


@dataclass(frozen=True, slots=True)
class Request:
    """The options of one call.

    Attributes:
        draft: frozen model, alignment and overrides.
        experiment: a table or figure, `ALL`, one of this project's own, or `JUDGEMENT`.
        root: folder with the data.
        dataset: its name in the lake; none: the folder's.
        weights: folder with weights; none: beside the data.
        seeds: as given, separated by commas; none: the experiment's own.
        sampling: how the released code's training images are drawn.
    """

    draft: Draft
    experiment: str
    root: Path
    dataset: str | None
    weights: Path | None
    seeds: str | None
    sampling: Sampling

    @property
    def names(self) -> tuple[str, ...]:
        """The tables and figures that are meant."""
        return tuple(CONTENTS) if self.experiment == ALL else (self.experiment,)

    def given_seeds(self) -> tuple[int, ...] | None:
        """The seeds; none where the experiment's own are meant."""
        if self.seeds is None:
            return None
        return self._validated({"backbones": (BackboneConfig(),), "seeds": _seeds(self.seeds)}).seeds

    def extract(self) -> ExtractConfig:
        """Settings of the frozen model; its name stands for every model found where none was given."""
        from cvgl.experiments.weights import AUTO

        return self.draft.with_default("extract.backbone.name", AUTO).section("extract", ExtractConfig)

    def choice(self) -> Choice:
        """The frozen models."""
        from cvgl.experiments.weights import choose_backbones

        return choose_backbones(self.extract().backbone, self.root, self.weights)

    def align(self, experiment: Experiment) -> AlignConfig:
        """Whether one is chosen: as said; else where the experiment asks for it and none is given."""
        config = self.draft.section("align", AlignConfig)
        if "enabled" in config.model_fields_set:
            return config
        return config.model_copy(update={"enabled": experiment.aligns and self.extract().alignment == AlignmentConfig()})

    def sources(self, *, across: bool = True) -> tuple[SourceConfig, ...]:
        """The data sets below the root; without `across`, the root as one.

        Raises:
            typer.BadParameter: a name that no dataset can have.
        """
        from pydantic import ValidationError

        from cvgl.experiments.sources import find_sources, whole

        try:
            return find_sources(self.root, self.dataset) if across else (whole(self.root, self.dataset),)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise typer.BadParameter(f"{first['input']!r}: {first['msg']}", param_hint="--dataset") from error

    def resources(self) -> Resources:
        """What the paper's tables and figures can be measured with."""
        from cvgl.experiments.planning import Resources
        from cvgl.experiments.weights import AUTO, find_weights

        extract, choice = self.extract(), self.choice()
        checked = self._validated(
            {"backbones": choice.backbones, "released_sampling": self.sampling, "overrides": self._overrides()}
        )
        backbone_name = extract.backbone.name
        return Resources(
            lake=self.draft.lake,
            data_root=self.root,
            sources=self.sources(),
            found=find_weights(self.root, self.weights),
            choice=choice,
            given=AUTO if extract.backbone.checkpoint is None and backbone_name == AUTO else choice.backbones[0].name,
            weights=self.weights,
            extract=extract,
            align=self.align(EXPERIMENTS["table1"]),
            sampling=self.sampling,
            overrides=checked.overrides,
            seeds=self.given_seeds(),
        )

    def own(self, choice: Choice) -> ReproduceConfig:
        """Settings of one of this project's own experiments."""
        experiment = EXPERIMENTS[self.experiment]
        return _config(
            {
                "experiment": self.experiment,
                "sources": self.sources(across=experiment.across_sources),
                "backbones": choice.backbones,
                "extract": self.extract(),
                "align": self.align(experiment),
                "seeds": experiment.seeds if self.seeds is None else _seeds(self.seeds),
                "released_sampling": self.sampling,
                "overrides": self._overrides(),
            }
        )

    def _overrides(self) -> dict[str, Any]:
        """What was given of the settings that hold for every configuration."""
        settings = self.draft.section("adapt", AdaptConfig)
        names = {setting.path.rpartition(".")[2] for setting in OVERRIDES}
        return {name: getattr(settings, name) for name in names & settings.model_fields_set}

    def _validated(self, values: dict[str, Any]) -> ReproduceConfig:
        """Checks values that hold for any experiment, as those of one."""
        from cvgl.experiments.sources import whole

        return _config({"experiment": "table1", "sources": (whole(self.root),), **values})


def existing(data_root: Path) -> Path:
    """The folder, resolved.

    Raises:
        DataError: it is none.
    """
    from cvgl.errors import DataError

    root = data_root.expanduser().resolve()
    if not root.is_dir():
        raise DataError("the data root is no folder", where=root, fix="give the folder that holds the data set")
    return root


def _config(values: dict[str, Any]) -> ReproduceConfig:
    from pydantic import ValidationError

    from cvgl.experiments.settings import ReproduceConfig

    try:
        return ReproduceConfig.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0]).replace("_", "-")
        raise typer.BadParameter(f"{first['input']!r}: {first['msg']}", param_hint=f"--{name}") from error


def _seeds(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise typer.BadParameter(f"'{text}' is no list of whole numbers, for example 0,1,2", param_hint="--seeds") from error
