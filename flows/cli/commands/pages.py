"""`cvgl report` and `cvgl ui`: things to look at."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli.command import Answer, command
from flows.cli.commands.stages import Run
from flows.cli.console import Screen
from flows.cli.options import Draft
from flows.cli.settings import LAKE

PrefectPort = Annotated[int, typer.Option("--prefect-port", min=1, max=65535, help="Wanted; the next free one if in use.")]
MlflowPort = Annotated[int, typer.Option("--mlflow-port", min=1, max=65535, help="Wanted; the next free one if in use.")]
TrackingUri = Annotated[str | None, typer.Option("--tracking-uri", help="MLflow's address; default: sqlite under the lake.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    command(app, LAKE, example="cvgl report RUN")(report)
    command(app, LAKE, example="cvgl ui --prefect-port 4300")(ui)


def report(draft: Draft, run: Run) -> Answer:
    """Write the HTML report of an evaluated run and say where it is."""
    from cvgl.reporting.report import report as write_report
    from flows.cli.tables import facts
    from tasks.find import find_evaluation

    screen = Screen()
    evaluation = find_evaluation(draft.lake, run)
    with screen.live():
        outcome = write_report(evaluation, draft.lake, progress=screen.stage(f"drawing the report of {run}"))
    value = {"run": run, "lake": str(draft.lake.root), "report": str(outcome.ref.path), "skipped": outcome.skipped}
    return Answer(value, facts({"report": outcome.ref.path}))


def ui(
    draft: Draft, prefect_port: PrefectPort = 4200, mlflow_port: MlflowPort = 5000, tracking_uri: TrackingUri = None
) -> Answer:
    """Serve this lake's Prefect and MLflow pages on loopback until Ctrl-C."""
    from flows.cli.tables import facts
    from tasks.servers.pages import Pages, serve

    addresses: dict[str, str] = {}

    def announce(pages: Pages) -> None:
        addresses.update(prefect=pages.prefect.url, mlflow=pages.mlflow_url)
        screen = Screen()
        screen.console.print(facts(addresses, f"pages of {draft.lake.root}"))
        for note in pages.notes:
            screen.note(note)
        screen.note("running already" if pages.already_running else "Ctrl-C ends both")

    serve(draft.lake, prefect_port=prefect_port, mlflow_port=mlflow_port, tracking_uri=tracking_uri, announce=announce)
    return Answer(addresses, "")
