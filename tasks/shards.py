"""Shards of an extraction as Prefect tasks, and the task runners that hand them out: threads, Ray, Dask."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from prefect.futures import PrefectFuture
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from cvgl.config import ClusterConfig, ExtractConfig, Runner
from cvgl.errors import ConfigError, require
from cvgl.lake import Lake
from cvgl.stages.extraction.shards import Plan, Shard, ShardOutcome
from cvgl.stages.extraction.shards import describe_shard as run_stage
from cvgl.stages.extraction.stage import ExtractOutcome
from tasks.artifacts import artifact_key
from tasks.extract import show
from tasks.progress import observed
from tasks.stage import stage_task

_PURPOSE = {
    Runner.RAY: "describe images on a Ray cluster (--runner ray)",
    Runner.DASK: "describe images on a Dask cluster (--runner dask)",
}


def task_runner(cluster: ClusterConfig) -> TaskRunner[Any]:
    """The engine's task runner for these settings. A cluster without an address lives as long as the flow.

    Raises:
        MissingDependencyError: the cluster's package is not installed.
        ConfigError: the machine of a temporary cluster has fewer cores than one shard takes.
    """
    if cluster.runner is Runner.THREADS:
        return ThreadPoolTaskRunner(max_workers=_at_once(cluster))
    package = require(f"prefect_{cluster.runner}", extra=str(cluster.runner), purpose=_PURPOSE[cluster.runner])
    runner: TaskRunner[Any]
    if cluster.runner is Runner.RAY:
        # The environment of this process goes along; on a cluster that runs already, its own counts.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        local = {} if cluster.address else {"include_dashboard": False, "num_cpus": _at_once(cluster) * cluster.cpus}
        # What a shard's process says is on its task run's page; a terminal gets no copy of it.
        runner = package.RayTaskRunner(address=cluster.address, init_kwargs={**local, "log_to_driver": False})
    elif cluster.address:
        runner = package.DaskTaskRunner(address=cluster.address)
    else:
        # A worker has one thread and so holds one shard at a time: what a shard takes is what a worker has.
        each = {"threads_per_worker": 1, "resources": _share(cluster), "dashboard_address": None}
        runner = package.DaskTaskRunner(cluster_kwargs={"n_workers": _at_once(cluster), **each})
    return runner


def _at_once(cluster: ClusterConfig) -> int:
    """Shards that this machine can describe at the same time."""
    cores = os.cpu_count() or 1
    if cluster.cpus > cores:
        raise ConfigError(
            f"a shard takes {cluster.cpus} cores, and this machine has {cores}",
            where="--shard-cpus",
            fix="ask for fewer, or name a cluster with --cluster",
        )
    return min(cluster.shards, cores // cluster.cpus)


def resources(cluster: ClusterConfig) -> AbstractContextManager[object]:
    """Within the block, tasks that are submitted ask the cluster for what a shard takes."""
    if cluster.runner is Runner.RAY:
        context = require("prefect_ray.context", extra="ray", purpose=_PURPOSE[Runner.RAY])
        wanted: AbstractContextManager[object] = context.remote_options(num_cpus=cluster.cpus, num_gpus=cluster.gpus)
    elif cluster.runner is Runner.DASK and cluster.gpus:
        wanted = require("dask", extra="dask", purpose=_PURPOSE[Runner.DASK]).annotate(resources=_share(cluster))
    else:
        wanted = nullcontext()
    return wanted


def _share(cluster: ClusterConfig) -> dict[str, float]:
    """What a shard takes, in Dask's words; its workers are started with `--resources GPU=1`."""
    return {"GPU": cluster.gpus} if cluster.gpus else {}


@stage_task("extract-shard", run_name="extract {shard.images.name}, shard {shard.path.stem}")
def describe_shard(shard: Shard, lake: Lake) -> ShardOutcome:
    """Describes the images of one shard; see `cvgl.stages.extraction.shards`."""
    key = artifact_key("shard", shard.images.name, shard.config.backbone.name, shard.path.stem)
    with observed(key, f"describing shard {shard.path.stem} of {shard.images.name}") as progress:
        return run_stage(shard, lake, progress)


def finished(plan: Plan, futures: Sequence[PrefectFuture[ShardOutcome]], config: ExtractConfig) -> ExtractOutcome:
    """Waits for all shards, so that each keeps what it can, and puts together what they have done.

    Raises:
        Whatever the first shard raised that failed.
    """
    name = plan.images.name
    title = f"describing {name} with {config.backbone.name}"
    total, done = sum(shard.pictures for shard in plan.shards), 0
    with observed(artifact_key("extract", name, config.backbone.name), title) as progress:
        for shard, future in zip(plan.shards, futures, strict=True):
            future.wait()
            done += shard.pictures
            progress(done, total, f"{len(plan.shards)} shards")
        outcome = plan.finish([future.result() for future in futures])
    show(outcome, config, f", {len(plan.shards)} shards by {outcome.processes} processes")
    return outcome
