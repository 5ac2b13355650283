"""Reading the tables that people hand in: CSV with any usual separator, or Parquet."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from cvgl.errors import DataError
from cvgl.ingestion.text_encoding import decode_text

if TYPE_CHECKING:
    import pyarrow as pa

TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".txt", ".parquet", ".pq"})
_STATED_SEPARATOR = re.compile(r'"?sep=([,;|\t]|\\t)"?', re.IGNORECASE)
_WHOLE = re.compile(r"[+-]?\d+")
Cell: TypeAlias = object  # text from a CSV; also numbers, times and lists from Parquet; None when empty


@dataclass(frozen=True, slots=True)
class Record:
    """One row. `number` counts as an editor does: the header of a CSV is row 1."""

    number: int
    cells: Mapping[str, Cell]
    defect: str = ""  # why the row as a whole cannot be used


@dataclass(frozen=True, slots=True)
class Table:
    """A table as it was read.

    Attributes:
        columns: their names in lower case without surrounding blanks.
        records: the rows; empty ones are left out.
        notes: for a person: how the file was understood.
    """

    columns: list[str]
    records: list[Record]
    notes: tuple[str, ...] = ()


def read_records(path: Path) -> tuple[list[str], list[Record]]:
    """Reads the columns and rows of a CSV or Parquet file; see `read_table`."""
    table = read_table(path)
    return table.columns, table.records


def read_table(path: Path) -> Table:
    """Reads a CSV or Parquet file.

    A CSV may be UTF-8, UTF-16 or what Windows wrote before them, and may have commas, semicolons or tabs.

    Raises:
        DataError: missing, not text, not Parquet, without a header, or with a column twice.
    """
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            return _read_parquet(path)
        return _read_csv(path)
    except OSError as error:
        raise DataError(f"the table cannot be read: {error.strerror or error}", where=path, fix="check its path") from error


def _read_csv(path: Path) -> Table:
    try:
        text, guess = decode_text(path.read_bytes())
    except UnicodeDecodeError as error:
        raise DataError(f"the table is not UTF-8 text: {error}", where=path, fix="save it as CSV in UTF-8") from error
    notes = (
        () if guess is None else (f"{path.name} is not UTF-8 and was read as {guess}; if names look wrong, save it as UTF-8",)
    )
    separator, first = _separator(text)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))[first:]
    except csv.Error as error:
        raise DataError(f"the table is not a valid CSV: {error}", where=path, fix="check its quotes and separators") from error
    if not rows or not any(rows[0]):
        raise DataError("the table is empty", where=path, fix="its first row names the columns")
    names = rows[0]
    while not names[-1].strip():  # the header ends in a separator
        names = names[:-1]
    columns = _columns(names, path)
    records = []
    for number, row in enumerate(rows[1:], start=first + 2):
        if not any(cell.strip() for cell in row):
            continue
        cells = {name: cell if cell.strip() else None for name, cell in zip(columns, row, strict=False)}
        records.append(Record(number, cells, _defect(row, columns, separator)))
    return Table(columns, records, notes)


def _separator(text: str) -> tuple[str, int]:
    """What separates the cells, and how many rows stand before the header: spreadsheets may state it in a first row."""
    lines = text.split("\n", 2)
    stated = _STATED_SEPARATOR.fullmatch(lines[0].strip())
    if stated:
        return stated[1].replace("\\t", "\t"), 1
    # Spreadsheets write what their country uses; no column name of ours holds any of these.
    return max(",;\t", key=lines[0].count), 0


def _defect(row: list[str], columns: list[str], separator: str) -> str:
    """Why a row cannot be used; empty where it can. A separator behind the last cell does no harm."""
    surplus = row[len(columns) :]
    if len(row) >= len(columns) and not any(cell.strip() for cell in surplus):
        return ""
    defect = f"the row has {len(row)} cells and the header {len(columns)}"
    halves = any(_WHOLE.fullmatch(a.strip()) and b.strip().isdigit() for a, b in itertools.pairwise(row))
    if separator == "," and len(row) > len(columns) and halves:
        return (
            f"{defect}: it looks like decimal commas in a table that is separated by commas; write decimal points, put such "
            "numbers into quotes, or separate the cells by semicolons"
        )
    return defect


def _read_parquet(path: Path) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # ParquetFile, not read_table: the latter reads columns out of the names of folders above the file.
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            table = file.read()
    except (pa.ArrowException, ValueError) as error:  # names that are no text, and numbers of rows that are none
        raise DataError(f"the table is not a Parquet file: {error}", where=path, fix="write it again") from error
    columns = _columns(table.column_names, path)
    lists = []
    for column in table.columns:
        if pa.types.is_timestamp(column.type):
            # Nanoseconds have no Python type. A zone's name may be one that nobody knows; the moment is in UTC anyhow.
            column = column.cast(pa.timestamp("us", tz="UTC" if column.type.tz else None), safe=False)
        elif pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        lists.append(_plain(column))
    rows = zip(*lists, strict=True) if lists else ()
    return Table(columns, [Record(number, dict(zip(columns, row, strict=True))) for number, row in enumerate(rows, start=1)])


def _plain(column: pa.ChunkedArray) -> list[Cell]:
    """The cells as Python's own values; those that Python has none for, such as the year 290,000, as text."""
    try:
        return list(column.to_pylist())
    except (ValueError, OverflowError, LookupError):
        return [_plain_cell(cell) for cell in column]


def _plain_cell(cell: pa.Scalar) -> Cell:
    import pyarrow as pa

    try:
        return cell.as_py()
    except UnicodeDecodeError:
        return str(cell.cast(pa.binary()).as_py(), "utf-8", "backslashreplace")
    except (ValueError, OverflowError, LookupError):
        return f"{cell.type} {getattr(cell, 'value', '')}"  # never a number alone, which might be read as a time again


def _columns(names: list[str], path: Path) -> list[str]:
    columns = [name.strip().strip("\ufeff").strip().lower() for name in names]
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise DataError(f"the table has the column '{twice[0]}' twice", where=path, fix="remove one of them")
    return columns
