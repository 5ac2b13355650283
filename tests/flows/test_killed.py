"""`kill -9` of `cvgl run` at any stage, then the same command: the figures and bytes of a run that was left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.flows.cli.commands import COMMAND, QUICK, contents, cvgl
from tests.flows.conftest import Finished

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
SAME_BYTES = ("images", "ground_truth", "quarantine", "features", "adapters", "evaluations")
# The first file that a stage leaves behind: it is in the middle of its work.
MOMENTS = {
    "ingest": "images/**/*.parquet",
    "extract": "features/**/*.parquet",
    "adapt": "adapters/**/*",
    "evaluate": "evaluations/**/queries.parquet",
    "report": "reports/**/*.png",
    "register": "mlflow/mlflow.db",
}


def exists(lake: Path, pattern: str) -> Callable[[], bool]:
    return lambda: any(path.is_file() for path in lake.glob(pattern))


def kill_when(condition: Callable[[], bool], command: list[str], log: Path) -> None:
    """Starts a command and kills it, and only it, as soon as the condition holds."""
    with log.open("wb") as output:
        process = psutil.Popen(command, stdout=output, stderr=output)
    deadline = time.monotonic() + 400
    while not condition():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    children = process.children(recursive=True)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    # The temporary server notices by itself.
    _, alive = psutil.wait_procs(children, timeout=60)
    assert not alive


@pytest.mark.parametrize("stage", MOMENTS)
def test_a_killed_run_continues_to_the_same_bytes(finished: Finished, tmp_path: Path, stage: str) -> None:
    lake = tmp_path / "lake"
    command = ["run", "--source", str(finished.source), "--dataset", "tiny", "--lake", str(lake), *QUICK, "--json"]
    kill_when(exists(lake, MOMENTS[stage]), [*COMMAND, *command], tmp_path / "log")
    run = cvgl(*command)
    assert run.code == 0, run.stderr
    assert run.json["metrics"] == finished.run.json["metrics"]
    assert run.json["run"] == finished.run.json["run"]
    name = finished.run.json["run"]
    expected = contents(
        finished.lake,
        *(f for f in SAME_BYTES if f not in ("adapters", "evaluations")),
        f"adapters/{name}",
        f"evaluations/{name}",
    )
    assert contents(lake, *SAME_BYTES) == expected


def test_killed_again_and_again(finished: Finished, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    command = ["run", "--source", str(finished.source), "--dataset", "tiny", "--lake", str(lake), *QUICK, "--json"]
    for stage in ("extract", "evaluate"):
        kill_when(exists(lake, MOMENTS[stage]), [*COMMAND, *command], tmp_path / "log")
    run = cvgl(*command)
    assert run.code == 0, run.stderr
    assert run.json["metrics"] == finished.run.json["metrics"]


def test_an_interrupted_run_stops_its_server_and_exits_130(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PREFECT_API_URL")
    lake = tmp_path / "lake"
    command = [*COMMAND, "run", "--source", str(finished.source), "--dataset", "tiny", "--lake", str(lake), *QUICK]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 400
    while not exists(lake, MOMENTS["ingest"])() and time.monotonic() < deadline:
        time.sleep(0.01)
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    assert output == ""
    assert "Traceback" not in errors
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
