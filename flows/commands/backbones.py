"""`cvgl backbones`: the frozen models that have a name here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from flows.command import Answer, command
from flows.options import LAKE, Draft

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from cvgl.config import Preset

Part = Annotated[str, typer.Argument(metavar="[PART]", help="Only those with this in a name.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Adds the command; the lake does not matter to it, and every command takes one."""
    command(app, LAKE)(backbones)


def backbones(_: Draft, part: Part = "") -> Answer:
    """List the presets that --backbone takes: which model, which layer and facet, which pooling, which preprocessing."""
    from cvgl.config import PRESETS, BackboneConfig
    from cvgl.errors import ConfigError

    wanted = part.lower()
    presets = [one for one in PRESETS.values() if wanted in one.name or wanted in one.model]
    if not presets:
        raise ConfigError(f"no preset has '{part}' in its name", where="PART", fix="`cvgl backbones` lists all")
    rows = []
    for preset in presets:
        config = BackboneConfig(name=preset.name)
        # What every preset leaves open (checkpoint, image size, rings, ...) is no part of it.
        settings = config.model_dump(mode="json", include=set(preset.settings))
        rows.append({"preset": preset.name, "summary": preset.summary, "backbone": settings})
    return Answer({"presets": rows}, _table(presets))


def _table(presets: Sequence[Preset]) -> RenderableType:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("--backbone", "what it is", "input"):
        table.add_column(name, overflow="fold", no_wrap=name == "--backbone")
    for preset in presets:
        table.add_row(preset.name, preset.summary, str(preset.preprocessing))
    return table
