"""The flow that takes images in."""

from __future__ import annotations

from cvgl.config import IngestConfig
from cvgl.lake import Lake
from cvgl.stages.ingest import IngestOutcome
from flows.stage import DEFAULT_LAKE, stage_flow
from tasks.ingest import ingest as ingest_images


@stage_flow("ingest", run_name="ingest {config.dataset}")
def ingest(config: IngestConfig, lake: str = DEFAULT_LAKE) -> IngestOutcome:
    """Takes the new images of a source into the lake; what cannot be used goes to quarantine with its reason.

    Args:
        config: what to take in, and what it is called in the lake.
        lake: folder that holds everything.
    """
    return ingest_images(config, Lake.at(lake))
