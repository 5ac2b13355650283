"""The demonstration: which world, which frozen model, which settings. One place for all of it."""

from __future__ import annotations

from pathlib import Path

from cvgl.config import AdaptConfig, AlignmentConfig, BackboneConfig, ExtractConfig, IngestConfig, Layout, RunConfig
from cvgl.lake import Lake
from cvgl.types import Progress

DATASET = "world"
# The drone circles each place, so it comes from any heading, and it sees more ground than a tile shows.
ALIGNMENT = AlignmentConfig(query_crop=0.7, reference_rotations=4)
EXTRACT = ExtractConfig(backbone=BackboneConfig(name="gist"), alignment=ALIGNMENT)
ADAPT = AdaptConfig()


def write_world(lake: Lake, progress: Progress) -> Path:
    """Draws the town and its pictures under the lake, unless that is done; gives the manifest."""
    from cvgl.datasets.world import WorldConfig, write_manifest

    return write_manifest(WorldConfig(), lake.root / "world", progress)


def demo_config(lake: Lake, manifest: Path) -> RunConfig:
    """The settings of the demonstration's run."""
    ingest = IngestConfig(source=str(manifest), dataset=DATASET, layout=Layout.MANIFEST)
    return RunConfig(lake=str(lake.root), ingest=ingest, extract=EXTRACT, adapt=ADAPT)
