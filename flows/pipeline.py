"""From a folder of unlabelled images to a registered adapter, as Section III of Li et al. 2024 tells it."""

from __future__ import annotations

from prefect import tags

from cvgl.config import RunConfig
from cvgl.lake import Lake
from flows.adapt import adapt
from flows.align import align
from flows.clock import Clock
from flows.evaluate import evaluate
from flows.extract import extract
from flows.ingest import ingest
from flows.outcome import Outcomes, RunOutcome
from flows.register import register
from flows.report import report
from flows.stage import stage_flow
from tasks.recover import recover
from tasks.run_summary import show_run


@stage_flow("pipeline", run_name="{config.ingest.dataset}/{config.extract.backbone.name}/seed {config.adapt.seed}")
def pipeline(config: RunConfig) -> RunOutcome:
    """Ingest, align, extract, adapt, evaluate, register, report. What is finished in the lake is skipped.

    Args:
        config: the settings of all stages; only the source and the dataset's name are needed.
    """
    lake, took = config.lake, Clock()
    with tags(config.dataset, config.extract.backbone.name, f"seed-{config.adapt.seed}"):
        recover(config.dataset, config.registry, Lake.at(lake))  # what a process that died has left between map and registry
        with took("ingest"):  # drone and satellite images; no pairs, no labels
            images = ingest(config.ingest, lake)
        alignment, extraction = None, config.extract
        if config.align.enabled:
            with took("align"):  # which part of an image, at which headings, shows what a tile shows: chosen without labels
                choice = config.align.model_copy(update={"query_view": config.align.query_view or config.adapt.query_view})
                alignment = align(config.dataset, config.extract, choice, lake)
                extraction = alignment.config
        with took("extract"):  # the frozen foundation model f0 describes each of them once (III-C)
            features = extract(config.dataset, extraction, lake, config.cluster)
        with took("adapt"):  # pseudo-labels and InfoNCE in turn, held together by reconstruction (III-D to III-F)
            adapter = adapt(config.dataset, features.ref.digest, config.adapt, lake, config.select)
        with took("evaluate"):  # recall and AP in both directions, before and after (IV-A)
            evaluation = evaluate(adapter.run, config.evaluate, lake)
        with took("register"):  # only an adapter that is no worse than its predecessor serves
            registration = register(adapter.run, config.registry, config.evaluate, lake)
        with took("report"):  # the paper's figures for this run (IV-D), and what the gate said
            page = report(adapter.run, config.registry, lake)
        chosen = "" if alignment is None else alignment.record.reason
        show_run(images, chosen, evaluation.metrics, registration, Lake.at(lake))
    stages = Outcomes(images, alignment, features, adapter, evaluation, registration, page)
    return RunOutcome.of(lake, stages, took.seconds)
