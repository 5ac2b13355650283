"""What `cvgl doctor` shows people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from flows.cli.fitted import FittedTable
from flows.cli.tables import facts, position_facts

if TYPE_CHECKING:
    from cvgl.datasets.inspection import Inspection, Problem
    from tasks.diagnosis import Check

_STYLES = {
    **dict.fromkeys(("good", "right"), "green"),
    **dict.fromkeys(("note", "unchecked", "absent", "part"), "dim"),
    **dict.fromkeys(("bad", "wrong", "missing", "unreadable", "unplaced"), "bold red"),
    **dict.fromkeys(("extra", "doubtful"), "yellow"),
}


def checks_table(checks: Sequence[Check]) -> RenderableType:
    """What is installed and reachable, and what to do about the rest."""
    table = _table("This installation", "", "", "found", "to do")
    for check in checks:
        table.add_row(check.subject, _word(str(check.verdict)), Text(check.detail), Text(check.fix))
    return table


def inspection_answer(inspection: Inspection) -> RenderableType:
    """What a folder was taken for, its parts beside the published ones, and each problem with what to do."""
    rows = {
        "folder": inspection.source,
        "taken for": f"{inspection.layout}, for {inspection.reason}",
        "pictures": f"{inspection.images:,}, of which {inspection.opened:,} were opened",
    }
    parts: list[RenderableType] = [facts({**rows, **position_facts(inspection.summaries, inspection.passed_over)}), ""]
    if inspection.counts:
        parts += [_counts_table(inspection), ""]
    parts += [Text(f"note: {note}", style="dim") for note in inspection.notes]
    parts += map(_problem, (*inspection.problems, *inspection.warnings))
    if inspection.is_right and not inspection.warnings:
        parts.append(Text("Nothing is wrong.", style="green"))
    return Group(*parts)


def _counts_table(inspection: Inspection) -> Table:
    table = _table("Parts", "part", "", "pictures", "published", "places", "published")
    for column in table.columns[2:]:
        column.justify = "right"
    for count in inspection.counts:
        part = count.part
        of_places = part.locations is not None
        table.add_row(
            part.name,
            _word("part" if inspection.partial and str(count.state) in ("wrong", "missing") else str(count.state)),
            f"{count.images:,}",
            "" if part.images is None else f"{part.images:,}",
            f"{count.locations:,}" if of_places else "",
            f"{part.locations:,}" if of_places else "",
        )
    return table


def _problem(problem: Problem) -> Text:
    text = Text.assemble(_word(problem.kind), ": ", problem.what)
    if problem.examples:
        more = problem.count - len(problem.examples)
        text.append(f"\n  which: {', '.join(problem.examples)}{f' and {more:,} more' if more > 0 else ''}")
    return text.append(f"\n  to do: {problem.fix}")


def _word(word: str) -> Text:
    return Text(word, style=_STYLES[word])


def _table(title: str, *columns: str) -> Table:
    table = FittedTable(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold")
    return table
