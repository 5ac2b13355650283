"""`cvgl settings`: every field that `--set`, a settings file or a deployment's parameters can give."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from flows.cli.command import Answer, command
from flows.cli.options import Draft, described
from flows.cli.settings import LAKE

Prefix = Annotated[
    str, typer.Argument(metavar="[PREFIX]", help="Only fields whose name begins so, e.g. adapt.", show_default=False)
]


def register(app: typer.Typer) -> None:
    """Adds the command; the lake does not matter to it, and every command takes one."""
    command(app, LAKE, example="cvgl settings adapt")(settings)


def settings(_: Draft, prefix: Prefix = "") -> Answer:
    """List the settings: name, type, default, the option that gives it if there is one, and what it is."""
    from rich import box

    from flows.cli.fitted import FittedTable
    from flows.cli.tables import cell

    rows = described(prefix)
    table = FittedTable(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("name", "type", "default", "option", "meaning"):
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(cell(value) for value in row.values()))
    value: list[dict[str, Any]] = rows
    return Answer(value, table)
