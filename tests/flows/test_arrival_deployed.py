"""deployments/arrival.yaml and automations.yaml on a real server: a folder is copied, and nobody does anything."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from cvgl.arrival import batches
from cvgl.arrival.batches import State
from cvgl.arrival.learned import champion_of
from cvgl.lake import Lake
from tests.data.pictures import university1652
from tests.flows.commands import COMMAND
from tests.flows.test_deployments import ROOT, Server, server

__all__ = ["server"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
SETTINGS = {
    "watch": {"quiet_seconds": 1.0},
    "align": {"enabled": False},
    "extract": {"backbone": {"name": "gist", "image_size": 64}},
    "adapt": {"recipe": "paper-standardised", "dimension": 32, "iterations": 3, "query_samples": 8},
    "registry": {"tolerance": 1.0},
}


def wait_for(lake: Lake, number: int, server: Server, seconds: float = 600) -> batches.Batch:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        known = batches.batches(lake, "tiny")
        if len(known) >= number and not known[number - 1].is_open:
            return known[number - 1]
        time.sleep(1)
    raise AssertionError(
        f"batch {number} is not finished: {batches.batches(lake, 'tiny')}\n{server.prefect('flow-run', 'ls', '--limit', '20')}"
    )


def test_a_folder_that_is_copied_becomes_the_map_that_serves(server: Server, tmp_path: Path) -> None:
    lake, drop = Lake.at(tmp_path / "lake"), tmp_path / "drop"
    drop.mkdir()
    server.environment.update(CVGL_LAKE=str(lake.root), CVGL_SOURCE=str(drop), CVGL_DATASET="tiny")
    if "cvgl" not in server.prefect("work-pool", "ls"):
        server.prefect("work-pool", "create", "cvgl", "--type", "process")
    server.prefect("--no-prompt", "deploy", "--prefect-file", "deployments/arrival.yaml", "--all")
    deployed = json.loads(server.prefect("deployment", "inspect", "arrival/arrival", "--output", "json"))
    assert deployed["parameters"]["config"]["ingest"] == {"source": str(drop), "dataset": "tiny"}
    assert deployed["schedules"][0]["schedule"]["cron"] == "*/15 * * * *"
    # The test brings its own small settings; the schedule would start with those of the file.
    for name in ("arrival/arrival", "notice/notice"):
        for schedule in json.loads(server.prefect("deployment", "inspect", name, "--output", "json"))["schedules"]:
            server.prefect("deployment", "schedule", "pause", name, schedule["id"])
    for _ in range(2):  # doing it again updates what is there
        done = subprocess.run(
            [*COMMAND, "automate", "deployments/automations.yaml", "--lake", str(lake.root), "--json"],
            cwd=ROOT,
            env=server.environment,
            capture_output=True,
            text=True,
            check=True,
        )
    assert json.loads(done.stdout.splitlines()[-1]) == {"cvgl-arrival": "updated"}
    config = {"lake": str(lake.root), "ingest": {"source": str(drop), "dataset": "tiny"}, **SETTINGS}

    worker_process = psutil.Popen(
        [sys.executable, "-m", "prefect", "worker", "start", "--pool", "cvgl", "--type", "process"],
        cwd=ROOT,
        env=server.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        shutil.copytree(university1652(tmp_path / "first", train=6, test=4, distractors=1, views=2), drop, dirs_exist_ok=True)
        time.sleep(1.5)
        server.prefect("deployment", "run", "notice/notice", "--param", f"config={json.dumps(config)}")
        batch = wait_for(lake, 1, server)
        assert (batch.state, batch.outcome, batches.is_told(lake, batch)) == (State.DONE, "promoted", True), batch.reason
        champion = champion_of(lake, "tiny")
        assert champion is not None
        assert champion.run == batch.run
    finally:
        running = [*worker_process.children(recursive=True), worker_process]
        for one in running:
            one.kill()
        psutil.wait_procs(running, timeout=30)
    runs = json.loads(server.prefect("flow-run", "ls", "--output", "json", "--limit", "30"))
    names = [run["name"] for run in runs]
    assert names.count("notice tiny") == 1
    assert names.count("arrival tiny") == 1  # started by the event, and by nothing else
