"""Timing two pieces of work against each other in one process, in turn, so that a noisy machine bothers both alike.

Memory is measured in a process of its own, which holds nothing but the work.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Ratio:
    """What was measured.

    Attributes:
        name: the work.
        floor: what it is held against.
        ours_s: median seconds of our code.
        floor_s: median seconds of the floor or peer.
        ratio: median of ours / floor, taken pair by pair.
        low: smallest ratio of a pair.
        high: largest.
    """

    name: str
    floor: str
    ours_s: float
    floor_s: float
    ratio: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Memory:
    """The most memory that a process held.

    Attributes:
        name: the work.
        floor: what it is held against, in words.
        ours_gib: peak resident memory of a process that does the work, in GiB, Python and libraries included.
        floor_gib: the same of what it is held against, or its size where that would not fit into memory.
        limit_gib: what the work must stay below.
    """

    name: str
    floor: str
    ours_gib: float
    floor_gib: float
    limit_gib: float


def memory(name: str, floor_name: str, ours: str, floor: str | float, limit_gib: float) -> Memory:
    """Runs Python code in a process of its own and takes its peak resident memory.

    Args:
        name: the work.
        floor_name: what it is held against.
        ours: Python code; indented blocks are dedented.
        floor: Python code that is measured alike, or a size in GiB.
        limit_gib: what the work must stay below; a row above it is printed as such and is no error.

    Raises:
        subprocess.CalledProcessError: the code failed; what it wrote to stderr is on ours.
    """
    floor_gib = floor if isinstance(floor, float | int) else peak_gib(floor)
    return Memory(name, floor_name, peak_gib(ours), floor_gib, limit_gib)


# getrusage would carry the parent's own peak over into the child; VmHWM belongs to the new program alone.
_REPORT = """
import pathlib as _p, re as _r
print(_r.search(r"VmHWM:\\s+(\\d+) kB", _p.Path("/proc/self/status").read_text())[1])
"""


def peak_gib(code: str) -> float:
    """Peak resident memory in GiB of a Python process that runs `code` (Linux)."""
    line = [sys.executable, "-c", textwrap.dedent(code) + _REPORT]
    done = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=True, cwd=_ROOT)
    return int(done.stdout.split()[-1]) / 2**20


def compare(name: str, floor_name: str, ours: Callable[[], object], floor: Callable[[], object], rounds: int = 5) -> Ratio:
    """Runs both once to warm up, then `rounds` times in turn."""
    ours()
    floor()
    pairs = [(_seconds(ours), _seconds(floor)) for _ in range(rounds)]
    ratios = [ours_s / floor_s for ours_s, floor_s in pairs]
    return Ratio(
        name=name,
        floor=floor_name,
        ours_s=statistics.median(ours_s for ours_s, _ in pairs),
        floor_s=statistics.median(floor_s for _, floor_s in pairs),
        ratio=statistics.median(ratios),
        low=min(ratios),
        high=max(ratios),
    )


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
