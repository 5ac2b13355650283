"""`cvgl reproduce`: the paper's tables and figures and this project's own, measured again on data at hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cvgl.config import AdaptConfig, AlignConfig, AlignmentConfig, BackboneConfig, ExtractConfig
from cvgl.reproduction.contents import CONTENTS
from cvgl.reproduction.experiments import EXPERIMENTS, Sampling
from flows.command import DONE, FAILED, REFUSED, Answer, command
from flows.console import Screen
from flows.engine import engine
from flows.options import ALIGN, ALIGNMENT, FEATURES, LAKE, Draft, Setting

if TYPE_CHECKING:
    from cvgl.reproduction.experiments import Experiment
    from cvgl.reproduction.page_writing import PageOutcome
    from cvgl.reproduction.pages import Finished
    from cvgl.reproduction.planning import PagePlan, Resources
    from cvgl.reproduction.reproduce import ReproduceOutcome
    from cvgl.reproduction.settings import ReproduceConfig
    from cvgl.reproduction.sources import SourceConfig

ALL, JUDGEMENT = "all", "judgement"
_NAMES = (
    f"{', '.join(CONTENTS)}, {ALL}, or this project's own: "
    f"{', '.join([*(name for name in EXPERIMENTS if name not in CONTENTS), JUDGEMENT])}"
)
_OVERRIDES = tuple(
    Setting(flag, f"adapt.{flag[2:].replace('-', '_')}")
    for flag in ("--iterations", "--temperature", "--threshold", "--learning-rate")
)

Name = Annotated[str, typer.Argument(metavar="EXPERIMENT", help=f"One of: {_NAMES}.", show_default=False)]
DataRoot = Annotated[
    Path,
    typer.Option(
        "--data-root",
        help="Folder of a data set in its published layout, or a folder that holds several; where one that is needed is not "
        "there, the built-in world in its layout takes its place, and the page says so.",
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
    typer.Option(
        "--seeds", help="Seeds of the trainings, separated by commas; default: 0,1,2, for figures 0, for 'robust' 0,1,2,3,4."
    ),
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
    """Measure tables and figures of the paper again: a page each, published and measured side by side.

    Without --backbone, every frozen model whose weights are found: the paper's own where they are there, others in their
    place. 'all' is every table and figure; 'robust' measures every recipe against this project's targets; 'judgement' holds
    what is said without labels against labels.
    """
    if experiment not in (*CONTENTS, *EXPERIMENTS, ALL, JUDGEMENT):
        raise typer.BadParameter(f"'{experiment}' is none of: {_NAMES}", param_hint="EXPERIMENT")
    request = _Request(draft, experiment, _existing(data_root), dataset, weights, seeds, released_sampling)
    if experiment == JUDGEMENT:
        return _judge(request)
    return _measure_pages(request) if experiment in (*CONTENTS, ALL) else _measure_own(request)


@dataclass(frozen=True, slots=True)
class _Request:
    """What was asked for."""

    draft: Draft
    experiment: str
    root: Path
    dataset: str | None
    weights: Path | None
    seeds: str | None
    sampling: Sampling

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(CONTENTS) if self.experiment == ALL else (self.experiment,)

    def given_seeds(self) -> tuple[int, ...] | None:
        """The seeds; none where the experiment's own are meant."""
        if self.seeds is None:
            return None
        parsed = _seeds(self.seeds)
        config = {"experiment": "table1", "sources": (_any_source(self.root),), "backbones": (BackboneConfig(),)}
        return _config({**config, "seeds": parsed}).seeds


def _measure_pages(request: _Request) -> Answer:
    """Tables and figures of the paper, each with its page."""
    from rich.console import Group

    from cvgl.errors import CvglError, GateRefusal
    from cvgl.reproduction.page_writing import write_index
    from cvgl.reproduction.planning import make_plan
    from flows.reproduction_tables import page_shown

    resources = _resources(request)
    plans = [make_plan(name, resources) for name in request.names]
    screen = Screen()
    with engine(request.draft.lake, screen):
        from flows.reproduce import reproduce_page as flow

        for note in resources.choice.notes:
            screen.console.print(f"  {note}", markup=False)
        results = [(plan, *flow(plan, str(request.draft.lake.root))) for plan in plans]
    errors = [one.error for _, finished, _ in results for one in finished if one.error is not None]
    if errors and len(errors) == sum(len(finished) for _, finished, _ in results):
        raise errors[0]
    outcomes = [page for _, _, page in results]
    index = write_index(outcomes, request.draft.lake)[0] if request.experiment == ALL else None
    values = [_page_value(request, plan, finished, page, resources) for plan, finished, page in results]
    value = values[0] if index is None else {"experiment": ALL, "index": str(index), "experiments": values}
    failed = any(isinstance(error, CvglError) and not isinstance(error, GateRefusal) for error in errors)
    code = FAILED if failed else REFUSED if errors else DONE
    return Answer(value, Group(*map(page_shown, outcomes), *([f"all pages: {index}"] if index else [])), code)


