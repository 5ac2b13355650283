"""On how many machines descriptors are computed, and who hands the work out."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from cvgl.config.settings import Settings


class Runner(StrEnum):
    """Task runner of an extraction in shards."""

    THREADS = "threads"
    RAY = "ray"
    DASK = "dask"


class ClusterConfig(Settings):
    """How an extraction is spread over processes and machines. The descriptors and their files are the same in any case."""

    runner: Runner = Field(Runner.THREADS, description="who runs the shards: threads of this process, a Ray or a Dask cluster")
    shards: int = Field(1, ge=1, le=100_000, description="pieces of the missing images, each described by one process")
    address: str | None = Field(
        None, description="of a running cluster (ray://host:10001, tcp://host:8786); default: a temporary one on this machine"
    )
    cpus: int = Field(1, ge=1, le=1024, description="cores that a shard takes of its machine")
    gpus: float = Field(0, ge=0, le=64, description="GPUs that a shard takes; Ray allows parts of one")

    @property
    def is_spread(self) -> bool:
        """Whether there is anything to hand out; otherwise this process describes all images by itself."""
        return self.runner is not Runner.THREADS or self.shards > 1

    @model_validator(mode="after")
    def _has_a_cluster(self) -> Self:
        if self.runner is Runner.THREADS and (self.address is not None or self.gpus):
            raise ValueError("the threads of this process have no address and take no GPUs: choose runner ray or dask")
        return self
