"""`cvgl watch`, `batches`, `decide` and `automate`: new imagery, from a folder or bucket to the map that serves."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table

from cvgl.errors import ConfigError, CvglError, require
from cvgl.lake import Lake
from cvgl.masking import masked
from flows.cli.command import DONE, Answer, command
from flows.cli.console import Screen
from flows.cli.engine import engine
from flows.cli.fitted import FittedTable
from flows.cli.options import Draft
from flows.cli.settings import (
    ADAPTER,
    ALIGN,
    ALIGNMENT,
    DATASET,
    EVALUATION,
    FEATURES,
    LAKE,
    LAYOUT,
    POLICY,
    POSITIONAL_SOURCE,
    REGISTRY,
    SELECTION,
    WATCH,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cvgl.arrival.batches import Batch
    from flows.arrival import ArrivalOutcome

Once = Annotated[bool, typer.Option("--once", help="Look once, work through what is in the queue, and end.")]
EventsOnly = Annotated[
    bool,
    typer.Option("--events-only", help="Only close batches and emit an event for each, which starts the deployment."),
]
BatchName = Annotated[str, typer.Argument(metavar="BATCH", help="Id of the batch, the beginning of it, or its number.")]


AutomationsFile = Annotated[Path, typer.Argument(metavar="FILE", help="YAML with automations.", dir_okay=False)]
_AUTOMATIONS = Path("deployments/automations.yaml")
Block = Annotated[
    str | None,
    typer.Option("--block", metavar="TYPE/NAME", help="Prefect's block by which people are told, e.g. slack-webhook/team."),
]


class BatchAction(StrEnum):
    """What a person decides about a batch."""

    ADAPT = "adapt"
    SKIP = "skip"


ActionArgument = Annotated[BatchAction, typer.Argument(metavar="ACTION", help="adapt or skip", show_choices=True)]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    run = (DATASET, LAYOUT, ALIGN, ALIGNMENT, FEATURES, ADAPTER, SELECTION, EVALUATION, REGISTRY, LAKE)
    command(app, POSITIONAL_SOURCE, WATCH, POLICY, *run, everyday=True, example="cvgl watch FOLDER --dataset town --once")(
        watch
    )
    command(app, DATASET, LAKE, example="cvgl batches --dataset town", former="arrivals")(batches)
    command(app, DATASET, LAKE, example="cvgl decide 0003 adapt --dataset town", former="answer")(decide)
    command(app, LAKE, example="cvgl automate automations.yaml")(automate)


def automate(draft: Draft, file: AutomationsFile = _AUTOMATIONS, block: Block = None) -> Answer:
    """Create or update automations on the Prefect server: what starts the deployments, or tells people that a run failed."""
    from flows.cli.tables import facts
    from tasks.servers.environment import apply_environment

    # Before the engine is imported. A server that only this command had started would forget them with it.
    apply_environment(draft.lake)
    require("prefect", extra="pipeline", purpose="create automations")
    from tasks.automations import create_automations
    from tasks.servers.engine_api import check_api, engine_errors
    from tasks.servers.pages import running_server

    address = os.environ.get("PREFECT_API_URL") or running_server(draft.lake)
    if address is None:
        raise ConfigError("no Prefect server is known", where="PREFECT_API_URL", fix="start one with `cvgl ui`, or set it")
    from prefect.settings import PREFECT_API_URL, temporary_settings

    check_api(address)
    with temporary_settings(updates={PREFECT_API_URL: address}), engine_errors(address):
        done = create_automations(_shipped(file), block)
    return Answer(done, facts(done, masked(address)))


def _shipped(file: Path) -> Path:
    """The file, or the one of that name that the package brings where there is no checkout."""
    packaged = Path(str(files("flows"))) / file
    return packaged if not file.exists() and packaged.exists() else file


def watch(draft: Draft, once: Once = False, events_only: EventsOnly = False) -> Answer:
    """Watch a folder or bucket: take in what arrives, adapt where it should be, and let the gate decide what serves."""
    from cvgl.arrival.credentials import FIX
    from flows.cli.tables import facts
    from tasks.secrets import holds_plain_secrets

    config, screen = draft.arrival(), Screen()
    if holds_plain_secrets(config):
        if events_only:
            raise ConfigError(
                "the settings hold a secret, and the event that starts the deployment must not",
                where="watch.storage_options or ingest.source",
                fix=FIX,
            )
        screen.note(f"a secret in the settings is used and stored nowhere; better: {FIX}", "yellow")
    with engine(Lake.at(config.lake), screen), interruptible() as stopped:
        from flows.arrival import arrival, notice
        from tasks.servers.engine_api import current_api, engine_errors

        flow = notice if events_only else arrival
        notice_text = ""
        while not stopped.is_set():
            try:
                with engine_errors(current_api()):
                    outcome = flow(config)
            except (CvglError, OSError) as error:
                if once:
                    raise
                # A watcher outlives its source, its disk and its registry; each fault is told once, until another comes.
                if str(error) != notice_text:
                    screen.note(f"{error}\n  trying again every {config.watch.poll_seconds:g} s", "yellow")
                notice_text = str(error)
            else:
                if once:
                    return Answer(outcome.model_dump(mode="json"), facts(_facts(outcome)), DONE)
                if outcome.says != notice_text:
                    screen.note(outcome.says)
                notice_text = outcome.says
            stopped.wait(config.watch.poll_seconds)
        raise KeyboardInterrupt


@contextmanager
def interruptible() -> Iterator[threading.Event]:
    """An event that Ctrl-C sets, besides interrupting what runs: an interrupt that the engine swallows is not forgotten."""
    stopped = threading.Event()

    def interrupt(number: int, frame: object) -> None:
        stopped.set()
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield stopped  # signals come to the main thread only
        return
    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield stopped
    finally:
        signal.signal(signal.SIGINT, before)


def _facts(outcome: ArrivalOutcome) -> dict[str, object]:
    return {
        "source": outcome.source,
        "came to": outcome.says,
        **({"waiting for you": ", ".join(outcome.waiting)} if outcome.waiting else {}),
        **({"note": "; ".join(outcome.notes)} if outcome.notes else {}),
    }


def batches(draft: Draft) -> Answer:
    """List the batches that have arrived for a dataset: how far each is, what was decided, and why."""
    from cvgl.arrival import batches

    queue = batches.batches(draft.lake, draft.dataset)
    return Answer([batch.model_dump(mode="json") for batch in queue], _table(queue))


def _table(queue: Sequence[Batch]) -> Table:
    from flows.cli.tables import cell

    table = FittedTable(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("batch", "state", "files", "removed", "decision", "outcome", "run", "why"):
        table.add_column(name, justify="right" if name in ("files", "removed") else "left", overflow="fold")
    for batch in queue:
        values = (
            batch.batch,
            batch.state,
            batch.n_files,
            batch.n_removed,
            batch.verdict,
            batch.outcome,
            batch.run,
            batch.reason,
        )
        table.add_row(*map(cell, values))
    return table


def decide(draft: Draft, batch: BatchName, action: ActionArgument) -> Answer:
    """Decide about a batch that waits for a person: adapt to it, or leave it. The next look goes on with it."""
    from cvgl.arrival import locks
    from cvgl.arrival.batches import answer, find
    from flows.cli.tables import facts

    lake, dataset = draft.lake, draft.dataset
    with locks.working(lake, dataset):
        decided = answer(lake, find(lake, dataset, batch), action.value)
    rows = {"batch": decided.batch, "state": decided.state, "reason": decided.reason}
    return Answer(decided.model_dump(mode="json"), facts(rows))
