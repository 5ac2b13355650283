"""The flow that measures judgements made without labels against labels."""

from __future__ import annotations

from cvgl.config import AlignConfig, BackboneConfig, ExtractConfig, Settings
from cvgl.experiments.judgement import JudgementOutcome
from cvgl.experiments.sources import SourceConfig, ingestion
from cvgl.lake import Lake
from cvgl.types import ArtifactRef
from flows.align import align
from flows.extract import extract
from flows.ingest import ingest
from flows.stage import DEFAULT_LAKE, stage_flow
from tasks.judgement import judgement as measure
from tasks.reproduce import training_view


class JudgementConfig(Settings):
    """Which sets are judged, with which frozen models, under which seeds."""

    sources: tuple[SourceConfig, ...]
    backbones: tuple[BackboneConfig, ...]
    extract: ExtractConfig = ExtractConfig()
    align: AlignConfig = AlignConfig(enabled=False)
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)


@stage_flow("judgement", run_name="judgement without labels")
def judgement(config: JudgementConfig, lake: str = DEFAULT_LAKE) -> JudgementOutcome:
    """Describes every set with each frozen model, as it is and aligned, and holds judgements against labels."""
    root = Lake.at(lake)
    features: list[tuple[ArtifactRef, str, str]] = []
    for source in config.sources:
        ingest(ingestion(source, root), lake)
        for backbone in config.backbones:
            extraction = config.extract.model_copy(update={"backbone": backbone})
            name = f"{source.name}, {backbone.name}"
            features.append((extract(source.dataset, extraction, lake).ref, name, source.protocol))
            if config.align.enabled:
                view = config.align.query_view or training_view(root, source.dataset)
                chosen = align(source.dataset, extraction, config.align.model_copy(update={"query_view": view}), lake)
                features.append((extract(source.dataset, chosen.config, lake).ref, f"{name}, aligned", source.protocol))
    return measure(features, config.seeds, root)
