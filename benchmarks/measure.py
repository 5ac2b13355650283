"""Timing two pieces of work against each other in one process, in turn, so that a noisy machine bothers both alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


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
