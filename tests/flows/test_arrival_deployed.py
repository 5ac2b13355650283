"""docs/operations.md on a server of its own: seasons of the built-in world are copied, and nobody does anything."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import yaml

from cvgl.arrival import batches
from cvgl.arrival.batches import State
from cvgl.datasets.world import WorldConfig, write_manifest
from cvgl.datasets.world.config import Season
from cvgl.lake import Lake
from cvgl.localization.bundle import problems, read_current
from tasks.registry.store import open_registry
from tests.flows.commands import COMMAND
from tests.flows.test_deployments import ROOT, Server, server

__all__ = ["server"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
# What docs/operations.md says to edit in the deployment, so that the test is done in minutes.
SETTINGS = {
    "watch": {"quiet_seconds": 2.0},
    "align": {"enabled": False},
    "extract": {"backbone": {"name": "gist", "image_size": 64}},
    "adapt": {"recipe": "paper-standardised", "dimension": 32, "iterations": 5, "query_samples": 8},
    "registry": {"tolerance": 1.0},
}
SECONDS_BETWEEN_LOOKS = 10


def season(folder: Path, which: Season) -> Path:
    """A flight over a small town in one season, and the town's tiles."""
    config = WorldConfig(places=24, distractors=4, views=4, image_size=64, drone_seasons=(which,), seed=3)
    write_manifest(config, folder)
    return folder


def deployments(folder: Path) -> Path:
    """deployments/arrival.yaml with these settings, and looks that come sooner."""
    content = yaml.safe_load((ROOT / "deployments" / "arrival.yaml").read_text())
    content["pull"][0]["prefect.deployments.steps.set_working_directory"]["directory"] = str(ROOT)
    for deployment in content["deployments"]:
        deployment["parameters"]["config"] = {**deployment["parameters"]["config"], **SETTINGS}
    content["deployments"][0]["schedules"][0]["interval"] = SECONDS_BETWEEN_LOOKS
    path = folder / "arrival.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


@contextmanager
def worker(server: Server) -> Iterator[None]:
    process = psutil.Popen(
        [sys.executable, "-m", "prefect", "worker", "start", "--pool", "cvgl"],
        cwd=ROOT,
        env=server.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        running = [*process.children(recursive=True), process]
        for one in running:
            one.kill()
        psutil.wait_procs(running, timeout=30)


def finished(lake: Lake, number: int, server: Server, seconds: float = 700) -> batches.Batch:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        known = batches.batches(lake, "town")
        if len(known) >= number and not known[number - 1].is_open:
            return known[number - 1]
        time.sleep(1)
    runs = server.prefect("flow-run", "ls", "--limit", "20")
    raise AssertionError(f"batch {number} is not finished: {batches.batches(lake, 'town')}\n{runs}")


def test_a_season_that_is_copied_becomes_the_map_that_serves_and_so_does_the_next(server: Server, tmp_path: Path) -> None:
    lake, drop = Lake.at(tmp_path / "lake"), tmp_path / "drop"
    drop.mkdir()
    server.environment.update(CVGL_LAKE=str(lake.root), CVGL_SOURCE=str(drop), CVGL_DATASET="town")
    if "cvgl" not in server.prefect("work-pool", "ls"):
        server.prefect("work-pool", "create", "cvgl", "--type", "process")
    server.prefect("--no-prompt", "deploy", "--prefect-file", str(deployments(tmp_path)), "--all")
    deployed = json.loads(server.prefect("deployment", "inspect", "arrival/arrival", "--output", "json"))
    assert deployed["parameters"]["config"]["ingest"] == {"source": str(drop), "dataset": "town"}
    assert deployed["schedules"][0]["schedule"]["cron"] == "*/15 * * * *"
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

    with worker(server):
        shutil.copytree(season(tmp_path / "summer", Season.SUMMER), drop / "summer")
        first = finished(lake, 1, server)
        assert (first.state, first.verdict, first.outcome) == (State.DONE, "adapt", "promoted"), first.reason
        assert batches.is_told(lake, first)
        shown(lake, first, "1")
        shutil.copytree(season(tmp_path / "autumn", Season.AUTUMN), drop / "autumn")
        second = finished(lake, 2, server)
    assert second.state is State.DONE, second.reason
    assert second.ingest["new"] == 24 * 4  # the tiles of both seasons are the same
    assert (second.verdict, second.outcome, second.champion) == ("adapt", "promoted", first.run), second.reason
    assert "differ from those that the champion knows" in second.reason
    shown(lake, second, "2")
    # What is scheduled for later is listed too, unless a state is asked for. The second run had the end of its page to write.
    runs = json.loads(server.prefect("flow-run", "ls", "--state-type", "COMPLETED", "--output", "json", "--limit", "100"))
    assert {"notice town", "arrival town"} <= {run["name"] for run in runs}


def shown(lake: Lake, batch: batches.Batch, version: str) -> None:
    """The map that serves is this batch's: in the lake, and in MLflow."""
    current = read_current(lake.champion("town"))
    assert current is not None
    assert (current.serving.run, current.serving.version) == (batch.run, version)
    assert problems(lake.map("town") / current.serving.map) == []
    client = open_registry(lake, None).client
    champion = client.get_model_version_by_alias(current.serving.model, "champion")
    assert (str(champion.version), champion.tags["cvgl.map"]) == (version, current.serving.map)
    assert (champion.tags["cvgl.run"], champion.tags["cvgl.verdict"]) == (batch.run, "promoted")
