"""Reading ahead, and locks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from cvgl.features.decoding import ahead
from cvgl.lake.locks import exclusive


def test_results_keep_their_order_whatever_finishes_first() -> None:
    def slow_first(item: int) -> int:
        time.sleep(0.02 if item % 4 == 0 else 0)
        return item * item

    assert list(ahead(slow_first, range(20), workers=4, window=6)) == [k * k for k in range(20)]


def test_never_more_than_the_window_is_in_memory() -> None:
    lock, made = threading.Lock(), [0]
    largest = 0

    def make(item: int) -> int:
        with lock:
            made[0] += 1
        return item

    for taken, _ in enumerate(ahead(make, range(50), workers=3, window=5), start=1):
        time.sleep(0.002)
        largest = max(largest, made[0] - taken)
    assert largest <= 5


def test_reading_goes_on_while_the_consumer_works() -> None:
    ready = threading.Event()

    def make(item: int) -> int:
        if item == 1:
            ready.set()
        return item

    results = ahead(make, range(3), workers=1, window=2)
    assert next(results) == 0
    assert ready.wait(5), "item 1 is made before it is asked for"
    assert list(results) == [1, 2]


def test_an_error_arrives_at_its_place_and_stops_the_rest() -> None:
    done: list[int] = []

    def make(item: int) -> int:
        if item == 2:
            raise ValueError("broken")
        done.append(item)
        return item

    results = ahead(make, range(1000), workers=2, window=4)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="broken"):
        next(results)
    assert len(done) < 20


HOLD = """
import sys, time
from pathlib import Path
from cvgl.lake.locks import exclusive
with exclusive(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_lock_dies_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "locks" / "gpu.lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        waited: list[bool] = []

        def kill() -> None:
            waited.append(True)
            os.kill(holder.pid, signal.SIGKILL)

        with exclusive(path, kill):
            assert waited == [True]
    finally:
        holder.kill()
        holder.wait()
        if holder.stdout is not None:
            holder.stdout.close()
