"""The flow that computes frozen descriptors."""

from __future__ import annotations

from cvgl.config import ExtractConfig
from cvgl.datasets.tables import images_ref
from cvgl.lake import Lake
from cvgl.stages.extract import ExtractOutcome
from flows.stage import DEFAULT_LAKE, EXTRACT, stage_flow
from tasks.extract import extract as describe_pictures


@stage_flow("extract", run_name="extract {dataset} with {config.backbone.name}")
def extract(dataset: str, config: ExtractConfig = EXTRACT, lake: str = DEFAULT_LAKE) -> ExtractOutcome:
    """Describes the pictures of a dataset that have no descriptor under this frozen model yet.

    Args:
        dataset: name of the dataset in the lake.
        config: the frozen model, and how its descriptors are computed and stored.
        lake: folder that holds everything.
    """
    root = Lake.at(lake)
    return describe_pictures(images_ref(root, dataset), config, root)
