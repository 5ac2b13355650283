"""The demonstration: which world, which frozen model, which settings. One place for all of it."""

from __future__ import annotations

from pathlib import Path

from cvgl.config import (
    AlignConfig,
    AlignmentConfig,
    BackboneConfig,
    ExtractConfig,
    IngestConfig,
    Layout,
    RunConfig,
)
from cvgl.lake import Lake
from cvgl.synthetic import WorldConfig, write_manifest
from cvgl.types import Progress

DATASET = "world"
# A survey flight: the camera looks steeply down, and north within 20 degrees, because the GIST descriptor knows its heading.
# Colour, haze and hour set the two views apart more than usual (view_gap), which is what adaptation can learn to undo.
WORLD = WorldConfig(
    places=160,
    train_share=0.6,
    views=6,
    heading_spread_degrees=40.0,
    depression_degrees=(74.0, 60.0),
    distance_tiles=(1.4, 1.0),
    view_gap=2.0,
)
# At this distance and heading both views show the same ground: nothing to crop, nothing to turn.
EXTRACT = ExtractConfig(backbone=BackboneConfig(name="gist"), alignment=AlignmentConfig())
ALIGN = AlignConfig(enabled=False)


def write_world(lake: Lake, progress: Progress) -> Path:
    """Draws the town and its images under the lake, unless that is done; gives the manifest."""
    return write_manifest(WORLD, lake.root / "world", progress)


def demo_config(lake: Lake, manifest: Path) -> RunConfig:
    """The settings of the demonstration's run."""
    ingest = IngestConfig(source=str(manifest), dataset=DATASET, layout=Layout.MANIFEST)
    return RunConfig(lake=str(lake.root), ingest=ingest, align=ALIGN, extract=EXTRACT)
