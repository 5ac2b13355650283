"""Every setting of the system, once: typed, bounded, with its unit and source.

The models are frozen and refuse unknown keys. They are the parameters of the Prefect flows, so Prefect's form validates
the same bounds; a command-line option only ever fills one of these fields. A file with settings is read with
`RunConfig.model_validate_json`.
"""

from __future__ import annotations

from cvgl.config.adapt import AdaptConfig
from cvgl.config.alignment import AlignConfig, AlignmentConfig
from cvgl.config.arrival import ArrivalConfig, DecideConfig, Forget, WatchConfig
from cvgl.config.backbone import BackboneConfig, Facet, Pooling, PositionResampling, Preprocess
from cvgl.config.cluster import ClusterConfig, Runner
from cvgl.config.compute import Device, Precision
from cvgl.config.evaluate import EvaluateConfig, RerankConfig
from cvgl.config.extract import ExtractConfig
from cvgl.config.ingest import DatasetName, IngestConfig, Layout
from cvgl.config.presets import PRESETS, Preset
from cvgl.config.quality import SelectConfig
from cvgl.config.recipes import RECIPES, UNTRAINED, Recipe, RecipeSettings
from cvgl.config.register import GatePolicy, RegisterConfig
from cvgl.config.run import RunConfig
from cvgl.config.settings import Settings

__all__ = [
    "PRESETS",
    "RECIPES",
    "UNTRAINED",
    "AdaptConfig",
    "AlignConfig",
    "AlignmentConfig",
    "ArrivalConfig",
    "BackboneConfig",
    "ClusterConfig",
    "DatasetName",
    "DecideConfig",
    "Device",
    "EvaluateConfig",
    "ExtractConfig",
    "Facet",
    "Forget",
    "GatePolicy",
    "IngestConfig",
    "Layout",
    "Pooling",
    "PositionResampling",
    "Precision",
    "Preprocess",
    "Preset",
    "Recipe",
    "RecipeSettings",
    "RegisterConfig",
    "RerankConfig",
    "RunConfig",
    "Runner",
    "SelectConfig",
    "Settings",
    "WatchConfig",
]
