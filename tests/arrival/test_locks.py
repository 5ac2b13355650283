"""Locks that die with their process."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from cvgl.arrival import locks
from cvgl.lake import Lake

HOLD = """
import sys, time
from cvgl.arrival import locks
from cvgl.lake import Lake
with locks.{name}:
    print("held", flush=True)
    time.sleep(600)
"""


def holder(lake: Lake, name: str) -> subprocess.Popen[str]:
    """A process that holds a lock until it is killed."""
    code = HOLD.format(name=name.replace("LAKE", f"Lake.at({str(lake.root)!r})"))
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


@pytest.mark.parametrize("name", ["working(LAKE, 'town')", "extraction_slot(LAKE, 1)"])
def test_a_killed_process_holds_nothing(lake: Lake, name: str) -> None:
    process = holder(lake, name)
    got = threading.Event()

    def take() -> None:
        with locks.working(lake, "town") if "working" in name else locks.extraction_slot(lake, 1):
            got.set()

    thread = threading.Thread(target=take)
    thread.start()
    assert not got.wait(0.6)
    process.kill()
    process.communicate()
    assert got.wait(30)
    thread.join()


def test_whoever_comes_after_a_kill_is_told(lake: Lake) -> None:
    process = holder(lake, "working(LAKE, 'town')")
    process.kill()
    process.communicate()
    messages = []
    for _ in range(2):
        with locks.working(lake, "town") as killed:
            messages.append(killed)
    assert messages == [True, False]


def test_two_maps_are_worked_on_at_once(lake: Lake) -> None:
    with locks.working(lake, "town"), locks.working(lake, "village"), locks.noticing(lake, "town"):
        pass


def test_no_more_extractions_than_the_limit(lake: Lake) -> None:
    running, most, guard = 0, 0, threading.Lock()

    def extract() -> None:
        nonlocal running, most
        with locks.extraction_slot(lake, 2):
            with guard:
                running += 1
                most = max(most, running)
            time.sleep(0.15)
            with guard:
                running -= 1

    threads = [threading.Thread(target=extract) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 2
