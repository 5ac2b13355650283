"""Pages as files: Markdown, HTML that needs no network, and JSON, in `reproductions/<name>/` of the lake.

A page is left as it is when what it says has not changed, so that the machine and time on it are those of the measuring and
not those of a look at finished work.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cvgl import __version__
from cvgl.errors import LakeError, require
from cvgl.experiments.page import Cell, Line, Page, PageGrid, PageTable
from cvgl.hashing import digest_json
from cvgl.lake import Lake, read_json, write_bytes, write_json
from cvgl.reporting.theme import data_uri

PAGE_VERSION = "1"
"""Raised whenever the same page would be written in other words."""

PAGE_JSON, PAGE_HTML, PAGE_MARKDOWN = "page.json", "index.html", "index.md"


@dataclass(frozen=True, slots=True)
class PageOutcome:
    """What was written.

    Attributes:
        page: what it says.
        html, markdown: the files.
        skipped: it said the same before, and was left.
    """

    page: Page
    html: Path
    markdown: Path
    skipped: bool


def write_page(page: Page, lake: Lake, machine: Mapping[str, str], seconds: float) -> PageOutcome:
    """Writes a page, or finds that it says the same already.

    Args:
        page: what it says.
        lake: where it goes, and where its drawings lie.
        machine: on which it was measured, see `describe_machine`.
        seconds: that measuring took.

    Raises:
        MissingDependencyError: jinja2 is not installed.
    """
    folder = lake.root / "reproductions" / page.name
    outcome = PageOutcome(page, folder / PAGE_HTML, folder / PAGE_MARKDOWN, skipped=False)
    digest = digest_json([PAGE_VERSION, page.model_dump(mode="json")])
    if _finished(folder, digest):
        return PageOutcome(page, outcome.html, outcome.markdown, skipped=True)
    made_on = _made_on(folder, page) or {**machine, "time of this run": f"{seconds:,.1f} s"}
    write_bytes(outcome.markdown, markdown(page, made_on, folder, lake.root).encode())
    write_bytes(outcome.html, to_html(page, made_on, lake.root).encode())
    # Written last: where it has the digest, both are complete.
    write_json(folder / PAGE_JSON, {"digest": digest, "machine": made_on, "page": page.model_dump(mode="json")})
    return outcome


def _finished(folder: Path, digest: str) -> bool:
    if not all((folder / name).is_file() for name in (PAGE_JSON, PAGE_HTML, PAGE_MARKDOWN)):
        return False
    try:
        record = read_json(folder / PAGE_JSON)
    except LakeError:
        return False  # damaged: it can be made again
    return isinstance(record, dict) and record.get("digest") == digest


def _made_on(folder: Path, page: Page) -> dict[str, str] | None:
    """Machine and time of the measuring, where the page that is there was made of the same results; else none."""
    try:
        record = read_json(folder / PAGE_JSON)
        if record["page"]["provenance"] == page.provenance.model_dump(mode="json"):
            return {str(name): str(value) for name, value in record["machine"].items()}
    except (LakeError, FileNotFoundError, KeyError, TypeError, AttributeError):
        return None  # none there, or damaged: it is made again
    return None


def columns_of(table: PageTable) -> tuple[str, ...]:
    """Headings of a table's figures: the direction where there are several."""
    directions = {direction for direction, _ in table.columns}
    short = {"drone": "D", "satellite": "S", "ground": "G"}

    def heading(direction: str, metric: str) -> str:
        if len(directions) == 1:
            return metric
        return f"{'→'.join(short.get(view, view) for view in direction.split('_to_'))} {metric}"

    return tuple(heading(*column) for column in table.columns)


def caption_of(table: PageTable) -> str:
    """The table's title with its direction where it has one only."""
    directions = {direction for direction, _ in table.columns}
    direction = next(iter(directions)).replace("_", " ") if len(directions) == 1 else ""
    return ", ".join(part for part in (table.title, direction) if part)


def published_text(cell: Cell) -> str:
    """Published value in percent; empty if there is none."""
    return "" if cell.published is None else f"{100 * cell.published:.2f}"


def measured_text(cell: Cell) -> str:
    """Measured value in percent; empty if there is none."""
    if cell.measured is None:
        return ""
    deviation = cell.measured.deviation
    return f"{100 * cell.measured.mean:.2f}" + ("" if deviation is None else f" ± {100 * deviation:.2f}")


def delta_text(cell: Cell) -> str:
    """Measured less published value in percentage points; empty if one is missing."""
    return "" if cell.delta is None else f"{100 * cell.delta:+.2f}"


def model_text(line: Line) -> str:
    """The frozen model and its data, and whether it takes the place of the paper's."""
    model = f"in its place: {line.model}" if line.stands_in else line.model
    return f"{model} on {line.data}" if line.data else model


