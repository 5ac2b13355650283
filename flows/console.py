"""The terminal: progress, log lines and errors on stderr, answers on stdout."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from cvgl import types
from cvgl.errors import CvglError

SECONDS_BETWEEN_LINES = 15.0  # where stderr is a file or a pipe, and bars cannot be drawn


class _Lines(logging.Handler):
    """Log lines through the console that draws the bars, so that neither overwrites the other."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        style = "yellow" if record.levelno >= logging.WARNING else None
        self._console.print(f"  {self.format(record)}", style=style, markup=False)


class Screen:
    """Shows how far the stages are: bars on a terminal, a line now and then elsewhere. Always on stderr."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, soft_wrap=True, highlight=False)
        self._bars = Progress(
            SpinnerColumn(finished_text="[green]✓[/]"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[message]}", style="dim"),
            console=self.console,
        )

    @contextmanager
    def live(self) -> Iterator[None]:
        """Draws the bars and prints the library's log lines above them while the block runs."""
        handler = _Lines(self.console)
        logger = logging.getLogger("cvgl")
        logger.setLevel(logging.INFO)
        logger.addHandler(handler)
        try:
            if self.console.is_terminal:
                with self._bars:
                    yield
            else:
                yield
        finally:
            logger.removeHandler(handler)

    def stage(self, title: str) -> types.Progress:
        """Starts a bar (or a series of lines) and gives the callback that moves it."""
        return self._bar(title) if self.console.is_terminal else self._lines(title)

    def _bar(self, title: str) -> types.Progress:
        bar = self._bars.add_task(title, total=None, message="")

        def report(done: int, total: int, message: str = "") -> None:
            self._bars.update(bar, completed=done, total=total or None, message=message)

        return report

    def _lines(self, title: str) -> types.Progress:
        self.console.print(f"{title} ...", markup=False)
        printed = time.monotonic()

        def report(done: int, total: int, message: str = "") -> None:
            nonlocal printed
            if time.monotonic() - printed >= SECONDS_BETWEEN_LINES and done < total:
                printed = time.monotonic()
                self.console.print(f"  {title}: {done} of {total} {message}".rstrip(), markup=False)

        return report

    def error(self, error: CvglError) -> None:
        """What is wrong, where, and what to do: never a traceback."""
        self.console.print(f"[bold red]{type(error).__name__}[/]: ", end="")
        self.console.print(str(error), markup=False)


def print_json(value: Any) -> None:
    """The command's answer for programs: one JSON object, the last line of stdout."""
    print(json.dumps(value, ensure_ascii=False, allow_nan=False), flush=True)


def print_answer(shown: RenderableType) -> None:
    """The command's answer for people, on stdout."""
    Console(soft_wrap=True, highlight=False).print(shown)
