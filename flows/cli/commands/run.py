"""`cvgl run` and `cvgl demo`: the whole pipeline."""

from __future__ import annotations

import typer

from cvgl.config import RunConfig
from cvgl.lake import Lake
from flows.cli.command import DONE, REFUSED, Answer, command
from flows.cli.console import Screen
from flows.cli.engine import engine
from flows.cli.options import Draft
from flows.cli.settings import (
    ADAPTER,
    ALIGN,
    ALIGNMENT,
    CLUSTER,
    DATASET,
    EVALUATION,
    FEATURES,
    LAKE,
    LAYOUT,
    REGISTRY,
    SELECTION,
    SOURCE,
)


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    command(app, LAKE, example="cvgl demo --lake demo-lake")(demo)
    stages = (ALIGN, ALIGNMENT, FEATURES, CLUSTER, ADAPTER, SELECTION, EVALUATION, REGISTRY)
    example = "cvgl run --source FOLDER --dataset town"
    command(app, DATASET, SOURCE, LAYOUT, *stages, LAKE, everyday=True, example=example)(run)


def run(draft: Draft) -> Answer:
    """Everything at once: ingest, align, extract, adapt, evaluate, register, report. Finished work is skipped."""
    from tasks.sources import recall

    if draft.source is None:
        draft = draft.with_default("ingest", recall(draft.lake, draft.dataset))
    config = draft.run()
    with engine(Lake.at(config.lake), Screen()):
        return _answer(config)


def demo(draft: Draft) -> Answer:
    """The whole pipeline on a built-in town: offline, with no weights to download, in minutes."""
    from flows.cli.demo import demo_config, write_world

    screen = Screen()
    with engine(draft.lake, screen):
        manifest = write_world(draft.lake, screen.stage("drawing a town and flying over it"))
        return _answer(demo_config(draft.lake, manifest))


def _answer(config: RunConfig) -> Answer:
    from flows.cli.tables import run_answer
    from flows.pipeline import pipeline

    outcome = pipeline(config)
    return Answer(outcome.as_json(), run_answer(outcome), REFUSED if outcome.verdict == "refused" else DONE)
