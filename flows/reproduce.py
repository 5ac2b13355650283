"""The flow that measures an experiment of the paper again."""

from __future__ import annotations

from cvgl.config import IngestConfig
from cvgl.lake import Lake
from cvgl.reproduction.reproduce import ReproduceOutcome
from cvgl.reproduction.settings import ReproduceConfig
from flows.extract import extract
from flows.ingest import ingest
from flows.stage import DEFAULT_LAKE, stage_flow
from tasks.reproduce import reproduce as measure


@stage_flow("reproduce", run_name="{config.experiment} on {config.dataset}")
def reproduce(config: ReproduceConfig, lake: str = DEFAULT_LAKE) -> list[ReproduceOutcome]:
    """Ingests the data, describes it with each frozen model, and measures every configuration over the seeds."""
    ingest(IngestConfig(source=config.data_root, dataset=config.dataset, layout=config.layout), lake)
    described = [extract(config.dataset, config.extraction(backbone), lake) for backbone in config.backbones]
    return [measure(features.ref, config, Lake.at(lake)) for features in described]
