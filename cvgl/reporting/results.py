"""The answer of a run as tables: frozen, view-standardised and adapted side by side, with what each gains.

What inference adds to the adapted descriptors (hubness correction, windows of a sequence) follows in rows of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cvgl.summary import MetricSummary
from cvgl.types import Representation

STAGE_NAMES = {
    Representation.FROZEN: "frozen",
    Representation.STANDARDISED: "view-standardised",
    Representation.ADAPTED: "adapted",
    Representation.ADAPTED_CORRECTED: "adapted, hubness corrected",
    Representation.ADAPTED_RERANKED: "adapted, re-ranked",
    Representation.ADAPTED_WINDOW: "adapted, in a window",
}
_ORDER = list(STAGE_NAMES)
_TIE = 5e-4  # of a rate: less is invisible at the printed precision of 0.1 %


@dataclass(frozen=True, slots=True)
class Cell:
    """One figure as printed.

    Attributes:
        text: the value.
        delta: signed difference from the frozen stage; empty for that stage.
        trend: better, worse or same, for colouring.
        best: nothing in this column is better.
    """

    text: str
    delta: str = ""
    trend: str = "same"
    best: bool = False


@dataclass(frozen=True, slots=True)
class ResultTable:
    """All stages in one direction under one protocol."""

    direction: str
    protocol: str
    protocol_hash: str
    n_queries: int
    n_gallery: int
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    notes: tuple[str, ...]


def result_tables(summaries: Sequence[MetricSummary]) -> list[ResultTable]:
    """One table a direction and protocol, in the order in which they were evaluated."""
    groups: dict[tuple[str, str], list[MetricSummary]] = {}
    for summary in summaries:
        groups.setdefault((summary.direction, summary.protocol), []).append(summary)
    return [_table(sorted(group, key=lambda summary: _ORDER.index(summary.stage))) for group in groups.values()]


def headlines(summaries: Sequence[MetricSummary]) -> list[str]:
    """A sentence a direction that a reader can take away: R@1 under its first protocol, from frozen to adapted."""
    sentences = []
    for direction in dict.fromkeys(summary.direction for summary in summaries):
        protocol = next(summary.protocol for summary in summaries if summary.direction == direction)
        stages = {s.stage: s.recall.get("1") for s in summaries if (s.direction, s.protocol) == (direction, protocol)}
        before, baseline, after = (
            stages.get(stage) for stage in (Representation.FROZEN, Representation.STANDARDISED, Representation.ADAPTED)
        )
        if before is None or after is None:
            continue
        verb = "raises" if after - before > _TIE else "lowers" if before - after > _TIE else "leaves"
        change = (
            f"leaves R@1 at {_percent(after)}"
            if verb == "leaves"
            else f"{verb} R@1 from {_percent(before)} to {_percent(after)}"
        )
        versus = "" if baseline is None else f"; standardising each view alone gives {_percent(baseline)}"
        sentences.append(f"{arrow(direction).capitalize()}: adaptation {change}{versus}.")
    return sentences


def _percent(rate: float) -> str:
    return f"{100 * rate:.1f}\u00a0%"  # a number and its unit stay on one line


def arrow(direction: str) -> str:
    """``drone_to_satellite`` -> ``drone → satellite``."""
    return direction.replace("_to_", " → ")


def _table(group: list[MetricSummary]) -> ResultTable:
    first = group[0]
    names = list(dict.fromkeys(name for summary in group for name in summary.measures()))
    measures = [summary.measures() for summary in group]
    frozen = next(
        (values for summary, values in zip(group, measures, strict=True) if summary.stage is Representation.FROZEN), None
    )
    rows = []
    for summary, values in zip(group, measures, strict=True):
        base = None if summary.stage is Representation.FROZEN else frozen
        cells = tuple(_cell(name, values, base, [other[name] for other in measures if name in other]) for name in names)
        rows.append((STAGE_NAMES[summary.stage], cells))
    notes = tuple(dict.fromkeys(note for summary in group for note in summary.notes))
    return ResultTable(
        direction=arrow(first.direction),
        protocol=first.protocol,
        protocol_hash=first.protocol_hash,
        n_queries=first.n_queries,
        n_gallery=first.n_gallery,
        columns=tuple(_title(name) for name in names),
        rows=tuple(rows),
        notes=notes,
    )


def _cell(name: str, values: dict[str, float], base: dict[str, float] | None, column: list[float]) -> Cell:
    if name not in values:
        return Cell("—")
    value, metres = values[name], name == "median_m"
    best = value <= min(column) if metres else value >= max(column)
    text = f"{value:,.1f} m" if metres else f"{100 * value:.1f}"
    if base is None or name not in base:
        return Cell(text, best=best and len(column) > 1)
    change = value - base[name]
    gain = -change if metres else change
    trend = "better" if gain > (0.05 if metres else _TIE) else "worse" if gain < -(0.05 if metres else _TIE) else "same"
    delta = f"{change:+,.1f}" if metres else f"{100 * change:+.1f}"
    return Cell(text, "±0.0" if trend == "same" else delta.replace("-", "−"), trend, best and len(column) > 1)


def _title(name: str) -> str:
    if name == "median_m":
        return "median error"
    if name.startswith("within_"):
        return f"≤ {name.removeprefix('within_').removesuffix('m')} m"
    return name
