"""A killed run does not stay 'Running' on the engine's page, and a living one is left alone."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import psutil
import pytest

from tasks.servers.abandoned import OURS, close_abandoned, is_gone, process_tag

WAITING = """
import sys, time
import prefect
from tasks.servers.abandoned import OURS, process_tag

@prefect.flow(name="waiting")
def waiting():
    print("started", flush=True)
    time.sleep(300)

with prefect.tags(OURS, process_tag(), sys.argv[1]):
    waiting()
"""


def test_a_tag_names_one_process_for_good() -> None:
    mine = process_tag()
    assert process_tag() == mine
    assert not is_gone([OURS, mine])
    ended = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    theirs = process_tag(psutil.Process(ended.pid))
    assert not is_gone([theirs])
    ended.communicate()
    assert is_gone([theirs])


@pytest.mark.parametrize("tags", [[], [OURS], ["process:another-machine/1/2.00"], ["process"], ["town", "gist"]])
def test_what_cannot_be_known_is_left_alone(tags: list[str]) -> None:
    assert not is_gone(tags)


def test_an_id_that_is_used_again_is_another_process() -> None:
    host_and_id = process_tag().rpartition("/")[0]
    assert is_gone([f"{host_and_id}/1.00"])


def start(name: str) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", WAITING, name], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "started"
    return process


def states(*names: str) -> list[Any]:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterTags

    with get_client(sync_client=True) as client:
        return [
            client.read_flow_runs(flow_run_filter=FlowRunFilter(tags=FlowRunFilterTags(all_=[name])))[0].state_name
            for name in names
        ]


@pytest.mark.slow
def test_killed_runs_are_closed_and_living_ones_go_on(prefect_api: str) -> None:
    killed, living = start("killed-one"), start("living-one")
    try:
        killed.kill()
        killed.wait()
        deadline = time.monotonic() + 30  # the server learns of the start a moment after the process
        while states("killed-one", "living-one") != ["Running", "Running"] and time.monotonic() < deadline:
            time.sleep(0.2)
        assert close_abandoned() >= 1
        assert states("killed-one", "living-one") == ["Crashed", "Running"]
        assert close_abandoned() == 0
    finally:
        living.kill()
        living.wait()