def _page_value(
    request: _Request, plan: PagePlan, finished: Sequence[Finished], page: PageOutcome, resources: Resources
) -> dict[str, Any]:
    measured = [one for one in finished if one.outcome is not None]
    return {
        "experiment": plan.name,
        "source": page.page.source,
        "datasets": [source.dataset for source in plan.sources],
        "lake": str(request.draft.lake.root),
        "seeds": sorted({seed for one in plan.measurables for seed in one.config.seeds}),
        "notes": [*resources.choice.notes, *plan.notes],
        "heading": page.page.heading,
        "page": {"html": str(page.html), "markdown": str(page.markdown)},
        "tables": [table.model_dump(mode="json") for table in page.page.tables],
        "grids": [grid.model_dump(mode="json") for grid in page.page.grids],
        "lacking": [one.model_dump(mode="json") for one in plan.lacking],
        "problems": list(page.page.problems),
        "backbones": [
            {"part": one.measurable.part, "stands_in": one.measurable.stands_in, **_outcome_value(one.outcome)}
            for one in measured
            if one.outcome is not None
        ],
    }


def _resources(request: _Request) -> Resources:
    from cvgl.reproduction.planning import Resources
    from cvgl.reproduction.sources import find_sources
    from cvgl.reproduction.weights import AUTO, choose_backbones, find_weights

    extract = _extract(request.draft)
    choice = choose_backbones(extract.backbone, request.root, request.weights)
    values: dict[str, Any] = {"released_sampling": request.sampling, "overrides": _overrides(request.draft)}
    checked = _config(
        {"experiment": "table1", "sources": (_any_source(request.root),), "backbones": choice.backbones, **values}
    )
    given = extract.backbone.name
    return Resources(
        lake=request.draft.lake,
        data_root=request.root,
        sources=_renamed(find_sources, request),
        found=find_weights(request.root, request.weights),
        choice=choice,
        given=AUTO if extract.backbone.checkpoint is None and given == AUTO else choice.backbones[0].name,
        weights=request.weights,
        extract=extract,
        align=_align(request.draft, EXPERIMENTS["table1"], extract),
        sampling=request.sampling,
        overrides=checked.overrides,
        seeds=request.given_seeds(),
    )


def _renamed(find: Callable[[Path, str | None], tuple[SourceConfig, ...]], request: _Request) -> tuple[SourceConfig, ...]:
    from pydantic import ValidationError

    try:
        return find(request.root, request.dataset)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise typer.BadParameter(f"{first['input']!r}: {first['msg']}", param_hint="--dataset") from error


def _any_source(root: Path) -> SourceConfig:
    from cvgl.reproduction.sources import whole

    return whole(root)


def _existing(data_root: Path) -> Path:
    from cvgl.errors import DataError

    root = data_root.expanduser().resolve()
    if not root.is_dir():
        raise DataError("the data root is no folder", where=root, fix="give the folder that holds the data set")
    return root


def _measure_own(request: _Request) -> Answer:
    """This project's own experiments: their tables, without a page."""
    from rich.console import Group

    from cvgl.reproduction.weights import choose_backbones
    from flows.reproduction_tables import shown, summary

    draft, chosen = request.draft, EXPERIMENTS[request.experiment]
    extract = _extract(draft)
    choice = choose_backbones(extract.backbone, request.root, request.weights)
    config = _config(
        {
            "experiment": request.experiment,
            "sources": _sources(chosen, request.root, request.dataset),
            "backbones": choice.backbones,
            "extract": extract,
            "align": _align(draft, chosen, extract),
            "seeds": chosen.seeds if request.seeds is None else _seeds(request.seeds),
            "released_sampling": request.sampling,
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


def _judge(request: _Request) -> Answer:
    """Judgements made without labels, held against labels."""
    from cvgl.reproduction.sources import find_sources
    from cvgl.reproduction.weights import choose_backbones
    from flows.judgement_tables import shown as judgement_shown

    draft, extract = request.draft, _extract(request.draft)
    choice = choose_backbones(extract.backbone, request.root, request.weights)
    sources = _renamed(find_sources, request)
    align = _align(draft, EXPERIMENTS["robust"], extract)
    seeds = request.given_seeds() or EXPERIMENTS["robust"].seeds
    screen = Screen()
    with engine(draft.lake, screen):
        from flows.judgement import JudgementConfig, judgement

        for note in choice.notes:
            screen.console.print(f"  {note}", markup=False)
        config = JudgementConfig(sources=sources, backbones=choice.backbones, extract=extract, align=align, seeds=seeds)
        outcome = judgement(config, str(draft.lake.root))
    value = {
        "experiment": JUDGEMENT,
        "lake": str(draft.lake.root),
        "notes": list(choice.notes),
        "path": str(outcome.ref.path),
        "figure": str(outcome.figure),
        **outcome.result.model_dump(mode="json"),
    }
    return Answer(value, judgement_shown(outcome))


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
        "backbones": [_outcome_value(outcome) for outcome in outcomes],
    }


def _outcome_value(outcome: ReproduceOutcome) -> dict[str, Any]:
    return {
        **outcome.result.model_dump(mode="json"),
        "path": str(outcome.ref.path),
        "figure": None if outcome.figure is None else str(outcome.figure),
        "skipped": outcome.skipped,
    }
