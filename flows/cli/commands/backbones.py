"""`cvgl backbones`: the frozen models that have a name here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.command import Answer, command
from flows.cli.options import Draft
from flows.cli.settings import LAKE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import RenderableType

    from cvgl.backbones.released import Release
    from cvgl.config import Preset

Part = Annotated[
    str, typer.Argument(metavar="[PART]", help="Only those with this in a name or in what they are.", show_default=False)
]


def register(app: typer.Typer) -> None:
    """Adds the command; the lake does not matter to it, and every command takes one."""
    command(app, LAKE, example="cvgl backbones dinov2")(backbones)


def backbones(_: Draft, part: Part = "") -> Answer:
    """List what --backbone takes by name: presets (model, layer, facet, pooling, preprocessing), and released models."""
    from cvgl.backbones.released import RELEASED
    from cvgl.config import PRESETS, BackboneConfig
    from cvgl.errors import ConfigError

    wanted = part.lower()
    presets = [
        candidate
        for candidate in PRESETS.values()
        if wanted in f"{candidate.name}\n{candidate.model}\n{candidate.summary.lower()}"
    ]
    released = {name: candidate for name, candidate in RELEASED.items() if wanted in f"{name}\n{candidate.summary.lower()}"}
    if not presets and not released:
        raise ConfigError(f"nothing has '{part}' in its name", where="PART", fix="`cvgl backbones` lists all")
    rows = []
    for preset in presets:
        config = BackboneConfig(name=preset.name)
        # What every preset leaves open (checkpoint, image size, rings, ...) is no part of it.
        settings = config.model_dump(mode="json", include=set(preset.settings))
        rows.append({"preset": preset.name, "summary": preset.summary, "backbone": settings})
    needing_files = [
        {"backbone": name, "summary": candidate.summary, "source": candidate.source} for name, candidate in released.items()
    ]
    return Answer({"presets": rows, "released": needing_files}, _table(presets, released))


def _table(presets: Sequence[Preset], released: Mapping[str, Release]) -> RenderableType:
    from rich import box

    from flows.cli.fitted import FittedTable

    table = FittedTable(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("--backbone", "what it is", "input"):
        table.add_column(name, overflow="fold", no_wrap=name == "--backbone")
    for preset in presets:
        table.add_row(preset.name, preset.summary, str(preset.preprocessing))
    for name, backbone in released.items():
        table.add_row(name, f"{backbone.summary}; with --checkpoint FILE, from {backbone.source}", "its own")
    return table
