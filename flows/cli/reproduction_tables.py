"""Reproductions for people: one table a data set, frozen model and alignment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from cvgl.experiments.page_writing import (
    caption_of,
    columns_of,
    delta_text,
    measured_text,
    method_text,
    model_text,
    published_text,
)
from flows.cli.fitted import FittedTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cvgl.experiments.page import Cell, Page, PageGrid, PageTable
    from cvgl.experiments.page_writing import PageOutcome
    from cvgl.experiments.reproduce import ReproduceOutcome
    from cvgl.experiments.results import BackboneResult, ConfigurationResult, DirectionResult, Judged, Spread
    from cvgl.retrieval.bootstrap import Interval


def shown(outcome: ReproduceOutcome) -> Any:
    """The tables of an outcome, with what they were measured on and where they are written."""
    result = outcome.result
    first = result.configurations[0].directions
    sizes = "; ".join(
        f"{direction.direction} {direction.n_queries} queries, {direction.n_gallery} in the gallery" for direction in first
    )
    lines = [Text(f"{first[0].protocol}: {sizes}", style="dim")]
    if result.published_with:
        lines.append(Text(f"the paper ({result.published_with}): {result.finding}", style="dim"))
    if result.alignment_reason:
        lines.append(Text(f"alignment: {result.alignment_reason}", style="dim"))
    if any(direction.uses_ground_truth for direction in result.configurations):
        lines.append(Text("* learned from ground truth: for comparison only", style="dim"))
    lines.append(Text(f"written to {outcome.ref.path}" + (" (measured before)" if outcome.skipped else "")))
    if outcome.figure is not None:
        lines.append(Text(f"figure: {outcome.figure}"))
    tables = _judged_tables(result) if result.baselines else [_table(result)]
    return Group(*tables, *lines, "")


def page_shown(outcome: PageOutcome) -> Any:
    """The tables of a page, with published figures beside measured ones, and where the page lies."""
    page = outcome.page
    heading = Text(f"{page.source}, {page.title}", style="bold")
    lines = [*_reasons(page), *(Text(note, style="dim") for note in page.notes)]
    lines += [Text(f"not measured: {problem}", style="red") for problem in page.problems]
    if any(line.uses_ground_truth for table in page.tables for line in table.lines):
        lines.append(Text("* learned from ground truth: for comparison only", style="dim"))
    lines.append(Text(f"page: {outcome.html}" + (" (as it was)" if outcome.skipped else "")))
    tables = [*map(_page_table, page.tables), *map(_page_grid, page.grids)]
    return Group(heading, Text(page.heading, style="yellow"), *tables, *lines, "")


def _page_table(page: PageTable) -> Table:
    table = _blank(f"{caption_of(page)}; in %, below: published and difference")
    for name in ("method", "frozen model"):
        table.add_column(name)
    for name in columns_of(page):
        table.add_column(name, justify="right")
    for line in page.lines:
        style = "dim" if line.reason else ""
        table.add_row(Text(method_text(line), style), Text(model_text(line), style), *map(_page_cell, line.cells))
    return table


def _reasons(page: Page) -> list[Text]:
    """Why rows were not measured, each reason once."""
    reasons: dict[str, dict[str, None]] = {}
    for table in page.tables:
        for line in table.lines:
            if line.reason:
                reasons.setdefault(line.reason, {})[line.method] = None
    return [Text(f"{', '.join(methods)}: {reason}", style="dim") for reason, methods in reasons.items()]


def _page_cell(cell: Cell) -> str:
    printed = " ".join(part for part in (published_text(cell), delta_text(cell)) if part)
    return "\n".join(part for part in (measured_text(cell), printed) if part)


def _page_grid(grid: PageGrid) -> Table:
    table = _blank(grid.title)
    for name in grid.columns:
        table.add_column(name)
    for row in grid.rows:
        table.add_row(*map(Text, row))
    return table


def summary(outcomes: Sequence[ReproduceOutcome]) -> Any:
    """This project's own recipe on every data set: how far it came, and which others it does not leave behind for certain."""
    results = [outcome.result for outcome in outcomes if outcome.result.baselines]
    if not results:
        return Group()
    table = _blank("Figures to reach, in %; level: the interval of the difference to it is not below 0")
    for name in ("data set", "model", "aligned", "asked", "row"):
        table.add_column(name)
    for name in ("frozen", "view-standardised", "reached", "95 %", "target"):
        table.add_column(name, justify="right")
    table.add_column("level with it, or better")
    for result in results:
        for name in _own(result):
            for direction, measure in _asked(result):
                cells = _summary_cells(result, name, direction, measure)
                if cells:
                    table.add_row(result.dataset, result.backbone.name, str(result.aligned), *cells)
    return table


def _own(result: BackboneResult) -> list[str]:
    """The last baseline, which is this project's recipe, and other rows for which something is to be reached."""
    wanted = [
        row.name
        for row in result.configurations
        if any(judged.target is not None for direction in row.directions for judged in direction.judged.values())
    ]
    return list(dict.fromkeys([result.baselines[-1], *wanted]))


def _asked(result: BackboneResult) -> list[tuple[str, str]]:
    return [(direction.direction, measure) for direction in result.configurations[0].directions for measure in direction.judged]


