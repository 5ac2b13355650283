"""What the steps of earlier batches have cost, and what the next adaptation is therefore predicted to cost.

    costs/dataset=<name>/<batch>-<step>.json     seconds, memory and row counts of one step, as measured

These figures differ from run to run; nothing else in the lake does.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from pydantic import Field, ValidationError

from cvgl.config import Settings
from cvgl.errors import DamagedError
from cvgl.lake import Lake, read_versioned, write_versioned

Step = Literal["extract", "adapt", "evaluate", "register"]


class Cost(Settings):
    """One step as measured.

    Attributes:
        work: what the time grows with: images described, or queries times references of an adaptation.
        base_bytes: memory of the process before.
        peak_bytes: its highest until the end of the step.
    """

    step: Step
    recipe: str = Field("", description="of an adaptation, or the frozen model of an extraction")
    work: float = Field(gt=0)
    seconds: float = Field(ge=0)
    base_bytes: int = Field(ge=0)
    peak_bytes: int = Field(ge=0)


@dataclass(frozen=True, slots=True)
class Prediction:
    """Seconds and peak memory of an adaptation; None where nothing like it has been measured in this lake."""

    seconds: float | None = None
    peak_bytes: int | None = None
    measured: int = 0

    def __str__(self) -> str:
        if self.seconds is None or self.peak_bytes is None:
            return "what it will cost has not been measured yet"
        return f"predicted {_duration(self.seconds)} and {self.peak_bytes / 2**30:.1f} GiB, from {self.measured} earlier"


class Meter:
    """Filled in by `measured` when its block ends well."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.base_bytes = peak_memory()
        self.peak_bytes = self.base_bytes


@contextmanager
def measured() -> Iterator[Meter]:
    """Measures the time and memory of a block."""
    meter, begun = Meter(), time.perf_counter()
    yield meter
    meter.seconds, meter.peak_bytes = time.perf_counter() - begun, peak_memory()


def peak_memory() -> int:
    """The most memory that this process has had, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def record(lake: Lake, dataset: str, batch: str, meter: Meter, step: Step, recipe: str, work: float) -> None:
    """Keeps what a step has cost."""
    cost = Cost(
        step=step,
        recipe=recipe,
        work=work,
        seconds=round(meter.seconds, 3),
        base_bytes=meter.base_bytes,
        peak_bytes=meter.peak_bytes,
    )
    write_versioned(lake.costs(dataset) / f"{batch}-{step}.json", "cost", cost.model_dump(mode="json"))


def read(lake: Lake, step: Step, recipe: str) -> list[Cost]:
    """All that was measured in a lake of steps of one kind; a damaged record is passed over."""
    costs = []
    for path in sorted((lake.root / "costs").glob(f"dataset=*/*-{step}.json")):
        try:
            cost = Cost.model_validate(read_versioned(path, "cost"))
        except (ValidationError, DamagedError):
            continue
        if cost.recipe == recipe:
            costs.append(cost)
    return costs


def predict(earlier: Sequence[Cost], work: float) -> Prediction:
    """Cost of an amount of work, from earlier ones of the same kind.

    The time is the fixed part, the shortest ever seen, plus the part that grows with the work, from the two that differ
    most; with one figure, or figures of one size, it is that one's, grown in proportion where there is more to do.
    """
    if not earlier:
        return Prediction()
    ordered = sorted(earlier, key=lambda cost: (cost.work, cost.seconds))
    seconds = _extrapolated([(cost.work, cost.seconds) for cost in ordered], work)
    grown = _extrapolated([(cost.work, float(cost.peak_bytes - cost.base_bytes)) for cost in ordered], work)
    base = max(cost.base_bytes for cost in ordered)
    return Prediction(seconds, int(base + grown), len(earlier))


def _extrapolated(points: Sequence[tuple[float, float]], work: float) -> float:
    (least, low), (most, high) = points[0], points[-1]
    if most > least and high > low:
        return max(low + (high - low) * (work - least) / (most - least), low)
    return high * max(1.0, work / most)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
