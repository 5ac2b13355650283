"""`cvgl reproduce`: the paper's tables and figures and this project's own, measured again on data at hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cvgl.config import AdaptConfig, AlignConfig, AlignmentConfig, ExtractConfig
from cvgl.reproduction.experiments import EXPERIMENTS, Sampling
from flows.command import Answer, command
from flows.console import Screen
from flows.engine import engine
from flows.options import ALIGN, ALIGNMENT, FEATURES, LAKE, Draft, Setting

if TYPE_CHECKING:
    from cvgl.reproduction.experiments import Experiment
    from cvgl.reproduction.reproduce import ReproduceOutcome
    from cvgl.reproduction.settings import ReproduceConfig
    from cvgl.reproduction.sources import SourceConfig

_NAMES = ", ".join(f"{name} ({experiment.source.rpartition(', ')[2]})" for name, experiment in EXPERIMENTS.items())
_OVERRIDES = tuple(
    Setting(flag, f"adapt.{flag[2:].replace('-', '_')}")
    for flag in ("--iterations", "--temperature", "--threshold", "--learning-rate")
)

Name = Annotated[str, typer.Argument(metavar="EXPERIMENT", help=f"One of: {_NAMES}.", show_default=False)]
DataRoot = Annotated[
    Path,
    typer.Option(
        "--data-root",
        help="Folder in the layout of University-1652; for 'robust' also a set of flights, or a folder that holds such sets.",
        show_default=False,
    ),
]
Dataset = Annotated[str | None, typer.Option("--dataset", help="Its name in the lake, if it is one; default: the folder's.")]
Weights = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        help="Folder with weights, told by file name; every model found is used unless --backbone names one. "
        "Default: the folder 'weights' beside the data root or beside its parent.",
    ),
]
Seeds = Annotated[
    str | None,
    typer.Option("--seeds", help="Seeds of the trainings, separated by commas; default: 0,1,2, for 'robust' 0,1,2,3,4."),
]
Draws = Annotated[
    Sampling, typer.Option("--released-sampling", help="building-balanced reads the training pictures' ground truth.")
]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    command(app, FEATURES, ALIGN, ALIGNMENT, _OVERRIDES, LAKE)(reproduce)


def reproduce(
    draft: Draft,
    experiment: Name,
    data_root: DataRoot,
    dataset: Dataset = None,
    weights: Weights = None,
    seeds: Seeds = None,
    released_sampling: Draws = Sampling.UNIFORM,
) -> Answer:
    """Measure a table or figure of the paper again; without --backbone, with every frozen model whose weights are found.

    'robust' measures every recipe against this project's targets, with and without an alignment chosen without labels.
    """
    from rich.console import Group

    from cvgl.errors import DataError
    from cvgl.reproduction.weights import choose_backbones
    from flows.reproduction_tables import shown, summary

    if experiment not in EXPERIMENTS:
        raise typer.BadParameter(f"'{experiment}' is none of: {_NAMES}", param_hint="EXPERIMENT")
    chosen = EXPERIMENTS[experiment]
    root = data_root.expanduser().resolve()
    if not root.is_dir():
        raise DataError("the data root is no folder", where=root, fix="give the folder that holds train/ and test/")
    extract = _extract(draft)
    choice = choose_backbones(extract.backbone, root, weights)
    config = _config(
        {
            "experiment": experiment,
            "sources": _sources(chosen, root, dataset),
            "backbones": choice.backbones,
            "extract": extract,
            "align": _align(draft, chosen, extract),
            "seeds": chosen.seeds if seeds is None else _seeds(seeds),
            "released_sampling": released_sampling,
            "overrides": _overrides(draft),
        }
    )
    screen = Screen()
    with engine(draft.lake, screen):
        from flows.reproduce import reproduce as flow

        for note in choice.notes:
            screen.console.print(f"  {note}", markup=False)
        outcomes = flow(config, str(draft.lake.root))
    return Answer(_value(config, draft, outcomes, choice.notes), Group(*map(shown, outcomes), summary(outcomes)))


def _extract(draft: Draft) -> ExtractConfig:
    from cvgl.reproduction.weights import AUTO

    return draft.with_default("extract.backbone.name", AUTO).section("extract", ExtractConfig)


def _overrides(draft: Draft) -> dict[str, Any]:
    """What was given of the settings that hold for every configuration."""
    given = draft.section("adapt", AdaptConfig)
    names = {setting.path.rpartition(".")[2] for setting in _OVERRIDES}
    return {name: getattr(given, name) for name in names & given.model_fields_set}


def _config(values: dict[str, Any]) -> ReproduceConfig:
    from pydantic import ValidationError

    from cvgl.reproduction.settings import ReproduceConfig

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


def _sources(experiment: Experiment, root: Path, dataset: str | None) -> tuple[SourceConfig, ...]:
    from pydantic import ValidationError

    from cvgl.reproduction.sources import find_sources, whole

    try:
        return find_sources(root, dataset) if experiment.across_sources else (whole(root, dataset),)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise typer.BadParameter(f"{first['input']!r}: {first['msg']}", param_hint="--dataset") from error


def _align(draft: Draft, experiment: Experiment, extract: ExtractConfig) -> AlignConfig:
    """An alignment is chosen where the experiment asks for it, unless one is given; --align and --no-align go before both."""
    config = draft.section("align", AlignConfig)
    if "enabled" in config.model_fields_set:
        return config
    return config.model_copy(update={"enabled": experiment.aligns and extract.alignment == AlignmentConfig()})


def _value(config: ReproduceConfig, draft: Draft, outcomes: Sequence[ReproduceOutcome], notes: Sequence[str]) -> dict[str, Any]:
    experiment = EXPERIMENTS[config.experiment]
    return {
        "experiment": experiment.name,
        "source": experiment.source,
        "datasets": [source.dataset for source in config.sources],
        "lake": str(draft.lake.root),
        "seeds": list(config.seeds),
        "notes": list(notes),
        "backbones": [
            {
                **outcome.result.model_dump(mode="json"),
                "path": str(outcome.ref.path),
                "figure": None if outcome.figure is None else str(outcome.figure),
                "skipped": outcome.skipped,
            }
            for outcome in outcomes
        ],
    }
