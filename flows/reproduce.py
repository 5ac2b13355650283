"""The flows that measure the paper's experiments again: one experiment, and a page of several."""

from __future__ import annotations

import time

from cvgl.config import BackboneConfig
from cvgl.errors import CvglError
from cvgl.experiments.page_writing import PageOutcome
from cvgl.experiments.pages import Finished
from cvgl.experiments.planning import Measurable, PagePlan
from cvgl.experiments.reproduce import ReproduceOutcome
from cvgl.experiments.settings import ReproduceConfig
from cvgl.experiments.sources import SourceConfig, ingestion
from cvgl.lake import Lake
from flows.align import align
from flows.extract import extract
from flows.ingest import ingest
from flows.stage import DEFAULT_LAKE, stage_flow
from tasks.reproduce import draw, publish, training_view
from tasks.reproduce import reproduce as measure


@stage_flow("reproduce", run_name="{config.experiment} on {config.title}")
def reproduce(config: ReproduceConfig, lake: str = DEFAULT_LAKE) -> list[ReproduceOutcome]:
    """Ingests every data set, describes it with each frozen model, and measures every configuration over the seeds.

    Args:
        config: the experiment, its data sets and frozen models.
        lake: folder that holds everything.
    """
    outcomes = []
    for source in config.sources:
        _take_in(source, lake)
        for backbone in config.backbones:
            outcomes += _measured(source.dataset, backbone, config, lake)
    return outcomes


@stage_flow("reproduce-page", run_name="{plan.name} on {plan.title}")
def reproduce_page(plan: PagePlan, lake: str = DEFAULT_LAKE) -> tuple[list[Finished], PageOutcome]:
    """Measures the parts of a table or figure that can be, and writes its page; a part that fails leaves its reason."""
    started = time.monotonic()
    for source in plan.sources:
        _take_in(source, lake)
    finished = [result for measurable in plan.measurables for result in _attempt(measurable, lake)]
    return finished, publish(plan, finished, Lake.at(lake), time.monotonic() - started)


def _take_in(source: SourceConfig, lake: str) -> None:
    if source.drawn:
        draw(source)
    ingest(ingestion(source, Lake.at(lake)), lake)


def _attempt(measurable: Measurable, lake: str) -> list[Finished]:
    """With the images as they are given and, where that is asked for, with an alignment that is chosen."""
    try:
        outcomes = _measured(measurable.source.dataset, measurable.config.backbones[0], measurable.config, lake)
    except CvglError as error:
        return [Finished(measurable, None, error)]
    return [Finished(measurable.aligned(str(outcome.result.aligned)), outcome) for outcome in outcomes]


def _measured(dataset: str, backbone: BackboneConfig, config: ReproduceConfig, lake: str) -> list[ReproduceOutcome]:
    """With the images as they are given, and with the alignment that is chosen, if one is to be chosen."""
    root, extraction = Lake.at(lake), config.extraction(backbone)
    outcomes = [measure(extract(dataset, extraction, lake).ref, config, root)]
    if config.align.enabled:
        view = config.align.query_view or training_view(root, dataset)
        chosen = align(dataset, extraction, config.align.model_copy(update={"query_view": view}), lake)
        outcomes.append(measure(extract(dataset, chosen.config, lake).ref, config, root, chosen.record))
    return outcomes
