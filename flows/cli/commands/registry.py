"""`cvgl promote`, `cvgl rollback` and `cvgl maps`: moving the champion by hand, and seeing what has served."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from cvgl.config import RegisterConfig
from flows.cli.command import Answer, command
from flows.cli.commands.stages import Run
from flows.cli.options import Draft
from flows.cli.settings import DATASET, LAKE, REGISTRY


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    command(app, REGISTRY, LAKE, example="cvgl promote RUN")(promote)
    command(app, DATASET, REGISTRY, LAKE, example="cvgl rollback --dataset town")(rollback)
    command(app, DATASET, REGISTRY, LAKE, example="cvgl maps --dataset town --repair")(maps)


def promote(draft: Draft, run: Run) -> Answer:
    """Make a registered run the champion of its dataset, whatever the gate said."""
    from flows.cli.tables import facts
    from tasks.registry.promotion import promote as promote_run

    change = promote_run(run, draft.lake, draft.section("registry", RegisterConfig))
    return Answer(asdict(change), facts(asdict(change), "champion"))


To = Annotated[
    str | None,
    typer.Option(
        "--to", help="Version of the map, run, or version of the model; default: what served before.", show_default=False
    ),
]


def rollback(draft: Draft, to: To = None) -> Answer:
    """Put an earlier champion back, with the map that it served with."""
    from flows.cli.tables import facts
    from tasks.registry.promotion import rollback as roll_back

    change = roll_back(draft.dataset, draft.lake, draft.section("registry", RegisterConfig), to)
    return Answer(asdict(change), facts(asdict(change), "champion"))


Repair = Annotated[
    bool,
    typer.Option("--repair", help="Before that, put right what does not agree with the registry, which is the truth."),
]


def maps(draft: Draft, repair: Repair = False) -> Answer:
    """List the versions of a dataset's map that serve or have served, the newest first, and say where its positions are old."""
    from rich.console import Group
    from rich.text import Text

    from cvgl.localization.bundle import read_current
    from cvgl.stages.map_positions import warning_of
    from flows.cli.tables import records

    mended = _mended(draft) if repair else None
    current = read_current(draft.lake.champion(draft.dataset))
    served = [] if current is None else [current.serving, *reversed(current.before)]
    rows = [{"serves": "now" if not index else "", **entry.model_dump()} for index, entry in enumerate(served)]
    listed = records(rows, f"{draft.dataset}: versions of its map")
    warning = warning_of(draft.lake, draft.dataset)
    value: dict[str, Any] = {"maps": rows, "warning": warning}
    lines = [] if warning is None else [Text(warning, style="yellow")]
    if mended is None:
        return Answer(value, Group(*lines, listed))
    lines = [
        *(Text(f"mended: {mended_line}") for mended_line in mended or ()),
        *([] if mended else [Text("nothing had to be mended")]),
        *lines,
    ]
    return Answer({**value, "mended": mended}, Group(*lines, listed))


def _mended(draft: Draft) -> list[str]:
    from tasks.registry.recovery import mend

    return mend(draft.dataset, draft.lake, draft.section("registry", RegisterConfig))
