"""The command `cvgl`.

Heavy libraries are imported by the commands that need them, never here: `cvgl --help` answers at once.
"""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli.commands import ask, backbones, doctor, pages, registry, reproduce, run, settings, stages, watch

app = typer.Typer(
    name="cvgl",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from cvgl import __version__

        typer.echo(f"cvgl {__version__}")
        raise typer.Exit


Version = Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")]


@app.callback()
def main(version: Version = False) -> None:
    """Tell where an image was taken, by matching it to geo-tagged overhead imagery; learn that from unlabelled pictures."""


for group in (run, stages, registry, ask, backbones, pages, reproduce, doctor, watch, settings):
    group.register(app)
