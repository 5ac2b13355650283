"""Every setting of the system, once: typed, bounded, with its unit and source.

The models are frozen and refuse unknown keys. They are the parameters of the Prefect flows, so Prefect's form validates
the same bounds; a command-line option only ever fills one of these fields. A file with settings is read with
`RunConfig.model_validate_json`.
"""

from __future__ import annotations

from cvgl.config.adapt import AdaptConfig, Recipe, by_recipe
from cvgl.config.alignment import AlignConfig, AlignmentConfig
from cvgl.config.backbone import BackboneConfig, Facet, Pooling
from cvgl.config.compute import Device, Precision
from cvgl.config.evaluate import EvaluateConfig
from cvgl.config.extract import ExtractConfig
from cvgl.config.ingest import DatasetName, IngestConfig, Layout
from cvgl.config.register import RegisterConfig
from cvgl.config.run import RunConfig
from cvgl.config.settings import Settings

__all__ = [
    "AdaptConfig",
    "AlignConfig",
    "AlignmentConfig",
    "BackboneConfig",
    "DatasetName",
    "Device",
    "EvaluateConfig",
    "ExtractConfig",
    "Facet",
    "IngestConfig",
    "Layout",
    "Pooling",
    "Precision",
    "Recipe",
    "RegisterConfig",
    "RunConfig",
    "Settings",
    "by_recipe",
]
