"""SQL over a lake: an in-memory DuckDB that cannot write, reach the network, or read anything but the lake's tables."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cvgl.catalog.sources import parquet_sources, record_sources
from cvgl.catalog.verified import Verified
from cvgl.catalog.views import FORMER, VIEWS, list_of_views
from cvgl.errors import ConfigError, DataError, LakeError, require
from cvgl.lake import Lake

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_READING = {"SELECT", "EXPLAIN", "MULTI"}  # MULTI: one PIVOT, which DuckDB splits in two


_AT_ONCE = 10_000  # rows fetched between two looks at the clock
MOST_COUNTED = 1_000_000  # rows past the limit that are counted; beyond that there are "more than" so many


@dataclass(frozen=True, slots=True)
class Result:
    """What a query answered.

    Attributes:
        columns: names, in order.
        rows: values as Python objects.
        truncated: there were more rows than the limit that was asked for.
        more: how many more, where they were counted; at most MOST_COUNTED.
    """

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    truncated: bool = False
    more: int | None = None


def connect(lake: Lake, *, memory_limit: str = "2GB", threads: int = 2) -> DuckDBPyConnection:
    """An in-memory connection with the views of `cvgl.catalog.VIEWS` over what the lake holds now.

    Tables that the lake does not have yet are empty views with the right columns. Parquet is read by Arrow when a query
    asks for it, and verified before that (see `cvgl.catalog.verified`); DuckDB itself has no access to files or the network,
    so no statement can write or read past the views (``COPY`` inside a common table expression would otherwise do so within
    a SELECT).

    Args:
        lake: where to look; it need not exist.
        memory_limit: DuckDB's, e.g. ``"2GB"``; nothing spills to disk.
        threads: DuckDB's.

    Raises:
        MissingDependencyError: duckdb is not installed.
        ConfigError: `memory_limit` or `threads` mean nothing to DuckDB.
        LakeError: a JSON record of the lake is damaged.
    """
    return _connect(lake, Verified(lake), memory_limit, threads)


def _connect(lake: Lake, verified: Verified, memory_limit: str = "2GB", threads: int = 2) -> DuckDBPyConnection:
    duckdb: Any = require("duckdb", extra="pipeline", purpose="query the lake with SQL")
    sources = {**parquet_sources(lake, verified), **record_sources(lake)}
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
    for former, name in FORMER.items():
        connection.execute(f'CREATE VIEW "{former}" AS FROM "{name}"')
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


def run_query(
    lake: Lake, sql: str, limit: int | None = None, timeout_s: float | None = None, *, count_more: bool = False
) -> Result:
    """Answers one SQL statement over the views of a lake.

    Args:
        lake: where to look.
        sql: one statement that reads, in DuckDB's dialect.
        limit: rows to return at most; None for all.
        timeout_s: seconds that the query may take, its rows included; None for any time.
        count_more: count the rows past the limit, up to MOST_COUNTED.

    Raises:
        DataError: the statement is empty, not valid, not one that reads, takes too long, or fails, with DuckDB's own message;
            or a file that it reads is damaged, unreadable or of a newer version, and is named.
        LakeError: a JSON record is.
        ConfigError: a negative limit, or a time that is none.
        MissingDependencyError: duckdb is not installed.
    """
    duckdb: Any = require("duckdb", extra="pipeline", purpose="query the lake with SQL")
    if limit is not None and limit < 0:
        raise ConfigError(f"the limit {limit} is negative", where="--limit", fix="give 0 or more rows")
    if timeout_s is not None and not timeout_s > 0:
        raise ConfigError(f"the time {timeout_s} is not positive", where="--timeout", fix="give some seconds")
    verified = Verified(lake)
    connection = _connect(lake, verified)
    try:
        with _stopped_after(connection, timeout_s) as clock:
            _check_reads(connection.extract_statements(sql))
            return _answer(connection.execute(sql), limit, clock, count_more=count_more)
    except _TooSlowError:
        raise _too_slow(sql, timeout_s) from None
    except duckdb.InterruptException as error:
        raise _too_slow(sql, timeout_s) from error
    except duckdb.Error as error:
        if isinstance(error, (duckdb.InvalidInputException, duckdb.IOException)):
            _name_the_file(verified, error)
        raise DataError(str(error).strip(), where=_shorten(sql), fix=f"the views are: {list_of_views()}") from error
    except OSError as error:  # Arrow's, where a page fails while rows are fetched
        _name_the_file(verified, error)
        raise
    finally:
        connection.close()


class _TooSlowError(Exception):
    """The time is over; raised between two fetches of rows."""


class _Clock:
    def __init__(self, timeout_s: float | None) -> None:
        self._end = None if timeout_s is None else time.monotonic() + timeout_s

    def check(self) -> None:
        """Raises a _TooSlowError when the time is over."""
        if self._end is not None and time.monotonic() > self._end:
            raise _TooSlowError


@contextmanager
def _stopped_after(connection: DuckDBPyConnection, timeout_s: float | None) -> Iterator[_Clock]:
    """Interrupts what the connection does when the time is over."""
    if timeout_s is None:
        yield _Clock(None)
        return
    timer = threading.Timer(timeout_s, connection.interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield _Clock(timeout_s)
    finally:
        timer.cancel()
        timer.join()  # never interrupts a connection that is closed


def _answer(answer: Any, limit: int | None, clock: _Clock, *, count_more: bool) -> Result:
    columns = tuple(str(column[0]) for column in answer.description or ())
    rows: list[tuple[Any, ...]] = []
    wanted = None if limit is None else limit + 1
    while wanted is None or len(rows) < wanted:
        clock.check()
        batch = answer.fetchmany(_AT_ONCE if wanted is None else min(_AT_ONCE, wanted - len(rows)))
        if not batch:
            return Result(columns, rows)
        rows += batch
    more = len(rows) - int(limit or 0)
    while count_more and more < MOST_COUNTED and (batch := answer.fetchmany(_AT_ONCE)):
        clock.check()
        more += len(batch)
    return Result(columns, rows[:limit], truncated=True, more=min(more, MOST_COUNTED) if count_more else None)


def _too_slow(sql: str, timeout_s: float | None) -> DataError:
    return DataError(
        f"the query took longer than {timeout_s:g} s and was stopped",
        where=_shorten(sql),
        fix="ask for less (a join needs ON or USING), or give it more time with --timeout",
    )


def _name_the_file(verified: Verified, error: Exception) -> None:
    """Raises what is wrong with a file that the query has read, if anything is.

    Raises:
        DataError: it names the file, and says what to do with it.
    """
    problem = verified.problem
    if problem is None:
        try:
            verified.look_again()
        except LakeError as refused:
            problem = refused
    if problem is not None:
        raise DataError(problem.what, where=problem.where, fix=problem.fix) from error


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
