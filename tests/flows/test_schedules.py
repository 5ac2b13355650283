"""Schedules, limits, tags and forms of the deployments, as a real Prefect server has them after `prefect deploy`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from tests.flows.servers import Server

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun
    from prefect.client.schemas.responses import DeploymentResponse

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@contextmanager
def client_of(server: Server) -> Iterator[SyncPrefectClient]:
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings

    address = {PREFECT_API_URL: server.environment["PREFECT_API_URL"]}
    with temporary_settings(updates=address), get_client(sync_client=True) as client:
        yield client


@pytest.fixture(scope="module")
def watched(server: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """New imagery, deployed as docs/operations/operations.md says; gives the parameters of both deployments."""
    root = tmp_path_factory.mktemp("watched")
    lake, drop = str(root / "lake"), str(root / "drop")
    server.environment.update(CVGL_LAKE=lake, CVGL_SOURCE=drop, CVGL_DATASET="tiny")
    server.prefect("work-pool", "create", "cvgl", "--type", "process")
    server.prefect("--no-prompt", "deploy", "--prefect-file", "deployments/arrival.yaml", "--all")
    server.prefect("--no-prompt", "deploy", "--prefect-file", "deployments/prefect.yaml", "--name", "register")
    return {"config": {"lake": lake, "ingest": {"source": drop, "dataset": "tiny"}}}


def scheduled(client: SyncPrefectClient, deployment: DeploymentResponse) -> list[FlowRun]:
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId, FlowRunFilter, FlowRunFilterState
    from prefect.client.schemas.filters import FlowRunFilterStateType as StateType
    from prefect.client.schemas.objects import StateType as State

    sequences_of = client.read_flow_runs(
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment.id])),
        flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=StateType(any_=[State.SCHEDULED]))),
        limit=100,
    )
    return sorted((run for run in sequences_of if run.auto_scheduled), key=lambda run: str(run.expected_start_time))


def soon(condition: Callable[[], bool], seconds: float = 120) -> bool:
    """The server's scheduler looks for changed deployments every few seconds."""
    deadline = time.monotonic() + seconds
    while not (met := condition()) and time.monotonic() < deadline:
        time.sleep(0.5)
    return met


@pytest.mark.parametrize(
    ("name", "minutes", "strategy"), [("notice/notice", 1, "CANCEL_NEW"), ("arrival/arrival", 15, "ENQUEUE")]
)
def test_a_schedule_makes_runs_one_at_a_time(
    server: Server, watched: dict[str, dict[str, Any]], name: str, minutes: int, strategy: str
) -> None:
    with client_of(server) as client:
        deployment = client.read_deployment_by_name(name)
        assert sorted(deployment.tags) == ["arrival", "cvgl"]
        assert deployment.parameters == watched
        assert deployment.global_concurrency_limit is not None
        assert deployment.global_concurrency_limit.limit == 1
        assert deployment.concurrency_options is not None
        assert deployment.concurrency_options.collision_strategy == strategy
        assert soon(lambda: len(scheduled(client, deployment)) >= 3)
        runs = scheduled(client, deployment)[:3]
        starts = [run.expected_start_time for run in runs if run.expected_start_time is not None]
        assert all(run.parameters == watched and {"arrival", "cvgl"} <= set(run.tags) for run in runs)
        assert [later - first for first, later in pairwise(starts)] == [timedelta(minutes=minutes)] * 2
        if name == "arrival/arrival":
            assert all((start.minute % 15, start.second) == (0, 0) for start in starts)
        # Paused, it makes none.
        (schedule,) = deployment.schedules
        server.prefect("deployment", "schedule", "pause", name, str(schedule.id))
        assert soon(lambda: not scheduled(client, deployment))


@pytest.mark.parametrize(
    ("name", "requested", "wrong"),
    [
        ("arrival/arrival", {"decide": {"growth": 0.3}}, {"decide": {"growth": 0}}),
        ("arrival/arrival", {"registry": {"policy": "not-worse-when-grown"}}, {"registry": {"policy": "always"}}),
        ("register/register", {"grown_tolerance": 0.01}, {"resamples": 10}),
        ("register/register", {"confidence": 0.9}, {"confidense": 0.9}),
    ],
)
def test_what_a_form_must_not_hold_is_refused_by_the_server(
    server: Server, watched: dict[str, dict[str, Any]], name: str, requested: dict[str, Any], wrong: dict[str, Any]
) -> None:
    from prefect.exceptions import PrefectHTTPStatusError

    def filled(settings: dict[str, Any]) -> dict[str, Any]:
        if name == "arrival/arrival":
            return {"config": {**watched["config"], **settings}}
        return {"run": "tiny-robust-0", "config": settings}

    with client_of(server) as client:
        deployment = client.read_deployment_by_name(name)
        run = client.create_flow_run_from_deployment(deployment.id, parameters=filled(requested))
        assert run.parameters["config"] == filled(requested)["config"]
        assert run.state is not None
        assert run.state.is_scheduled()
        with pytest.raises(PrefectHTTPStatusError) as raised:
            client.create_flow_run_from_deployment(deployment.id, parameters=filled(wrong))
        assert raised.value.response.status_code in (409, 422)
        assert "Validation failed" in raised.value.response.text
