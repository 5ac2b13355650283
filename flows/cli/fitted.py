"""Tables that fit the terminal without cutting a number: text folds, headers wrap, and on narrow ones rows are stacked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.table import Column

MOST_FOR_TEXT = 12
"""Letters that a column of text is given before rows are stacked; longer words fold."""

# A figure with its sign, unit and brackets: -0.5, +1.2%, (60.1, ≤25, 56ms, 1e-05, 2026-01-02T03:04:05Z.
_NUMBER = re.compile(r"[^\w\s]*\d[\d.,:/%±+\-eTZ]*[A-Za-z%]{0,3}[^\w\s]*")


class FittedTable(Table):
    """A table in which every number, and every word of a header, is there in full at any width.

    Columns get the width of their longest number and header word first, and the rest of the terminal is dealt out among those
    whose text needs more. Where not even the first fits, each row is printed as lines of `name  value`.
    """

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        widths = self._fitting(console, options.max_width)
        if widths is None:
            yield from self._stacked(console)
            return
        for column, width in zip(self.columns, widths, strict=True):
            column.width, column.overflow, column.no_wrap = width, "fold", False
        yield from super().__rich_console__(console, options)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        widths = self._fitting(console, options.max_width)
        total = options.max_width if widths is None else sum(widths) + self._around()
        return Measurement(min(total, options.max_width), options.max_width)

    def _around(self) -> int:
        """Characters of a line that are no content: padding and the box."""
        return self._extra_width + sum(self._get_padding_width(index) for index in range(len(self.columns)))

    def _fitting(self, console: Console, available: int) -> list[int] | None:
        """The width of each column's content; None where the terminal is too narrow for the numbers."""
        texts = [_texts(column, console) for column in self.columns]
        widths = [_least(header, cells) for header, cells in texts]
        wanted = [max((_widest(text) for text in (header, *cells)), default=0) for header, cells in texts]
        left = available - self._around() - sum(widths)
        if left < 0:
            return None
        growing = [index for index, width in enumerate(widths) if width < wanted[index]]
        while left > 0 and growing:
            # What needs least is satisfied first, so that one long path does not fold all the others.
            index = min(growing, key=lambda candidate: wanted[candidate] - widths[candidate])
            grown = min(wanted[index] - widths[index], max(1, left // len(growing)))
            widths[index] += grown
            left -= grown
            growing = [candidate for candidate in growing if widths[candidate] < wanted[candidate]] if left else []
        return widths

    def _stacked(self, console: Console) -> Iterator[RenderableType]:
        texts = [_texts(column, console) for column in self.columns]
        if self.title:
            yield Text(_plain(self.title, console), style="bold")
        names = [header.replace("\n", " ") for header, _ in texts]
        longest = max(map(len, names), default=0)
        for row in range(self.row_count):
            lines = Text()
            for name, (_, cells) in zip(names, texts, strict=True):
                value = cells[row] if row < len(cells) else ""
                if value.strip():
                    lines.append(f"{name.ljust(longest)}  ", style="bold").append(value.replace("\n", "; ") + "\n")
            if lines.plain:
                yield lines
        if self.caption:
            yield Text(_plain(self.caption, console), style="dim")


def _texts(column: Column, console: Console) -> tuple[str, list[str]]:
    return _plain(column.header, console), [_plain(cell, console) for cell in column.cells]


def _plain(renderable: RenderableType, console: Console) -> str:
    """What is printed of a cell."""
    if isinstance(renderable, Text):
        return renderable.plain
    return console.render_str(renderable).plain if isinstance(renderable, str) else str(renderable)


def _widest(text: str) -> int:
    return max((Text(line).cell_len for line in text.splitlines()), default=0)


def _least(header: str, cells: Sequence[str]) -> int:
    """The longest number and the longest header word; of other words as much as is readable."""
    words = {word for cell in cells for word in cell.split()}
    numbers = [word for word in words if _NUMBER.fullmatch(word)]
    least = max((Text(word).cell_len for word in (*numbers, *header.split())), default=0)
    text = max((min(Text(word).cell_len, MOST_FOR_TEXT) for word in words), default=0)
    return max(1, least, text)
