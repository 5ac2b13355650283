"""The flow that computes frozen descriptors."""

from __future__ import annotations

from cvgl.config import ClusterConfig, ExtractConfig
from cvgl.ingestion.tables import images_ref
from cvgl.lake import Lake
from cvgl.stages.extraction.shards import planned
from cvgl.stages.extraction.stage import ExtractOutcome
from cvgl.types import ArtifactRef
from flows.stage import DEFAULT_LAKE, EXTRACT, stage_flow
from tasks.extract import extract as describe_images
from tasks.shards import describe_shard, finished, resources, task_runner

ALONE = ClusterConfig()


@stage_flow("extract", run_name="extract {dataset} with {config.backbone.name}")
def extract(
    dataset: str, config: ExtractConfig = EXTRACT, lake: str = DEFAULT_LAKE, cluster: ClusterConfig = ALONE
) -> ExtractOutcome:
    """Describes the images of a dataset that have no descriptor under this frozen model yet.

    Args:
        dataset: name of the dataset in the lake.
        config: the frozen model, and how its descriptors are computed and stored.
        lake: folder that holds everything.
        cluster: over how many processes and machines the work is spread; what comes out is the same.
    """
    root = Lake.at(lake)
    if cluster.is_spread:
        return spread.with_options(task_runner=task_runner(cluster))(dataset, config, lake, cluster)
    return describe_images(images_ref(root, dataset), config, root)


@stage_flow("extract-shards", run_name="extract {dataset} in {cluster.shards} shards on {cluster.runner}")
def spread(dataset: str, config: ExtractConfig, lake: str, cluster: ClusterConfig) -> ExtractOutcome:
    """The same by shards, on whatever the task runner reaches: threads, or a Ray or Dask cluster that shares the lake."""
    root = Lake.at(lake)
    # Without the digest of what is said about the images, which no shard needs: it would take all of it into memory.
    images = ArtifactRef("images", root.images(dataset), "", dataset)
    with planned(images, config, root, cluster.shards) as plan:
        with resources(cluster):
            futures = [describe_shard.submit(shard, root) for shard in plan.shards]
        return finished(plan, futures, config)