def method_text(line: Line) -> str:
    """Name of the method, starred if it reads ground truth."""
    return line.method + (" *" if line.uses_ground_truth else "")


def has_published(table: PageTable) -> bool:
    """Whether any cell has a published value."""
    return any(cell.published is not None for line in table.lines for cell in line.cells)


def markdown(page: Page, machine: Mapping[str, str], folder: Path, root: Path) -> str:
    """The page as Markdown; drawings are named by their path from the page's folder."""
    lines = [f"# {page.source}: {page.title}", "", f"**{page.heading}**", ""]
    lines += [f"The paper: {page.published}.", ""]
    lines += [f"- {problem}" for problem in page.problems] + ([""] if page.problems else [])
    for table in page.tables:
        lines += [f"## {caption_of(table)}", "", *_markdown_table(table), ""]
    if page.tables:
        legend = "Rates in percent: measured, in brackets published and the difference; ± is the sample deviation over seeds."
        lines += [legend, ""]
        if any(line.uses_ground_truth for table in page.tables for line in table.lines):
            lines += ["\\* learned from ground truth: for comparison only.", ""]
    for image in page.pictures:
        path = os.path.relpath(root / image.file, folder)
        lines += [f"## {image.title}", "", f"![{image.alt}]({path})", "", image.caption, ""]
    for grid in page.grids:
        lines += [f"## {grid.title}", "", *_markdown_grid(grid), ""]
    lines += ["## Notes", "", *(f"- {note}" for note in page.notes), ""] if page.notes else []
    lines += [f"## {page.provenance.title}", "", *_markdown_grid(page.provenance), ""]
    lines += ["Made by", "", f"    {page.command}", ""]
    lines += ["## Machine and time", "", *(f"- {name}: {value}" for name, value in machine.items()), ""]
    return "\n".join(lines)


def _markdown_table(table: PageTable) -> list[str]:
    rows = []
    for line in table.lines:
        reason = line.reason + (f": `{line.command}`" if line.command else "")
        figures = [_markdown_cell(cell) for cell in line.cells]
        rows.append((method_text(line), line.learning, model_text(line) + (f" — {reason}" if reason else ""), *figures))
    columns = ("method", "learning", "frozen model", *columns_of(table))
    return _markdown_grid(PageGrid(title="", columns=columns, rows=tuple(rows)))


def _markdown_cell(cell: Cell) -> str:
    if cell.measured is None:
        return f"({published_text(cell)})" if cell.published is not None else ""
    if cell.published is None:
        return measured_text(cell)
    return f"{measured_text(cell)} ({published_text(cell)}, {delta_text(cell)})"


def _markdown_grid(grid: PageGrid) -> list[str]:
    def row(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"

    return [row(grid.columns), "|" + "---|" * len(grid.columns), *map(row, grid.rows)]


def to_html(page: Page, machine: Mapping[str, str], root: Path) -> str:
    """The page as one HTML file: no scripts, no outside address, drawings within.

    Raises:
        MissingDependencyError: jinja2 is not installed.
    """
    images = [(image, data_uri((root / image.file).read_bytes(), "image/png")) for image in page.pictures]
    text: str = (
        _environment().get_template("page.html.j2").render(page=page, machine=machine, pictures=images, version=__version__)
    )
    return text


def write_index(outcomes: Sequence[PageOutcome], lake: Lake) -> tuple[Path, Path]:
    """A page that leads to all of these pages, as HTML and Markdown.

    Raises:
        MissingDependencyError: jinja2 is not installed.
    """
    folder = lake.root / "reproductions"
    pages = [(outcome.page, f"{outcome.page.name}/{PAGE_HTML}") for outcome in outcomes]
    text = _environment().get_template("index.html.j2").render(pages=pages, version=__version__)
    write_bytes(folder / PAGE_HTML, text.encode())
    rows = tuple(
        (f"[{page.source.rpartition(', ')[2]}]({page.name}/{PAGE_MARKDOWN})", page.title, page.heading) for page, _ in pages
    )
    grid = PageGrid(title="", columns=("page", "about", "measured"), rows=rows)
    lines = ["# The paper's tables and figures, measured again", "", *_markdown_grid(grid)]
    write_bytes(folder / PAGE_MARKDOWN, ("\n".join(lines) + "\n").encode())
    return folder / PAGE_HTML, folder / PAGE_MARKDOWN


def _environment() -> Any:
    jinja2: Any = require("jinja2", extra="pipeline", purpose="write pages of a reproduction")
    loaders = [jinja2.PackageLoader("cvgl.experiments"), jinja2.PackageLoader("cvgl.reporting")]
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(loaders),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for function in (columns_of, caption_of, published_text, measured_text, delta_text, model_text, method_text, has_published):
        environment.globals[function.__name__] = function
    return environment
