"""The flow that chooses how the views are aligned."""

from __future__ import annotations

from cvgl.config import AlignConfig, ExtractConfig
from cvgl.ingestion.tables import images_ref
from cvgl.lake import Lake
from cvgl.stages.alignment.stage import AlignOutcome
from flows.stage import ALIGN, DEFAULT_LAKE, EXTRACT, stage_flow
from tasks.align import align as choose_alignment


@stage_flow("align", run_name="align {dataset} with {extract.backbone.name}")
def align(
    dataset: str, extract: ExtractConfig = EXTRACT, config: AlignConfig = ALIGN, lake: str = DEFAULT_LAKE
) -> AlignOutcome:
    """Chooses the settings under which the views of a dataset agree best, without labels; what was given stays.

    Args:
        dataset: name of the dataset in the lake.
        extract: the frozen model, and what of the alignment is given.
        config: which candidates are tried, on how many images, at which cost.
        lake: folder that holds everything.
    """
    root = Lake.at(lake)
    return choose_alignment(images_ref(root, dataset), extract, config, root)
