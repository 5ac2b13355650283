"""`cvgl reproduce`: the paper's tables and figures, measured again on data at hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cvgl.config import AdaptConfig, ExtractConfig
from cvgl.reproduction.experiments import EXPERIMENTS, Sampling
from flows.command import Answer, command
from flows.console import Screen
from flows.engine import engine
from flows.options import FEATURES, LAKE, Draft, Setting

if TYPE_CHECKING:
    from rich.table import Table

    from cvgl.reproduction.reproduce import ReproduceOutcome
    from cvgl.reproduction.results import BackboneResult, ConfigurationResult, Spread
    from cvgl.reproduction.settings import ReproduceConfig

_NAMES = ", ".join(f"{name} ({experiment.source.rpartition(', ')[2]})" for name, experiment in EXPERIMENTS.items())
_OVERRIDES = tuple(
    Setting(flag, f"adapt.{flag[2:].replace('-', '_')}")
    for flag in ("--iterations", "--temperature", "--threshold", "--learning-rate")
)

Name = Annotated[str, typer.Argument(metavar="EXPERIMENT", help=f"One of: {_NAMES}.", show_default=False)]
DataRoot = Annotated[Path, typer.Option("--data-root", help="Folder in the layout of University-1652.", show_default=False)]
Dataset = Annotated[str | None, typer.Option("--dataset", help="Its name in the lake; default: the folder's.")]
Weights = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        help="Folder with weights, told by file name; every model found is used unless --backbone names one. "
        "Default: the folder 'weights' beside the data root or beside its parent.",
    ),
]
Seeds = Annotated[str, typer.Option("--seeds", help="Seeds of the trainings, separated by commas.")]
Draws = Annotated[
    Sampling, typer.Option("--released-sampling", help="building-balanced reads the training pictures' ground truth.")
]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    command(app, FEATURES, _OVERRIDES, LAKE)(reproduce)


def reproduce(
    draft: Draft,
    experiment: Name,
    data_root: DataRoot,
    dataset: Dataset = None,
    weights: Weights = None,
    seeds: Seeds = "0,1,2",
    released_sampling: Draws = Sampling.UNIFORM,
) -> Answer:
    """Measure a table or figure of the paper again; without --backbone, with every frozen model whose weights are found."""
    from rich.console import Group

    from cvgl.errors import DataError
    from cvgl.reproduction.weights import choose_backbones

    if experiment not in EXPERIMENTS:
        raise typer.BadParameter(f"'{experiment}' is none of: {_NAMES}", param_hint="EXPERIMENT")
    root = data_root.expanduser().resolve()
    if not root.is_dir():
        raise DataError("the data root is no folder", where=root, fix="give the folder that holds train/ and test/")
    extract = _extract(draft)
    choice = choose_backbones(extract.backbone, root, weights)
    config = _config(
        {
            "experiment": experiment,
            "data_root": str(root),
            "dataset": dataset or _dataset_name(root),
            "backbones": choice.backbones,
            "extract": extract,
            "seeds": _seeds(seeds),
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
    return Answer(_value(config, draft, outcomes, choice.notes), Group(*map(_shown, outcomes)))


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


def _dataset_name(root: Path) -> str:
    name = "".join(c if c.isascii() and (c.isalnum() or c in "_-.") else "-" for c in root.name).lstrip(".-")
    return name[:64] or "university"


def _value(config: ReproduceConfig, draft: Draft, outcomes: Sequence[ReproduceOutcome], notes: Sequence[str]) -> dict[str, Any]:
    experiment = EXPERIMENTS[config.experiment]
    return {
        "experiment": experiment.name,
        "source": experiment.source,
        "dataset": config.dataset,
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


def _shown(outcome: ReproduceOutcome) -> Any:
    from rich.console import Group
    from rich.text import Text

    asked = "; ".join(
        f"{one.direction} {one.n_queries} queries, {one.n_gallery} in the gallery"
        for one in outcome.result.configurations[0].directions
    )
    protocol = outcome.result.configurations[0].directions[0].protocol
    lines = [Text(f"{protocol}: {asked}", style="dim")]
    lines.append(Text(f"the paper ({outcome.result.published_with}): {outcome.result.finding}", style="dim"))
    if any(one.uses_ground_truth for one in outcome.result.configurations):
        lines.append(Text("* learned from ground truth: for comparison only", style="dim"))
    lines.append(Text(f"written to {outcome.ref.path}" + (" (measured before)" if outcome.skipped else "")))
    if outcome.figure is not None:
        lines.append(Text(f"figure: {outcome.figure}"))
    return Group(_table(outcome.result), *lines, "")


def _table(result: BackboneResult) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    changed = result.alignment.model_dump(mode="json", exclude_defaults=True)
    aligned = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in changed.items()) or "no alignment"
    title = f"{result.source}, {result.title}: {result.backbone.name} on {result.dataset} ({aligned})"
    table = Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True
    )
    table.add_column("rates in %", min_width=18)  # the longest word; longer names wrap on narrow terminals
    for name in ("R@1", "R@5", "R@10", "AP"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("paper R@1/AP", justify="right")
    for first in result.configurations[0].directions:
        table.add_section()
        table.add_row(Text(first.direction, style="cyan"))
        for configuration in result.configurations:
            table.add_row(*_cells(configuration, first.direction))
    return table


def _cells(configuration: ConfigurationResult, name: str) -> list[str]:
    direction, published = configuration.direction(name), configuration.published
    label = configuration.name + (" *" if configuration.uses_ground_truth else "")
    if direction is None:
        return [label]
    rates = [_percent(direction.recall[depth]) for depth in ("1", "5", "10")]
    said = published is not None and published.direction == name
    paper = f"{100 * published.recall_at_1:.1f}/{100 * published.ap:.1f}" if published is not None and said else ""
    return [label, *rates, _percent(direction.ap), paper]


def _percent(spread: Spread) -> str:
    return f"{100 * spread.mean:.1f}" + ("" if spread.deviation is None else f" ±{100 * spread.deviation:.1f}")
