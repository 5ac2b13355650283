"""From the library's progress callback to the run's page and to the terminal.

The library calls `progress(done, total, message)` as often as it likes. Here that becomes a progress artifact of the
task run, written at most every two seconds (each update is a request to the server), and a bar on the terminal where
the command has put a display up. A table that grows while it is watched, such as that of the iterations, goes the same way.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Protocol, Self

from cvgl.types import Progress, silent

SECONDS_BETWEEN_UPDATES = 2.0


class Display(Protocol):
    """Something that can show how far several pieces of work are: the command's progress bars."""

    def stage(self, title: str) -> Progress:
        """Starts a bar and gives the callback that moves it."""
        ...


_display: ContextVar[Display | None] = ContextVar("display", default=None)


@contextmanager
def shown_on(display: Display) -> Iterator[None]:
    """Within the block, `observed` also moves bars of `display`."""
    token = _display.set(display)
    try:
        yield
    finally:
        _display.reset(token)


class ProgressArtifact:
    """A progress artifact of the current task run that is created on the first report and updated now and then.

    Used as a context manager, it ends at 100 % when the body succeeds and stays where it was when it fails.
    """

    def __init__(self, key: str, title: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._key, self._title, self._clock = key, title, clock
        self._updated = -SECONDS_BETWEEN_UPDATES
        self._percent = -1.0
        self._create_or_update = _artifact_writer(key)

    def __call__(self, done: int, total: int, message: str = "") -> None:
        """Report progress: done of total."""
        percent = 100.0 * done / total if total > 0 else 0.0
        if self._clock() - self._updated >= SECONDS_BETWEEN_UPDATES and percent != self._percent:
            self._write(percent, message)

    def _write(self, percent: float, message: str) -> None:
        self._updated, self._percent = self._clock(), percent
        self._create_or_update(min(percent, 100.0), f"{self._title}: {message}" if message else self._title)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if error is None and self._percent != 100.0:
            self._write(100.0, "done")


class LiveTable:
    """A table artifact of the current task run that grows row by row; created with the first one."""

    def __init__(self, key: str, description: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._updated = clock, -SECONDS_BETWEEN_UPDATES
        self._rows: list[Mapping[str, Any]] = []
        self._create_or_update = _table_writer(key, description)

    def add(self, row: Mapping[str, Any]) -> None:
        """One more row; the server is told now and then."""
        self._rows.append(row)
        if self._clock() - self._updated >= SECONDS_BETWEEN_UPDATES:
            self._updated = self._clock()
            self._create_or_update(self._rows)

    def end(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """All rows, as they stay."""
        self._create_or_update(rows)


def _table_writer(key: str, description: str) -> Callable[[Sequence[Mapping[str, Any]]], None]:
    from prefect.artifacts import create_table_artifact
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import ArtifactUpdate

    created = None

    def write(rows: Sequence[Mapping[str, Any]]) -> None:
        nonlocal created
        table = [dict(row) for row in rows]
        if created is None:
            created = create_table_artifact(table, key=key, description=description)
        else:
            with get_client(sync_client=True) as client:
                client.update_artifact(created, ArtifactUpdate(data=json.dumps(table)))

    return write


def _artifact_writer(key: str) -> Callable[[float, str], None]:
    from prefect.artifacts import create_progress_artifact, update_progress_artifact

    created = None

    def write(percent: float, description: str) -> None:
        nonlocal created
        if created is None:
            created = create_progress_artifact(percent, key=key, description=description)
        else:
            update_progress_artifact(created, percent, description=description)

    return write


@contextmanager
def observed(key: str, title: str) -> Iterator[Progress]:
    """A progress callback that the current task run's page and the terminal follow.

    Args:
        key: the artifact's key: lower case letters, digits and dashes.
        title: what is being done, for people.
    """
    display = _display.get()
    terminal = silent if display is None else display.stage(title)
    with ProgressArtifact(key, title) as artifact:

        def report(done: int, total: int, message: str = "") -> None:
            terminal(done, total, message)
            artifact(done, total, message)

        yield report
        terminal(1, 1, "done")
