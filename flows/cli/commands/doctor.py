"""`cvgl doctor`: what is installed and reachable, and what is right and wrong with a copy of a data set."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cvgl.config import Layout, RegisterConfig
from flows.cli.command import DONE, FAILED, Answer, command
from flows.cli.console import Screen
from flows.cli.options import Draft
from flows.cli.settings import LAKE, Setting

if TYPE_CHECKING:
    from cvgl.datasets.inspection import Inspection


class Patient(StrEnum):
    """What the doctor can be asked to look at."""

    DATA = "data"


_REGISTRY = (Setting("--tracking-uri", "registry.tracking_uri"),)
What = Annotated[
    Patient | None,
    typer.Argument(metavar="data", help="Look at a copy of a data set; without it, at the installation.", show_default=False),
]
Folder = Annotated[Path | None, typer.Argument(metavar="DIR", help="The copy.", show_default=False)]
AsLayout = Annotated[Layout, typer.Option("--layout", help="What to take the folder for; auto looks at it.")]
All = Annotated[bool, typer.Option("--all", help="Open every image, not a sample.")]
Sample = Annotated[int | None, typer.Option("--sample", min=0, help="Images to open; default: 200, evenly spread.")]
Partial = Annotated[
    bool,
    typer.Option("--partial", help="A part of a release, or your own images in its layout: published counts are only shown."),
]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    command(app, _REGISTRY, LAKE, example="cvgl doctor data FOLDER")(doctor)


def doctor(
    draft: Draft,
    what: What = None,
    folder: Folder = None,
    layout: AsLayout = Layout.AUTO,
    every: All = False,
    sample: Sample = None,
    partial: Partial = False,
) -> Answer:
    """Say what is wrong and what to do: with this installation, or with a copy of a data set (`cvgl doctor data DIR`).

    Exit code 1 if something is wrong.
    """
    if what is None:
        if layout is not Layout.AUTO or every or sample is not None or partial:
            raise typer.BadParameter("--layout, --all, --sample and --partial go with: cvgl doctor data DIR")
        return _installation(draft)
    if folder is None:
        raise typer.BadParameter("say which folder: cvgl doctor data DIR", param_hint="DIR")
    if every and sample is not None:
        raise typer.BadParameter("--all opens every image: leave --sample out")
    return _data(folder, layout, None if every else sample, every=every, partial=partial)


def _installation(draft: Draft) -> Answer:
    from flows.cli.doctor_tables import checks_table
    from tasks.diagnosis import Verdict, diagnose

    checks = diagnose(draft.lake, draft.section("registry", RegisterConfig).tracking_uri)
    is_right = all(check.verdict is not Verdict.BAD for check in checks)
    return Answer(
        {"right": is_right, "checks": [asdict(check) for check in checks]}, checks_table(checks), DONE if is_right else FAILED
    )


def _data(folder: Path, layout: Layout, sample: int | None, *, every: bool, partial: bool) -> Answer:
    from cvgl.datasets.inspection import SAMPLE, inspect
    from flows.cli.doctor_tables import inspection_answer

    screen = Screen()
    size = None if every else SAMPLE if sample is None else sample
    with screen.live():
        inspection = inspect(str(folder), layout, size, partial=partial, progress=screen.stage("Looking at the images"))
    return Answer(_value(inspection), inspection_answer(inspection), DONE if inspection.is_right else FAILED)


def _value(inspection: Inspection) -> dict[str, Any]:
    from cvgl.ingestion.summaries import as_json

    return {
        "right": inspection.is_right,
        "source": str(inspection.source),
        "layout": str(inspection.layout),
        "reason": inspection.reason,
        "pictures": inspection.images,
        "opened": inspection.opened,
        "parts": [
            {
                "name": count.part.name,
                "state": str(count.state),
                "pictures": count.images,
                "places": count.locations,
                "published_pictures": count.part.images,
                "published_places": count.part.locations,
            }
            for count in inspection.counts
        ],
        "problems": [asdict(problem) for problem in inspection.problems],
        "warnings": [asdict(warning) for warning in inspection.warnings],
        "notes": list(inspection.notes),
        **as_json(inspection.summaries, inspection.passed_over),
    }
