"""SQL over a lake: an in-memory DuckDB that cannot write, reach the network, or read anything but the lake's tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cvgl.catalog.sources import parquet_sources, record_sources
from cvgl.catalog.views import VIEWS, list_of_views
from cvgl.errors import ConfigError, DataError, require
from cvgl.lake import Lake

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_READING = {"SELECT", "EXPLAIN", "MULTI"}  # MULTI: one PIVOT, which DuckDB splits in two


@dataclass(frozen=True, slots=True)
class Result:
    """What a query answered.

    Attributes:
        columns: names, in order.
        rows: values as Python objects.
        truncated: there were more rows than the limit that was asked for.
    """

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    truncated: bool = False


def connect(lake: Lake, *, memory_limit: str = "2GB", threads: int = 2) -> DuckDBPyConnection:
    """An in-memory connection with the views of `cvgl.catalog.VIEWS` over what the lake holds now.

    Tables that the lake does not have yet are empty views with the right columns. Parquet is read by Arrow when a query
    asks for it; DuckDB itself has no access to files or the network, so no statement can write or read past the views
    (``COPY`` inside a common table expression would otherwise do so within a SELECT).

    Args:
        lake: where to look; it need not exist.
        memory_limit: DuckDB's, e.g. ``"2GB"``; nothing spills to disk.
        threads: DuckDB's.

    Raises:
        MissingDependencyError: duckdb is not installed.
        ConfigError: `memory_limit` or `threads` mean nothing to DuckDB.
        LakeError: a JSON record of the lake is damaged.
    """
    duckdb: Any = require("duckdb", extra="pipeline", purpose="query the lake with SQL")
    sources = {**parquet_sources(lake), **record_sources(lake)}
    try:
        connection: DuckDBPyConnection = duckdb.connect(":memory:", config=_settings(memory_limit, threads))
    except duckdb.Error as error:
        raise ConfigError(
            f"DuckDB refuses its settings: {error}",
            where=f"memory_limit={memory_limit}, threads={threads}",
            fix="write a size like 2GB and at least one thread",
        ) from error
    for name, source in sources.items():
        connection.register(f"_{name}", source)
    for view in VIEWS:
        connection.execute(f'CREATE VIEW "{view.name}" AS {view.sql}')
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def _settings(memory_limit: str, threads: int) -> dict[str, str]:
    return {
        "memory_limit": memory_limit,
        "threads": str(threads),
        "temp_directory": "",  # a query must not leave files behind
        "autoinstall_known_extensions": "false",  # extensions are downloads
        "autoload_known_extensions": "false",
        "python_enable_replacements": "false",  # SQL must not see our variables
    }


def run_query(lake: Lake, sql: str, limit: int | None = None) -> Result:
    """Answers one SQL statement over the views of a lake.

    Args:
        lake: where to look.
        sql: one statement that reads, in DuckDB's dialect.
        limit: rows to return at most; None for all.

    Raises:
        DataError: the statement is empty, not valid, not one that reads, or fails; with DuckDB's own message.
        MissingDependencyError: duckdb is not installed.
    """
    duckdb: Any = require("duckdb", extra="pipeline", purpose="query the lake with SQL")
    if limit is not None and limit < 0:
        raise ConfigError(f"the limit {limit} is negative", where="--limit", fix="give 0 or more rows")
    connection = connect(lake)
    try:
        _check_reads(connection.extract_statements(sql))
        answer = connection.execute(sql)
        columns = tuple(str(column[0]) for column in answer.description or ())
        rows = answer.fetchall() if limit is None else answer.fetchmany(limit + 1)
    except duckdb.Error as error:
        raise DataError(str(error).strip(), where=_shorten(sql), fix=f"the views are: {list_of_views()}") from error
    finally:
        connection.close()
    truncated = limit is not None and len(rows) > limit
    return Result(columns, rows[:limit] if truncated else rows, truncated)


def _check_reads(statements: list[Any]) -> None:
    hint = f"write one SELECT, FROM, DESCRIBE, SHOW or SUMMARIZE over the views: {list_of_views()}"
    if len(statements) != 1:
        raise DataError(f"expected one SQL statement and found {len(statements)}", where="SQL", fix=hint)
    kind = statements[0].type.name
    if kind not in _READING:
        raise DataError(f"the catalogue only answers questions, and this statement is {kind}", where="SQL", fix=hint)


def _shorten(sql: str, length: int = 200) -> str:
    line = " ".join(sql.split())
    return line if len(line) <= length else line[: length - 1] + "…"
