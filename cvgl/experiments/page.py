"""What a page of the paper says: published and measured figures side by side, and where all of it comes from."""

from __future__ import annotations

from cvgl.config import Settings
from cvgl.experiments.results import Spread


class Cell(Settings):
    """One figure: what is printed and what was measured, as fractions."""

    published: float | None
    measured: Spread | None

    @property
    def delta(self) -> float | None:
        """Measured minus published; none where one of them is missing."""
        return None if self.published is None or self.measured is None else self.measured.mean - self.published


class Line(Settings):
    """One row of a page.

    Attributes:
        method: as printed, or this project's name for it.
        learning: the paper's learning type, or whether it is adapted.
        model: the frozen model that was measured, or would be.
        data: the data set that was measured.
        stands_in: the model takes the place of the paper's.
        cells: one a column.
        reason: why nothing was measured; empty where something was.
        command: what would measure it.
        uses_ground_truth: learned from labels.
    """

    method: str
    learning: str
    model: str
    data: str
    stands_in: bool
    cells: tuple[Cell, ...]
    reason: str = ""
    command: str = ""
    uses_ground_truth: bool = False


class PageTable(Settings):
    """Rows with the same columns.

    Attributes:
        title: empty where the page has one table.
        columns: (direction, metric).
    """

    title: str
    columns: tuple[tuple[str, str], ...]
    lines: tuple[Line, ...]


class PageGrid(Settings):
    """A plain table, for counts and for what a drawing shows."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class PageImage(Settings):
    """A drawing.

    Attributes:
        file: path from the lake's root.
        title, caption, alt: see `cvgl.reporting.document.Picture`.
    """

    file: str
    title: str
    caption: str
    alt: str


class Page(Settings):
    """Everything that a page says but the machine and the time.

    Attributes:
        name: for the command line.
        source: where in the paper.
        title: what it is about.
        heading: on which data and with which models it was measured; starts with a warning where that is not the paper's.
        whole: the paper's own data and models were measured throughout.
        published: what the paper concludes.
        notes: remarks of ours, what took the place of what, what is known to contradict itself in the paper.
        tables, grids, images: its content.
        provenance: where the figures come from, one row a measured result.
        command: what makes this page.
        problems: what was refused or failed.
    """

    name: str
    source: str
    title: str
    heading: str
    whole: bool
    published: str
    notes: tuple[str, ...]
    tables: tuple[PageTable, ...]
    grids: tuple[PageGrid, ...]
    pictures: tuple[PageImage, ...]
    provenance: PageGrid
    command: str
    problems: tuple[str, ...]
