"""Task runners of an extraction by shards, as the settings ask for them; clusters are started in tests/flows/test_spread.py."""

from __future__ import annotations

import os
import sys
from typing import Any

import pytest
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import ValidationError

from cvgl.config import ClusterConfig, Runner
from cvgl.errors import ConfigError, MissingDependencyError
from tasks.shards import resources, task_runner


def test_alone_is_the_default_and_shards_or_a_cluster_are_not() -> None:
    assert not ClusterConfig().is_spread
    assert ClusterConfig(shards=2).is_spread
    assert ClusterConfig(runner=Runner.DASK).is_spread


@pytest.mark.parametrize("values", [{"gpus": 1}, {"address": "ray://here:10001"}])
def test_threads_have_no_cluster(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="runner ray or dask"):
        ClusterConfig.model_validate(values)


def test_threads_are_no_more_than_cores_and_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    for shards, cpus, expected in ((9, 1, 6), (9, 2, 3), (2, 1, 2)):
        runner = task_runner(ClusterConfig(shards=shards, cpus=cpus))
        assert isinstance(runner, ThreadPoolTaskRunner)
        assert runner._max_workers == expected


def test_more_cores_than_there_are_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    with pytest.raises(ConfigError, match="3 cores"):
        task_runner(ClusterConfig(shards=2, cpus=3))


@pytest.mark.parametrize("runner", [Runner.RAY, Runner.DASK])
def test_cluster_without_its_package_names_the_extra(monkeypatch: pytest.MonkeyPatch, runner: Runner) -> None:
    monkeypatch.setitem(sys.modules, f"prefect_{runner}", None)
    with pytest.raises(MissingDependencyError, match=str(runner)):
        task_runner(ClusterConfig(runner=runner))


def test_ray_gets_address_cores_and_gpus() -> None:
    package = pytest.importorskip("prefect_ray", reason="prefect-ray is not installed (the ray extra has it)")
    own: Any = task_runner(ClusterConfig(runner=Runner.RAY, shards=2))
    assert isinstance(own, package.RayTaskRunner)
    assert (own.address, own.init_kwargs["num_cpus"]) == (None, min(2, os.cpu_count() or 1))
    cluster = ClusterConfig(runner=Runner.RAY, address="ray://head:10001", cpus=3, gpus=0.5)
    running: Any = task_runner(cluster)
    assert isinstance(running, package.RayTaskRunner)
    assert running.address == "ray://head:10001"
    assert "num_cpus" not in running.init_kwargs
    with resources(cluster):
        assert package.context.RemoteOptionsContext.get().current_remote_options == {"num_cpus": 3, "num_gpus": 0.5}
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


def test_dask_gets_address_and_gpus() -> None:
    package = pytest.importorskip("prefect_dask", reason="prefect-dask is not installed (the dask extra has it)")
    own: Any = task_runner(ClusterConfig(runner=Runner.DASK, shards=1, gpus=1))
    assert isinstance(own, package.DaskTaskRunner)
    assert (own.cluster_kwargs["n_workers"], own.cluster_kwargs["resources"]) == (1, {"GPU": 1})
    cluster = ClusterConfig(runner=Runner.DASK, address="tcp://head:8786", gpus=1)
    running: Any = task_runner(cluster)
    assert isinstance(running, package.DaskTaskRunner)
    assert running.address == "tcp://head:8786"
    with resources(cluster):
        assert pytest.importorskip("dask").get_annotations() == {"resources": {"GPU": 1}}
