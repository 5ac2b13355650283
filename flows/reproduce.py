"""The flow that measures an experiment again."""

from __future__ import annotations

from cvgl.config import BackboneConfig
from cvgl.lake import Lake
from cvgl.reproduction.reproduce import ReproduceOutcome
from cvgl.reproduction.settings import ReproduceConfig
from cvgl.reproduction.sources import ingestion
from flows.align import align
from flows.extract import extract
from flows.ingest import ingest
from flows.stage import DEFAULT_LAKE, stage_flow
from tasks.reproduce import reproduce as measure
from tasks.reproduce import training_view


@stage_flow("reproduce", run_name="{config.experiment} on {config.title}")
def reproduce(config: ReproduceConfig, lake: str = DEFAULT_LAKE) -> list[ReproduceOutcome]:
    """Ingests every data set, describes it with each frozen model, and measures every configuration over the seeds."""
    outcomes = []
    for source in config.sources:
        ingest(ingestion(source, Lake.at(lake)), lake)
        for backbone in config.backbones:
            outcomes += _measured(source.dataset, backbone, config, lake)
    return outcomes


def _measured(dataset: str, backbone: BackboneConfig, config: ReproduceConfig, lake: str) -> list[ReproduceOutcome]:
    """With the pictures as they are given, and with the alignment that is chosen, if one is to be chosen."""
    root, extraction = Lake.at(lake), config.extraction(backbone)
    outcomes = [measure(extract(dataset, extraction, lake).ref, config, root)]
    if config.align.enabled:
        view = config.align.query_view or training_view(root, dataset)
        chosen = align(dataset, extraction, config.align.model_copy(update={"query_view": view}), lake)
        outcomes.append(measure(extract(dataset, chosen.config, lake).ref, config, root, chosen.record))
    return outcomes