def _summary_cells(result: BackboneResult, name: str, direction: str, measure: str) -> list[str]:
    outcomes = {row.name: outcome for row in result.configurations if (outcome := row.direction(direction)) is not None}
    own = result.baselines[-1]
    if name not in outcomes or (name != own and outcomes[name].judged[measure].target is None):
        return []
    judged = outcomes[name].judged[measure]
    rates = [f"{100 * outcomes[row].judged[measure].rate.value:.1f}" for row in ("frozen", result.baselines[0])]
    others = [row for row in result.configurations if not row.name.startswith(own) and row.name in outcomes]
    level = [row.name for row in others if not outcomes[row.name].judged[measure].gains[own].below_zero]
    shown_level = ", ".join(level) if name == own else ""
    reached = f"{100 * judged.rate.value:.1f}"
    return [f"{direction}, {measure}", name, *rates, reached, _bounds(judged.rate), _target(judged), shown_level]


def _title(result: BackboneResult) -> str:
    changed = result.alignment.model_dump(mode="json", exclude_defaults=True)
    layers = {"layers": result.backbone.layers, "rings": result.backbone.rings if result.backbone.rings > 1 else None}
    changed |= {name: value for name, value in layers.items() if value is not None}
    aligned = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in changed.items()) or "no alignment"
    return f"{result.source}, {result.title}: {result.backbone.name} on {result.dataset} ({aligned})"


def _blank(title: str) -> Table:
    return FittedTable(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True
    )


def _table(result: BackboneResult) -> Table:
    table = _blank(_title(result))
    table.add_column("rates in %", min_width=18)  # the longest word; longer names wrap on narrow terminals
    for name in ("R@1", "R@5", "R@10", "AP"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("paper R@1/AP", justify="right")
    for first in result.configurations[0].directions:
        table.add_section()
        table.add_row(Text(first.direction, style="cyan"))
        for configuration in result.configurations:
            table.add_row(*_cells(configuration, first.direction))
    return table


def _judged_tables(result: BackboneResult) -> list[Any]:
    """One table a direction and measure that is judged: intervals, gains over the baselines, targets."""
    title = Text(f"{_title(result)}; views aligned: {result.aligned}", style="bold")
    return [title, *(_judged_table(result, direction, measure) for direction, measure in _asked(result))]


def _judged_table(result: BackboneResult, direction: str, measure: str) -> Table:
    rows = [(row, outcome) for row in result.configurations if (outcome := row.direction(direction)) is not None]
    by_metres = measure != "R@1"
    others = ("≤100 m", "median m") if by_metres else ("R@5", "R@10", "AP")
    table = _blank(f"{direction}, {measure} in % (95 % intervals over {rows[0][1].resampled})")
    table.add_column("", min_width=18)
    for name in ("seeds", measure, "95 %", *(f"over {name}" for name in result.baselines), "target", *others):
        table.add_column(name, justify="right")
    for configuration, outcome in rows:
        judged = outcome.judged[measure]
        gains = [_gain(judged.gains.get(name)) for name in result.baselines]
        seeds = str(len(configuration.seeds)) if configuration.seeds else "none needed"
        rate = _percent(outcome.within_m["50"] if by_metres else outcome.recall["1"])
        rest = _distances(outcome) if by_metres else _depths(outcome)
        label = configuration.name + (" *" if configuration.uses_ground_truth else "")
        table.add_row(label, seeds, rate, _bounds(judged.rate), *gains, _target(judged), *rest)
    return table


def _depths(outcome: DirectionResult) -> list[str]:
    return [_percent(outcome.recall["5"]), _percent(outcome.recall["10"]), _percent(outcome.ap)]


def _distances(outcome: DirectionResult) -> list[str]:
    median = "" if outcome.median_m is None else f"{outcome.median_m.mean:.0f}"
    return [_percent(outcome.within_m["100"]), median]


def _bounds(interval: Interval) -> str:
    return f"{100 * interval.low:.1f} to {100 * interval.high:.1f}"


def _gain(interval: Interval | None) -> str:
    return "" if interval is None else f"{100 * interval.value:+.1f} ({100 * interval.low:+.1f} to {100 * interval.high:+.1f})"


def _target(judged: Judged) -> str:
    if judged.target is None:
        return ""
    return f"{100 * judged.target:.0f}: {'reached' if judged.reached else 'not reached'}"


def _cells(configuration: ConfigurationResult, name: str) -> list[str]:
    direction, published = configuration.direction(name), configuration.published
    label = configuration.name + (" *" if configuration.uses_ground_truth else "")
    if direction is None:
        return [label]
    rates = [_percent(direction.recall[depth]) for depth in ("1", "5", "10")]
    is_stated = published is not None and published.direction == name
    paper = f"{100 * published.recall_at_1:.1f}/{100 * published.ap:.1f}" if published is not None and is_stated else ""
    return [label, *rates, _percent(direction.ap), paper]


def _percent(spread: Spread) -> str:
    return f"{100 * spread.mean:.1f}" + ("" if spread.deviation is None else f" ±{100 * spread.deviation:.1f}")
