"""What arrives, as Prefect tasks: a look at the source, a batch into the dataset, the decision, and what pages show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack

from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.events import emit_event

from cvgl.arrival import batches
from cvgl.arrival.batches import Batch
from cvgl.arrival.deciding import Decision, adaptation_work, described
from cvgl.arrival.deciding import decide as run_decision
from cvgl.arrival.decision_log import decision_row, record
from cvgl.arrival.intake import IntakeOutcome
from cvgl.arrival.intake import take_in as run_intake
from cvgl.arrival.watching import Look
from cvgl.arrival.watching import look as run_look
from cvgl.config import ArrivalConfig, RegisterConfig
from cvgl.lake import Lake, read_versioned
from cvgl.stages.training_rows import by_view, champion_of
from cvgl.types import Progress
from tasks.artifacts import artifact_key, prose
from tasks.events import deliver, event_id, resource_of
from tasks.progress import observed
from tasks.registry.references import follow_positions, refresh
from tasks.registry.registration import RegisterOutcome
from tasks.secrets import read_secret, refuse_stored_secrets
from tasks.stage import stage_task

CLOSED = "cvgl.batch.closed"  # the name of the event that an automation waits for
LISTED = 100  # batches that a page shows


@stage_task("look", run_name="look at the source of {config.ingest.dataset}")
def look(config: ArrivalConfig, lake: Lake) -> Look:
    """Closes a batch where one is complete; see `cvgl.arrival.watching.look`."""
    dataset = config.dataset
    with ExitStack() as stack:
        progress: Progress | None = None

        def report(done: int, total: int, message: str = "") -> None:
            # Only where there is something to read: a watcher that looks every few seconds has nothing to show.
            nonlocal progress
            if progress is None:
                title = f"reading what has arrived for {dataset}"
                progress = stack.enter_context(observed(artifact_key("look", dataset), title))
            progress(done, total, message)

        refuse_stored_secrets(config)
        return run_look(config, lake, report, read_secret=read_secret)


@stage_task("announce", run_name="tell of closed batches of {config.ingest.dataset}")
def announce(config: ArrivalConfig, lake: Lake) -> tuple[str, ...]:
    """Emits one event for each batch that has not been told of; a batch's event has one id however often it is sent."""
    untold = [batch for batch in batches.queue(lake, config.dataset) if not batches.is_told(lake, batch)]
    for batch in untold:
        emit_event(
            CLOSED,
            resource=resource_of(batch),
            payload={
                "batch": batch.batch,
                "dataset": batch.dataset,
                "files": batch.n_files,
                "removed": batch.n_removed,
                "bytes": batch.n_bytes,
                "config": config.model_dump(mode="json", exclude_unset=True),
            },
            id=event_id(batch),
        )
    if untold:
        # Only what has left this process has been told: a batch is told of twice rather than never.
        deliver()
        for batch in untold:
            batches.mark_told(lake, batch)
    return tuple(batch.batch for batch in untold)


@stage_task("take-in", run_name="take in {batch.batch}")
def take_in(batch: Batch, config: ArrivalConfig, lake: Lake) -> IntakeOutcome:
    """Ingests a batch and sets its tombstones; see `cvgl.arrival.intake.take_in`."""
    with observed(artifact_key("ingest", batch.dataset), f"reading images of batch {batch.batch}") as progress:
        outcome = run_intake(batch, config, lake, progress)
    counted = outcome.counts()
    notes = "".join(f"\n- {prose(note)}" for note in outcome.notes)
    create_markdown_artifact(
        f"# {batch.batch}\n\n{batch.n_files} files came and {batch.n_removed} went.\n\n"
        f"| {' | '.join(counted)} |\n|{'---:|' * len(counted)}\n| {' | '.join(map(str, counted.values()))} |\n{notes}\n",
        key=artifact_key("batch", batch.dataset),
        description=f"What came with batch {batch.batch} of {batch.dataset}, and what was refused",
    )
    return outcome


@stage_task("decide", run_name="decide about {batch.batch}")
def decide(batch: Batch, config: ArrivalConfig, lake: Lake) -> Decision:
    """Adapt, skip or ask, as a row of the lake and on the page; see `cvgl.arrival.deciding.decide`."""
    decision = run_decision(batch, config, lake)
    record(decision, batch, config.decide, lake)
    row = decision_row(decision, batch, config.decide)
    cells = {name: value for name, value in row.items() if name not in ("details", "reason", "verdict") and value is not None}
    create_markdown_artifact(
        f"# {decision.verdict}\n\n{prose(decision.reason)}; {prose(decision.evidence.prediction)}\n\n"
        + "| | |\n|---|---|\n"
        + "".join(f"| {name} | {prose(_plain(value))} |\n" for name, value in cells.items()),
        key=artifact_key("decision", batch.dataset),
        description=f"{decision.verdict}: batch {batch.batch} of {batch.dataset}",
    )
    return decision


@stage_task("follow-references", run_name="bring the map of {batch.dataset} up to date")
def follow_references(batch: Batch, config: RegisterConfig, lake: Lake) -> str:
    """Serves the champion with the references of today; gives the map's version, or nothing where it stays.

    Positions that were mended by hand, between two batches, come in with the next one. See `tasks.registry.references`.
    """
    if champion_of(lake, batch.dataset) is None:
        return ""
    changed = any(batch.ingest.get(name) for name in ("new", "updated", "tombstoned"))
    change = (refresh if changed else follow_positions)(batch.dataset, lake, config)
    return "" if change is None else change.map


def gate_said(registered: RegisterOutcome, batch: Batch, lake: Lake) -> tuple[str, str]:
    """The gate's verdict about a batch's challenger and its reason, the same when it is asked again after a kill.

    A gate that is asked again finds its own champion and says "unchanged"; what it said first is in the lake.
    """
    path = lake.registration(registered.run)
    if registered.verdict == "unchanged" and batch.champion != registered.run and path.is_file():
        registration = read_versioned(path, "registration")
        return str(registration["verdict"]), str(registration["reason"])
    return registered.verdict, registered.reason


def training_work(lake: Lake, batch: Batch) -> float:
    """What the time of an adaptation to a batch grows with; see `cvgl.arrival.deciding.adaptation_work`."""
    return adaptation_work(by_view(described(lake, batch)))


def show_queue(dataset: str, queue: Sequence[Batch]) -> None:
    """The newest batches of a map as a table on the page of the current run."""
    if queue:
        create_table_artifact(
            batch_rows(queue[-LISTED:]),
            key=artifact_key("arrivals", dataset),
            description=f"Batches that have arrived for {dataset}, the newest {LISTED} at most",
        )


def batch_rows(queue: Iterable[Batch]) -> list[dict[str, str | int]]:
    """Batches for people, one row each."""
    return [
        {
            "batch": batch.batch,
            "state": str(batch.state),
            "files": batch.n_files,
            "removed": batch.n_removed,
            "new images": str(batch.ingest.get("new", "")),
            "refused": str(batch.ingest.get("quarantined", "")),
            "decision": batch.verdict,
            "run": batch.run,
            "outcome": batch.outcome,
            "why": batch.reason,
        }
        for batch in queue
    ]


def _plain(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
