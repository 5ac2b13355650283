"""deployments/notifications.yaml on a real server: people are told of runs that are late or fail, by a block they chose."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from cvgl.lake import Lake
from tests.arrival.sources import drone
from tests.flows.deployed import Phone, deployments, ringing, tell_me, worker
from tests.flows.servers import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def hears(phone: Phone, subject: str, seconds: float = 180, meanwhile: Callable[[], None] = lambda: None) -> str:
    """The text of the first message whose subject begins so."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        meanwhile()
        for message in list(phone.messages):
            if message["subject"].startswith(subject):
                return message["body"]
        time.sleep(0.2)
    raise AssertionError(f"no message '{subject}': {phone.messages}")


def long_planned(server: Server) -> None:
    """Makes runs known for ten minutes. Prefect holds back what happens to a run within five minutes, to order its events."""
    database = Path(server.environment["PREFECT_HOME"]) / "prefect.db"
    with closing(sqlite3.connect(database, timeout=30)) as connection, connection:
        connection.execute(
            "UPDATE flow_run_state SET timestamp = strftime('%Y-%m-%d %H:%M:%f000', timestamp, '-10 minutes') "
            "WHERE type = 'SCHEDULED' AND name = 'Scheduled' AND timestamp > datetime('now', '-5 minutes')"
        )


def test_a_run_that_no_worker_takes_and_one_that_fails_are_told(server: Server, tmp_path: Path) -> None:
    lake, source = Lake.at(tmp_path / "lake"), tmp_path / "gone"
    server.environment.update(CVGL_LAKE=str(lake.root), CVGL_SOURCE=str(source), CVGL_DATASET="town")
    if "cvgl" not in server.prefect("work-pool", "ls"):
        server.prefect("work-pool", "create", "cvgl", "--type", "process")
    with ringing() as phone:
        tell_me(server, phone, lake)
        server.prefect("--no-prompt", "deploy", "--prefect-file", str(deployments(tmp_path)), "--all")
        late = hears(phone, "cvgl: notice is late", meanwhile=lambda: long_planned(server))
        assert "prefect worker start --pool cvgl" in late
        with worker(server):
            failed = hears(phone, "cvgl: notice town failed")
            drone(source, 1)  # without a map: nothing that anything could be done with
            server.prefect("deployment", "run", "arrival/arrival")
            waiting = hears(phone, "cvgl: batch 0001-")
        assert "no folder" in failed
        assert "/runs/flow-run/" in failed
        assert "no satellite images" in waiting
        assert "cvgl decide 0001-" in waiting
        assert f"adapt --dataset town --lake {lake.root}" in waiting
        subjects = [message["subject"] for message in phone.messages]
        assert len(subjects) == len(set(subjects)), "one message about each thing, however often it happens"
