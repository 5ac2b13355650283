"""`cvgl watch`, `arrivals`, `answer` and `automate` as a person runs them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from cvgl.arrival import batches
from cvgl.arrival.batches import Contents, State
from cvgl.lake import Lake
from tests.arrival.sources import DATASET
from tests.data.images import university1652
from tests.flows.cli.commands import COMMAND, QUICK, contents, cvgl, invoke

WATCHED = ["--dataset", DATASET, "--quiet-seconds", "0", "--poll-seconds", "0.5", "--no-align", *QUICK]
SAME_BYTES = ("images", "ground_truth", "quarantine", "features", "adapters", "evaluations", "arrivals")


def queued(lake: Lake, name: str = "a.png") -> str:
    return batches.close(lake, DATASET, "/drop", Contents(files={name: "0" * 64}), 10).batch


def test_batches_are_listed_and_answered(lake: Lake) -> None:
    first, second = queued(lake), queued(lake, "b.png")
    batches.advance(
        lake, batches.batches(lake, DATASET)[0], state=State.WAITING, verdict="ask", reason="is it the same camera?"
    )
    common_options: list[str | Path] = ["--dataset", DATASET, "--lake", lake.root]
    completed = invoke("batches", *common_options)
    assert "is it the same camera?" in completed.stdout.replace("\n", " ") or "same" in completed.stdout
    listed: Any = invoke("batches", *common_options, "--json").json
    assert [batch["state"] for batch in listed] == ["waiting", "queued"]
    assert invoke("decide", "1", "skip", *common_options, "--json").json["outcome"] == "skipped"
    refused = invoke("decide", second, "adapt", *common_options)
    assert (refused.code, "nobody is asked" in refused.stderr) == (1, True)
    unknown = invoke("decide", "9", "adapt", *common_options)
    assert unknown.code == 1
    assert first in unknown.stderr


def test_wrong_settings_and_sources_are_named(lake: Lake, tmp_path: Path) -> None:
    bad = invoke("watch", tmp_path, *WATCHED, "--lake", lake.root, "--adapt-effect", "0.9")
    assert bad.code == 2
    assert "ask_effect" in bad.stderr


def test_automations_need_a_server(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    completed = cvgl("automate", "--lake", lake.root)
    assert completed.code == 1
    assert "no Prefect server is known" in completed.stderr


@pytest.fixture
def drop(tmp_path: Path) -> Path:
    return university1652(tmp_path / "drop", train=8, test=4, distractors=1, views=3)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_watcher_killed_in_every_state_leaves_what_an_undisturbed_one_does(
    prefect_api: str, drop: Path, tmp_path: Path
) -> None:
    """SIGKILL as soon as a state is seen on disk, then another watcher; in the end everything is as if nothing had happened."""
    calm = tmp_path / "calm"
    run = cvgl("watch", drop, *WATCHED, "--lake", calm, "--once", "--json")
    assert run.code == 0, run.stderr
    assert run.json["worked"][0]["outcome"] == "promoted"
    lake = Lake.at(tmp_path / "lake")
    for state in ("queued", "ingested", "extracted", "decided", "adapted", "evaluated", "registered"):
        kill_when_reached(drop, lake, state, tmp_path / "log")
    run = cvgl("watch", drop, *WATCHED, "--lake", lake.root, "--once", "--json")
    assert run.code == 0, run.stderr
    assert batches.queue(lake, DATASET) == []
    assert contents(lake.root, *SAME_BYTES) == contents(calm, *SAME_BYTES)


ORDER = [str(state) for state in State]


def kill_when_reached(drop: Path, lake: Lake, state: str, log: Path) -> None:
    """Starts a watcher and kills it as soon as its batch is in a state, or beyond."""
    with log.open("wb") as output:
        process = psutil.Popen([*COMMAND, "watch", str(drop), *WATCHED, "--lake", str(lake.root)], stdout=output, stderr=output)
    deadline = time.monotonic() + 400
    while not any(ORDER.index(batch.state) >= ORDER.index(state) for batch in batches.batches(lake, DATASET)):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_watcher_outlives_its_source_and_ends_with_ctrl_c(prefect_api: str, drop: Path, tmp_path: Path) -> None:
    lake = Lake.at(tmp_path / "lake")
    away = drop.rename(tmp_path / "away")
    drop.mkdir()
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = psutil.Popen([*COMMAND, "watch", str(drop), *WATCHED, "--lake", str(lake.root)], stderr=output, stdout=output)

    def seen(has_come: Callable[[], object]) -> None:
        deadline = time.monotonic() + 400
        while not has_come():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)

    seen(lambda: "nothing new" in log.read_text())
    drop.rmdir()
    seen(lambda: "trying again every 0.5 s" in log.read_text())
    away.rename(drop)
    seen(lambda: [batch for batch in batches.batches(lake, DATASET) if not batch.is_open])
    process.send_signal(signal.SIGINT)
    errors = log.read_text()
    assert process.wait(timeout=120) == 130, errors
    assert [batch.outcome for batch in batches.batches(lake, DATASET)] == ["promoted"], errors
