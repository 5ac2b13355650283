"""Answers for people: what commands print when --json is absent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cvgl.localization.placement import Placement, Position
from cvgl.summary import MetricSummary
from flows.outcome import RunOutcome

_COLORS = {"promoted": "green", "unchanged": "cyan", "refused": "yellow"}


def facts(rows: Mapping[str, object], title: str | None = None) -> Table:
    """Names and values, one a line."""
    table = Table(title=title, title_justify="left", show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(name, Text(str(value)))
    return table


def metrics_table(summaries: Sequence[MetricSummary]) -> RenderableType:
    """Frozen, standardised and adapted beneath one another, for each direction and protocol."""
    if not summaries:
        return Text("There are no labels or positions in this dataset to measure against.", style="yellow")
    radii = sorted({radius for summary in summaries for radius in summary.within_m}, key=float)
    table = Table(title="Retrieval before and after adaptation (rates in %)", title_justify="left")
    for name in ("direction", "protocol", "descriptors"):
        table.add_column(name)
    within = [f"≤ {float(radius):.0f} m" for radius in radii]
    for name in ("R@1", "R@5", "R@10", "AP", "median m", *within, "queries", "gallery"):
        table.add_column(name, justify="right")
    previous = None
    for summary in summaries:
        question = (summary.direction, summary.protocol)
        if previous is not None and question != previous:
            table.add_section()
        head = question if question != previous else ("", "")
        table.add_row(*head, str(summary.stage), *_figures(summary, radii), style="bold" if summary.stage == "adapted" else "")
        previous = question
    return table


def _figures(summary: MetricSummary, radii: Iterable[str]) -> list[str]:
    rates = [_percent(summary.recall.get(depth)) for depth in ("1", "5", "10")]
    median = "" if summary.median_m is None else f"{summary.median_m:.0f}"
    shares = [_percent(summary.within_m.get(radius)) for radius in radii]
    return [*rates, _percent(summary.ap), median, *shares, str(summary.n_queries), str(summary.n_gallery)]


def _percent(rate: float | None) -> str:
    return "" if rate is None else f"{100 * rate:.1f}"


def run_answer(outcome: RunOutcome) -> RenderableType:
    """The figures of a run, the gate's verdict, and where everything is."""
    rows: dict[str, object] = {
        "run": outcome.run,
        "images": ", ".join(f"{count} {name}" for name, count in outcome.images.items()),
        "report": outcome.report,
        "lake": outcome.lake,
        "MLflow run": f"{outcome.mlflow_run} in {outcome.tracking_uri}" if outcome.mlflow_run else None,
        "seconds": ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in outcome.seconds.items()),
        "skipped": f"{', '.join(outcome.skipped)}: finished before" if outcome.skipped else None,
        "pages": f"cvgl ui --lake {outcome.lake}",
    }
    parts: list[RenderableType] = [metrics_table(outcome.metrics), ""]
    if outcome.verdict is not None:
        parts += [Text.assemble((outcome.verdict, f"bold {_COLORS[outcome.verdict]}"), ": ", outcome.reason), ""]
    return Group(*parts, facts({name: value for name, value in rows.items() if value}))


def placements_table(placements: Sequence[Placement]) -> Table:
    """The answers for each picture, best first."""
    table = Table(title="Where the pictures were taken", title_justify="left")
    table.add_column("picture", overflow="fold")
    for name in ("rank", "score", "latitude, longitude"):
        table.add_column(name, justify="right")
    table.add_column("reference", overflow="fold")
    for placement in placements:
        table.add_section()
        if placement.problem is not None:
            table.add_row(Text(placement.picture), "", "", "", Text(placement.problem, style="yellow"))
        for rank, answer in enumerate(placement.top_k, start=1):
            picture = Text(placement.picture if rank == 1 else "")
            table.add_row(picture, str(rank), f"{answer.score:.3f}", _place(answer), Text(answer.uri))
    table.caption = f"adapter: {', '.join(sorted({placement.adapter for placement in placements}))}"
    return table


def _place(position: Position) -> str:
    degrees = position.degrees()
    if degrees is not None:
        return f"{degrees[0]:.6f}, {degrees[1]:.6f}"
    return "" if position.x is None else f"x {position.x:.1f}, y {position.y:.1f} ({position.crs})"
