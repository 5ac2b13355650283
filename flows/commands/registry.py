"""`cvgl promote` and `cvgl rollback`: moving the champion by hand."""

from __future__ import annotations

from dataclasses import asdict

import typer

from cvgl.config import RegisterConfig
from flows.command import Answer, command
from flows.commands.stages import Run
from flows.options import DATASET, LAKE, REGISTRY, Draft


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    command(app, REGISTRY, LAKE)(promote)
    command(app, DATASET, REGISTRY, LAKE)(rollback)


def promote(draft: Draft, run: Run) -> Answer:
    """Make a registered run the champion of its dataset, whatever the gate said."""
    from flows.tables import facts
    from tasks.registry.promotion import promote as promote_run

    change = promote_run(run, draft.lake, draft.section("registry", RegisterConfig))
    return Answer(asdict(change), facts(asdict(change), "champion"))


def rollback(draft: Draft) -> Answer:
    """Put the champion before this one back."""
    from flows.tables import facts
    from tasks.registry.promotion import rollback as roll_back

    change = roll_back(draft.dataset, draft.lake, draft.section("registry", RegisterConfig))
    return Answer(asdict(change), facts(asdict(change), "champion"))
