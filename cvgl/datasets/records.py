"""Reading the tables that people hand in: CSV with any usual separator, or Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from cvgl.errors import DataError

TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".txt", ".parquet", ".pq"})
Cell: TypeAlias = object  # text from a CSV; also numbers, times and lists from Parquet; None when empty


@dataclass(frozen=True, slots=True)
class Record:
    """One row. `number` counts as an editor does: the header of a CSV is row 1."""

    number: int
    cells: Mapping[str, Cell]
    defect: str = ""  # why the row as a whole cannot be used


def read_records(path: Path) -> tuple[list[str], list[Record]]:
    """Reads a CSV or Parquet file.

    Returns:
        Column names in lower case without surrounding blanks, and the rows; empty rows are left out.

    Raises:
        DataError: missing, not text, not Parquet, without a header, or with a column twice.
    """
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            return _read_parquet(path)
        return _read_csv(path)
    except OSError as error:
        raise DataError(f"the table cannot be read: {error.strerror or error}", where=path, fix="check its path") from error


def _read_csv(path: Path) -> tuple[list[str], list[Record]]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"the table is not UTF-8 text: {error}", where=path, fix="save it as CSV in UTF-8") from error
    header = text.split("\n", 1)[0]
    # Spreadsheets write what their country uses; no column name of ours holds any of these.
    separator = max(",;\t", key=header.count)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    except csv.Error as error:
        raise DataError(f"the table is not a valid CSV: {error}", where=path, fix="check its quotes and separators") from error
    if not rows or not any(rows[0]):
        raise DataError("the table is empty", where=path, fix="its first row names the columns")
    columns = _columns(rows[0], path)
    records = []
    for number, row in enumerate(rows[1:], start=2):
        if not any(cell.strip() for cell in row):
            continue
        cells = {name: cell if cell.strip() else None for name, cell in zip(columns, row, strict=False)}
        defect = "" if len(row) == len(columns) else f"the row has {len(row)} cells and the header {len(columns)}"
        records.append(Record(number, cells, defect))
    return columns, records


def _read_parquet(path: Path) -> tuple[list[str], list[Record]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # ParquetFile, not read_table: the latter reads columns out of the names of folders above the file.
        with pq.ParquetFile(path) as file:
            table = file.read()
    except pa.ArrowException as error:
        raise DataError(f"the table is not a Parquet file: {error}", where=path, fix="write it again") from error
    columns = _columns(table.column_names, path)
    lists = []
    for column in table.columns:
        if pa.types.is_timestamp(column.type):  # nanoseconds have no Python type
            column = column.cast(pa.timestamp("us", tz=column.type.tz), safe=False)
        elif pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        lists.append(column.to_pylist())
    rows = zip(*lists, strict=True) if lists else ()
    return columns, [Record(number, dict(zip(columns, row, strict=True))) for number, row in enumerate(rows, start=1)]


def _columns(names: list[str], path: Path) -> list[str]:
    columns = [name.strip().lower() for name in names]
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise DataError(f"the table has the column '{twice[0]}' twice", where=path, fix="remove one of them")
    return columns
