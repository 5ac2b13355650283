"""The summary of a run on its own page: images taken in and refused, the decision and its reason, the outcome, the address.

For a batch, an event carries it too, which a notification can wait for.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from prefect.artifacts import create_image_artifact, create_markdown_artifact
from prefect.events import emit_event

from cvgl.arrival import batches
from cvgl.arrival.batches import Batch, State
from cvgl.arrival.run_summary import refused, whereabouts
from cvgl.errors import CvglError, DataError
from cvgl.ingestion.summaries import summary_lines
from cvgl.ingestion.tables import read_quarantine
from cvgl.lake import Lake
from cvgl.quality.gate import GateDecision
from cvgl.reporting.mapping import coordinates, placement_map
from cvgl.reporting.theme import to_png
from cvgl.stages.adapt import SELECTION_FILE, read_selection
from cvgl.stages.gallery_assignment import Whereabouts
from cvgl.stages.gallery_assignment import whereabouts as places_of
from cvgl.stages.ingest import IngestOutcome
from cvgl.summary import MetricSummary
from tasks.artifacts import INLINE_LIMIT, artifact_key, code, metrics_markdown, prose
from tasks.events import deliver, event_id, resource_of
from tasks.registry.registration import RegisterOutcome
from tasks.registry.verdict import read_decision
from tasks.stage import stage_task

logger = logging.getLogger("cvgl.account")
DONE, WAITING, FAILED = (f"cvgl.batch.{state}" for state in (State.DONE, State.WAITING, State.FAILED))
LISTED = 20  # refused files that the page names; `cvgl query` has all
_DPI = 100  # a page's width, and few enough bytes to be part of the artifact


@stage_task("tell", run_name="tell what became of {batch.batch}")
def tell(batch: Batch, lake: Lake) -> None:
    """The account of a batch, and the event of its end."""
    left_out, assignment, gate = refused(lake, batch), whereabouts(lake, batch), read_decision(lake, batch.run)
    outcome = batch.outcome or str(batch.state)
    counted = ", ".join(f"{name} {count}" for name, count in batch.ingest.items() if count)
    came = f"{batch.n_files} files of {code(batch.source)}, and {batch.n_removed} went. Images: {counted or 'none'}."
    decided = batch.reason if gate is None else batch.reason.removesuffix(f"; {gate.reason}")
    parts = {
        "What came in": came,
        "What was refused": _refusals(left_out),
        "What was decided, and why": f"**{prose(batch.verdict or outcome)}**: {prose(decided)}",
        "Is it better?": _better(gate),
        "Where is it?": _where(batch.dataset, assignment, lake, "of this batch"),
    }
    if batch.state in batches.ANSWERABLE:
        command = f"cvgl decide {batch.batch} adapt --dataset {batch.dataset} --lake {lake.root}"
        parts["What you can do"] = f"{code(command)} (or `skip`); the next look goes on with it."
    _show(
        batch.dataset, f"{batch.batch}: {outcome}", f"What became of batch {batch.batch} of {batch.dataset}", parts, assignment
    )
    emit_event(
        f"cvgl.batch.{batch.state}",
        resource=resource_of(batch) | {"cvgl.outcome": outcome},
        payload={
            "batch": batch.batch,
            "dataset": batch.dataset,
            "lake": str(lake.root),
            "outcome": outcome,
            "reason": batch.reason,
            "refused": len(left_out),
            "run": batch.run,
            "map": "" if assignment is None else assignment.serving.map,
        },
        id=event_id(batch, batches.end_of(batch)),
    )
    deliver()
    batches.mark_reported(lake, batch)  # last: people are told twice rather than never


def show_run(
    images: IngestOutcome, alignment: str, metrics: Sequence[MetricSummary], registered: RegisterOutcome, lake: Lake
) -> None:
    """The account of a run of the pipeline, on the page of the flow run; what stands in its way is logged and no more.

    Args:
        images: what was taken in.
        alignment: how the views were aligned, and why; empty where that was not chosen.
        metrics: of the evaluation; empty without labels.
        registered: with the gate's decision.
        lake: where everything is.
    """
    dataset, run = images.ref.name, registered.run
    try:
        assignment = places_of(lake, dataset)
        parts = {
            "What came in": f"{images.new} new images, {images.known} known; the dataset holds {images.total}."
            + "".join(f"\n- {prose(line)}" for line in summary_lines(images.summaries, images.passed_over)),
            "What was refused": _refusals(read_quarantine(lake, dataset).to_pylist()),
            "What was decided, and why": _decisions(alignment, run, lake),
            "Is it better?": f"{_better(registered.decision)}\n\n{metrics_markdown(metrics)}",
            "Where is it?": _where(dataset, assignment, lake, "of the dataset"),
        }
        _show(dataset, f"{run}: {registered.verdict}", f"What became of {run}", parts, assignment)
    except (CvglError, OSError) as error:
        logger.warning("the account of %s cannot be given: %s", run, error)


def _show(dataset: str, heading: str, summary: str, parts: Mapping[str, str], assignment: Whereabouts | None) -> None:
    create_markdown_artifact(
        f"# {prose(heading)}\n" + "".join(f"\n## {name}\n\n{text}\n" for name, text in parts.items()),
        key=artifact_key("account", dataset),
        description=prose(f"{summary}: {heading.rpartition(': ')[2]}"),
    )
    if assignment is not None and (drawn := _drawn(assignment)) is not None:
        create_image_artifact(
            drawn,
            key=artifact_key("map", dataset),
            description=f"Where images lie on the map {assignment.serving.map} that serves {dataset}",
        )


def _refusals(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return "Nothing."
    listed = "".join(f"\n| {prose(row['uri'])} | {prose(row['reason'])} | {prose(row['detail'])} |" for row in rows[:LISTED])
    more = ""
    if len(rows) > LISTED:
        more = f"\n\nThe first {LISTED} of {len(rows)}; all: `cvgl query 'FROM quarantine'`."
    return f"| file | reason | detail |\n|---|---|---|{listed}{more}"


def _decisions(alignment: str, run: str, lake: Lake) -> str:
    """What the run chose by itself, without labels."""
    folder = lake.adapter(run)
    summary_lines = [f"alignment: {prose(alignment)}"] if alignment else []
    if (folder / SELECTION_FILE).is_file():
        chosen = read_selection(folder)
        summary_lines.append(f"recipe **{chosen.chosen}**: {prose(chosen.reason)}")
    return "".join(f"- {line}\n" for line in summary_lines) or "Nothing was left to the run: alignment and recipe were given."


def _better(gate: GateDecision | None) -> str:
    if gate is None:
        return "Nothing new was learned."
    figures = [line for line in gate.evidence if line.partition(": ")[2] not in gate.reason]
    figures += [f"{name} without labels: {figure}" for name, figure in gate.quality.items()]
    return f"**{gate.verdict}**: {prose(gate.reason)}" + "".join(f"\n- {prose(figure)}" for figure in figures)


def _where(dataset: str, assignment: Whereabouts | None, lake: Lake, whose: str) -> str:
    if assignment is None:
        return "No map serves yet."
    serving, new = assignment.serving, int(assignment.new.sum())
    summary_lines = [
        f"map `{serving.map}` serves, with {len(assignment.references)} references, {new} of them new",
        f"adapter {code(serving.run)}"
        + (f", {code(serving.model)} version {serving.version} in MLflow" if serving.version else ""),
        f"folder {code(lake.map(dataset) / serving.map)}",
    ]
    page = lake.report(serving.run) / "index.html"
    if page.is_file():
        summary_lines.append(f"report {code(page)}")
    if len(assignment.answers):
        summary_lines.append(
            f"{len(assignment.answers) + assignment.left_out} images {whose} look like a place on it (see the map)"
        )
    summary_lines.append(f"ask it: {code(f'cvgl localize PICTURE --dataset {dataset} --lake {lake.root}')}")
    return "".join(f"- {line}\n" for line in summary_lines)


def _drawn(assignment: Whereabouts) -> str | None:
    """The map as a data URL; none where positions are not known, or the image is too large for an artifact."""
    try:
        positions = coordinates([reference.position for reference in assignment.references])
    except DataError as error:  # an account goes without its image
        logger.warning("the map is not drawn: %s", error.what)
        return None
    if positions is None:
        return None
    data = to_png(placement_map(positions, assignment.new, assignment.answers), _DPI)
    return f"data:image/png;base64,{base64.b64encode(data).decode()}" if len(data) <= INLINE_LIMIT else None
