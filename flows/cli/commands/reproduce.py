"""`cvgl reproduce`: the paper's tables and figures and this project's own, measured again on data at hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cvgl.experiments.contents import CONTENTS
from cvgl.experiments.experiments import EXPERIMENTS, Sampling
from flows.cli.command import DONE, FAILED, REFUSED, Answer, command
from flows.cli.console import Screen
from flows.cli.engine import engine
from flows.cli.options import Draft
from flows.cli.reproduce_request import ALL, JUDGEMENT, OVERRIDES, Request, existing
from flows.cli.settings import ALIGN, ALIGNMENT, FEATURES, LAKE

if TYPE_CHECKING:
    from cvgl.experiments.page_writing import PageOutcome
    from cvgl.experiments.pages import Finished
    from cvgl.experiments.planning import PagePlan, Resources
    from cvgl.experiments.reproduce import ReproduceOutcome

_NAMES = (
    f"{', '.join(CONTENTS)}, {ALL}, or this project's own: "
    f"{', '.join([*(name for name in EXPERIMENTS if name not in CONTENTS), JUDGEMENT])}"
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
    example = "cvgl reproduce table6 --data-root FOLDER"
    command(app, FEATURES, ALIGN, ALIGNMENT, OVERRIDES, LAKE, example=example)(reproduce)


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
    request = Request(draft, experiment, existing(data_root), dataset, weights, seeds, released_sampling)
    if experiment == JUDGEMENT:
        return _judge(request)
    return _measure_pages(request) if experiment in (*CONTENTS, ALL) else _measure_own(request)


def _measure_pages(request: Request) -> Answer:
    """Tables and figures of the paper, each with its page."""
    from rich.console import Group

    from cvgl.errors import CvglError, GateRefusal
    from cvgl.experiments.page_writing import write_index
    from cvgl.experiments.planning import make_plan
    from flows.cli.reproduction_tables import page_shown

    resources = request.resources()
    plans = [make_plan(name, resources) for name in request.names]
    screen = Screen()
    with engine(request.draft.lake, screen):
        from flows.reproduce import reproduce_page as flow

        for note in resources.choice.notes:
            screen.note(f"  {note}")
        results = [(plan, *flow(plan, str(request.draft.lake.root))) for plan in plans]
    errors = [outcome.error for _, finished, _ in results for outcome in finished if outcome.error is not None]
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
    request: Request, plan: PagePlan, finished: Sequence[Finished], page: PageOutcome, resources: Resources
) -> dict[str, Any]:
    measured = [outcome for outcome in finished if outcome.outcome is not None]
    return {
        "experiment": plan.name,
        "source": page.page.source,
        "datasets": [source.dataset for source in plan.sources],
        "lake": str(request.draft.lake.root),
        "seeds": sorted({seed for outcome in plan.measurables for seed in outcome.config.seeds}),
        "notes": [*resources.choice.notes, *plan.notes],
        "heading": page.page.heading,
        "page": {"html": str(page.html), "markdown": str(page.markdown)},
        "tables": [table.model_dump(mode="json") for table in page.page.tables],
        "grids": [grid.model_dump(mode="json") for grid in page.page.grids],
        "lacking": [outcome.model_dump(mode="json") for outcome in plan.lacking],
        "problems": list(page.page.problems),
        "backbones": [
            {"part": outcome.measurable.part, "stands_in": outcome.measurable.stands_in, **_outcome_value(outcome.outcome)}
            for outcome in measured
            if outcome.outcome is not None
        ],
    }


def _measure_own(request: Request) -> Answer:
    """This project's own experiments: their tables, without a page."""
    from rich.console import Group

    from flows.cli.reproduction_tables import shown, summary

    choice = request.choice()
    config, lake, screen = request.own(choice), request.draft.lake, Screen()
    with engine(lake, screen):
        from flows.reproduce import reproduce as flow

        for note in choice.notes:
            screen.note(f"  {note}")
        outcomes = flow(config, str(lake.root))
    experiment = EXPERIMENTS[config.experiment]
    value = {
        "experiment": experiment.name,
        "source": experiment.source,
        "datasets": [source.dataset for source in config.sources],
        "lake": str(lake.root),
        "seeds": list(config.seeds),
        "notes": list(choice.notes),
        "backbones": [_outcome_value(outcome) for outcome in outcomes],
    }
    return Answer(value, Group(*map(shown, outcomes), summary(outcomes)))


def _judge(request: Request) -> Answer:
    """Judgements made without labels, held against labels."""
    from flows.cli.judgement_tables import shown as judgement_shown

    own, lake, screen = EXPERIMENTS["robust"], request.draft.lake, Screen()
    choice, seeds = request.choice(), request.given_seeds() or own.seeds
    sources, extract, align = request.sources(), request.extract(), request.align(own)
    with engine(lake, screen):
        from flows.judgement import JudgementConfig, judgement

        for note in choice.notes:
            screen.note(f"  {note}")
        config = JudgementConfig(sources=sources, backbones=choice.backbones, extract=extract, align=align, seeds=seeds)
        outcome = judgement(config, str(lake.root))
    value = {
        "experiment": JUDGEMENT,
        "lake": str(lake.root),
        "notes": list(choice.notes),
        "path": str(outcome.ref.path),
        "figure": str(outcome.figure),
        **outcome.result.model_dump(mode="json"),
    }
    return Answer(value, judgement_shown(outcome))


def _outcome_value(outcome: ReproduceOutcome) -> dict[str, Any]:
    return {
        **outcome.result.model_dump(mode="json"),
        "path": str(outcome.ref.path),
        "figure": None if outcome.figure is None else str(outcome.figure),
        "skipped": outcome.skipped,
    }
