"""The terminal: progress, log lines and errors on stderr, answers on stdout."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.segment import Segment
from rich.text import Text

from cvgl import types
from cvgl.errors import CvglError
from flows.cli.legible import hanging, json_text, legible

SECONDS_BETWEEN_LINES = 15.0  # where stderr is a file or a pipe, and bars cannot be drawn


class Terminal(Console):
    """A console on which text of others is shown as it is: square brackets are no markup, and control codes are escaped.

    Strings become `Text` before anything is measured, so tables fit; what comes as `Text` is looked through as it is drawn.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, soft_wrap=True, highlight=False, markup=False, emoji=False)
        # Letters that the stream's encoding does not have are escaped rather than an error.
        if hasattr(self.file, "reconfigure"):
            self.file.reconfigure(errors="backslashreplace")

    def render_str(self, text: str, **settings: Any) -> Text:
        """Render text after control codes were made visible."""
        return super().render_str(legible(text), **settings)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render segments with control codes made visible."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(legible(segment.text), segment.style)


class _Lines(logging.Handler):
    """Log lines through the console that draws the bars, so that neither overwrites the other."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        style = "yellow" if record.levelno >= logging.WARNING else None
        self._console.print(f"  {hanging(self.format(record))}", style=style)


@dataclass(frozen=True, slots=True)
class Verbatim:
    """An answer in a format for programs: as it is into a file or pipe, legible on a terminal."""

    text: str


class Screen:
    """Shows how far the stages are: bars on a terminal, a line now and then elsewhere. Always on stderr."""

    def __init__(self) -> None:
        self.console: Console = Terminal(stderr=True)
        self._bars = Progress(
            SpinnerColumn(finished_text="[green]✓[/]"),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[message]}", style="dim", markup=False),
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
        bar = self._bars.add_task(legible(title, one_line=True), total=None, message="")

        def report(done: int, total: int, message: str = "") -> None:
            self._bars.update(bar, completed=done, total=total or None, message=legible(message, one_line=True))

        return report

    def _lines(self, title: str) -> types.Progress:
        self.console.print(f"{hanging(title)} ...")
        printed = time.monotonic()

        def report(done: int, total: int, message: str = "") -> None:
            nonlocal printed
            if time.monotonic() - printed >= SECONDS_BETWEEN_LINES and done < total:
                printed = time.monotonic()
                self.console.print(hanging(f"  {title}: {done} of {total} {message}".rstrip()))

        return report

    def error(self, error: CvglError) -> None:
        """What is wrong, where, and what to do: never a traceback."""
        first, *further = hanging(error.what).split("\n")
        self.console.print(Text.assemble((type(error).__name__, "bold red"), ": ", first))
        for line in further:
            self.console.print(line)
        for name, text in (("where", error.where), ("to do", error.fix)):
            if text:
                self.console.print(f"  {name}: {hanging(text)}")

    def note(self, text: str, style: str | None = None) -> None:
        """A line for people, of text that somebody else may have written."""
        self.console.print(hanging(text), style=style)


def print_json(value: Any) -> None:
    """The command's answer for programs: one JSON object, the last line of stdout."""
    print(json_text(value, sys.stdout.encoding), flush=True)


def print_answer(rendered: RenderableType | Verbatim) -> None:
    """The command's answer for people, on stdout."""
    terminal = Terminal()
    if isinstance(rendered, Verbatim):
        print(legible(rendered.text) if terminal.is_terminal else rendered.text, file=terminal.file, flush=True)
    else:
        terminal.print(rendered)
