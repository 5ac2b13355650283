"""From the library's progress callback to the run's page and to the terminal.

The library calls `progress(done, total, message)` as often as it likes. Here that becomes a progress artifact of the
task run, written at most every two seconds (each update is a request to the server), and a bar on the terminal where
the command has put a display up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import Protocol, Self

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
