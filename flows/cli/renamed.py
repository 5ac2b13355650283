"""Options and commands by their earlier names: they keep working for a version, and say how they are called today."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

from flows.cli.console import Screen

# Earlier name -> today's: what the docs of version 0.1, and scripts made after them, use.
OPTIONS = {
    "--cells": "--grid",
    "--forget": "--prune",
    "--grown-tolerance": "--non-inferiority-margin",
    "--growth": "--min-growth",
    "--height": "--altitude",
    "--largest-gigabytes": "--max-memory-gb",
    "--largest-loss": "--max-missing-share",
    "--lines": "--jsonl",
    "--longest-hours": "--max-hours",
    "--mend": "--repair",
    "--minimum-new": "--min-new",
    "--patience": "--registry-timeout",
    "--select-confidence-along": "--select-z-sequence",
    "--select-fewest": "--select-min-images",
    "--select-most-work": "--select-max-flops",
    "--tell": "--events-only",
    "--together": "--same-place",
}
COMMANDS = {"arrivals": "batches", "answer": "decide"}


class CurrentNames(TyperCommand):
    """A command that takes earlier names of its options, with a line on stderr for each."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Puts today's names in the place of earlier ones before anything is read."""
        return super().parse_args(ctx, [self._current(ctx, argument) for argument in args])

    def _current(self, ctx: Any, argument: str) -> str:
        name, equals, value = argument.partition("=")
        current = OPTIONS.get(name)
        names = {option for parameter in self.get_params(ctx) for option in parameter.opts}
        if current is None or name in names or current not in names:
            return argument
        note(f"{name} is called {current} now")
        return f"{current}{equals}{value}"


def note(text: str) -> None:
    """A line on stderr about the command line itself."""
    Screen().note(text, "yellow")
