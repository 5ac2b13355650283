"""Answers of the catalogue for people (a table), spreadsheets (CSV) and programs (JSON)."""

from __future__ import annotations

import csv
import datetime
import decimal
import io
import json
import math
import re
from typing import TYPE_CHECKING, Any

from cvgl.catalog.query import MOST_COUNTED, Result

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.table import Table

# What a spreadsheet begins a formula with; the wide forms count in some languages' editions.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_WIDEST_CELL = 60


def to_table(result: Result, title: str | None = None) -> Table:
    """A rich table: numbers to the right, long values shortened, nulls dimmed; content is never read as markup."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title) if title else None, title_justify="left", header_style="bold")
    for number, name in enumerate(result.columns):
        numeric = any(_is_number(row[number]) for row in result.rows)
        table.add_column(Text(name), justify="right" if numeric else "left", overflow="fold")
    for row in result.rows:
        table.add_row(*(Text("—", style="dim") if value is None else Text(_cell(value)) for value in row))
    if result.truncated:
        table.caption = _rest(result)
    return table


class Readable:
    """A result as a table where it fits the terminal, else as one block of names and values a row."""

    def __init__(self, result: Result) -> None:
        self._result = result

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.measure import Measurement

        table = to_table(self._result)
        if Measurement.get(console, options.update(max_width=10_000), table).maximum <= options.max_width:
            yield table
        else:
            yield from self._records()

    def _records(self) -> Iterator[RenderableType]:
        from rich.table import Table
        from rich.text import Text

        for number, row in enumerate(self._result.rows, start=1):
            block = Table(title=f"row {number}", title_justify="left", show_header=False, box=None, pad_edge=False)
            block.add_column(style="bold", no_wrap=True)
            block.add_column(overflow="fold")
            for name, value in zip(self._result.columns, row, strict=True):
                block.add_row(Text(name), Text("—", style="dim") if value is None else Text(_cell(value)))
            yield block
        if self._result.truncated:
            yield Text(_rest(self._result), style="italic")


def _rest(result: Result) -> str:
    """What is said of the rows past the limit."""
    if result.more is None:
        return f"the first {len(result.rows)} rows; there are more"
    number = f"more than {MOST_COUNTED:,}" if result.more >= MOST_COUNTED else f"{result.more:,}"
    return f"and {number} more (--limit gives them)"


def to_csv(result: Result) -> str:
    """CSV with a header (RFC 4180, newline ends); lists and structs as JSON, null as an empty field.

    Spreadsheets run a text that begins with ``=``, ``+``, ``-``, ``@``, a tab or a line end as a formula, so such a text, a
    file name say, gets an apostrophe in front. Numbers stay as they are, whether the column is of numbers or a text that reads
    as one.
    """
    lines = [_line([_harmless(name) for name in result.columns])]
    for row in result.rows:
        texts = ["" if value is None else _field(value) for value in row]
        lines.append(_line([text if _is_number(value) else _harmless(text) for value, text in zip(row, texts, strict=True)]))
    return "".join(lines)


def _line(fields: list[str]) -> str:
    buffer = io.StringIO()
    # A carriage return is put between quotes only where it ends lines; bare, it would begin a row in most readers.
    csv.writer(buffer, lineterminator="\r\n").writerow(fields)
    return buffer.getvalue().removesuffix("\r\n") + "\n"


def _harmless(text: str) -> str:
    """Text that no spreadsheet takes for a formula; what reads as a plain number is none."""
    return f"'{text}" if text.startswith(_FORMULA) and not _NUMBER.fullmatch(text) else text


def to_json(result: Result) -> str:
    """A JSON array with one object a row. NaN and infinities become null: JSON has no word for them."""
    rows = [dict(zip(_distinct(result.columns), map(_plain, row), strict=True)) for row in result.rows]
    return json.dumps(rows, ensure_ascii=False, allow_nan=False)


def _distinct(columns: tuple[str, ...]) -> list[str]:
    """``SELECT a, a`` has two columns of one name; an object has room for one."""
    names: list[str] = []
    for column in columns:
        name, number = column, 2
        while name in names:
            name, number = f"{column}_{number}", number + 1
        names.append(name)
    return names


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | decimal.Decimal) and not isinstance(value, bool)


def _cell(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else _field(value)
    return text if len(text) <= _WIDEST_CELL else text[: _WIDEST_CELL - 1] + "…"


def _field(value: Any) -> str:
    plain = _plain(value)
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)


def _plain(value: Any) -> Any:
    """A value of DuckDB as one of JSON's."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float | decimal.Decimal):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value)  # UUID, interval and the like
