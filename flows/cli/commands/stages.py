"""`cvgl ingest | align | extract | adapt | evaluate`: one stage at a time."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from cvgl.config import AdaptConfig, AlignConfig, ClusterConfig, EvaluateConfig, ExtractConfig, IngestConfig, SelectConfig
from flows.cli.command import Answer, command
from flows.cli.console import Screen
from flows.cli.engine import engine
from flows.cli.options import Draft, as_options
from flows.cli.settings import (
    ADAPTER,
    ALIGN_VIEW,
    ALIGNMENT,
    CLUSTER,
    DATASET,
    EVALUATION,
    FEATURES,
    LAKE,
    LAYOUT,
    POSITIONAL_SOURCE,
    SELECTION,
)

Run = Annotated[str, typer.Argument(metavar="RUN", help="Name of a run, as `cvgl adapt` printed it.", show_default=False)]
Fingerprint = Annotated[
    str | None, typer.Option("--features", help="Fingerprint of the frozen model (or its beginning), if there are several.")
]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    command(app, POSITIONAL_SOURCE, DATASET, LAYOUT, LAKE, example="cvgl ingest FOLDER --dataset town")(ingest)
    command(app, DATASET, FEATURES, ALIGNMENT, ALIGN_VIEW, LAKE, example="cvgl align --dataset town")(align)
    command(app, DATASET, FEATURES, CLUSTER, LAKE, example="cvgl extract --dataset town --query-crop 0.7")(extract)
    command(app, DATASET, ADAPTER, SELECTION, LAKE, example="cvgl adapt --dataset town --recipe robust")(adapt)
    command(app, EVALUATION, LAKE, example="cvgl evaluate RUN")(evaluate)


def ingest(draft: Draft) -> Answer:
    """Take images into the lake: a folder of views, a published data set (docs/how-to/datasets.md), or a manifest."""
    from cvgl.ingestion.summaries import as_json
    from flows.cli.tables import facts, position_facts

    config = draft.section("ingest", IngestConfig)
    with engine(draft.lake, Screen()):
        from flows.ingest import ingest as flow

        outcome = flow(config, str(draft.lake.root))
    counts = {"new": outcome.new, "known": outcome.known, "quarantined": outcome.quarantined, "total": outcome.total}
    value = {"dataset": config.dataset, "lake": str(draft.lake.root), "images": counts, "skipped": outcome.skipped}
    rows = {**counts, **({"see": 'cvgl query "FROM quarantine"'} if outcome.quarantined else {})}
    answer = facts({**rows, **position_facts(outcome.summaries, outcome.passed_over)}, f"{config.dataset}: images")
    return Answer({**value, **as_json(outcome.summaries, outcome.passed_over)}, answer)


def align(draft: Draft) -> Answer:
    """Choose how the views are aligned, without labels; options that are given stay. Changes no descriptor by itself."""
    from flows.cli.tables import alignment_answer

    extraction, config = draft.section("extract", ExtractConfig), draft.section("align", AlignConfig)
    dataset = draft.dataset
    with engine(draft.lake, Screen()):
        from flows.align import align as flow

        outcome = flow(dataset, extraction, config, str(draft.lake.root))
    chosen = outcome.config.model_dump(mode="json", include={"backbone", "alignment"}, exclude_defaults=True)
    place = {"reason": outcome.record.reason, "passes": outcome.record.passes, "path": str(outcome.ref.path)}
    value = {"dataset": dataset, "lake": str(draft.lake.root), "extract": chosen, **place, "skipped": outcome.skipped}
    options = as_options(FEATURES, {"extract": chosen})
    following = shlex.join(["cvgl", "extract", "--dataset", dataset, *options])
    return Answer({**value, "options": options}, alignment_answer(outcome.record, {**place, "next": following}))


def extract(draft: Draft) -> Answer:
    """Compute the frozen model's descriptors of a dataset; only what is missing."""
    from flows.cli.tables import facts

    config, cluster = draft.section("extract", ExtractConfig), draft.section("cluster", ClusterConfig)
    dataset = draft.dataset
    with engine(draft.lake, Screen()):
        from flows.extract import extract as flow

        outcome = flow(dataset, config, str(draft.lake.root), cluster)
    counts = {"embedded": outcome.embedded, "known": outcome.known, "failed": outcome.failed}
    place = {"features": outcome.ref.digest, "dimension": outcome.dimension, "path": str(outcome.ref.path)}
    value = {"dataset": dataset, "lake": str(draft.lake.root), "images": counts, **place, "skipped": outcome.skipped}
    rows = {**counts, **place, **({"processes": outcome.processes} if cluster.is_spread else {})}
    return Answer({**value, "processes": outcome.processes}, facts(rows, f"{dataset}: descriptors"))


def adapt(draft: Draft, features: Fingerprint = None) -> Answer:
    """Learn an adapter from a dataset's descriptors, without labels."""
    from flows.cli.tables import facts

    config, rules = draft.section("adapt", AdaptConfig), draft.section("select", SelectConfig)
    dataset = draft.dataset
    with engine(draft.lake, Screen()):
        from flows.adapt import adapt as flow

        outcome = flow(dataset, features, config, str(draft.lake.root), rules)
    place = {"run": outcome.run, "iterations": outcome.iterations, "path": str(outcome.ref.path)}
    value = {"dataset": dataset, "lake": str(draft.lake.root), **place, "skipped": outcome.skipped}
    return Answer(value, facts({**place, "next": f"cvgl evaluate {outcome.run}"}, f"{dataset}: adapter"))


def evaluate(draft: Draft, run: Run) -> Answer:
    """Measure a run: frozen, standardised and adapted side by side, in both directions."""
    from flows.cli.tables import run_answer
    from flows.clock import Clock
    from flows.outcome import RunOutcome

    config = draft.section("evaluate", EvaluateConfig)
    clock = Clock()
    with engine(draft.lake, Screen()), clock("evaluate"):
        from flows.evaluate import evaluate as flow

        outcome = flow(run, config, str(draft.lake.root))
    skipped = ("evaluate",) if outcome.skipped else ()
    answer = RunOutcome(
        run=run, lake=str(draft.lake.root), metrics=tuple(outcome.metrics), seconds=clock.seconds, skipped=skipped
    )
    return Answer(answer.as_json(), run_answer(answer))
