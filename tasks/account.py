"""Telling people what a batch came to, on the page of the run and by an event that a notification can wait for."""

from __future__ import annotations

import base64

from prefect.artifacts import create_image_artifact, create_markdown_artifact
from prefect.events import emit_event

from cvgl.arrival import batches
from cvgl.arrival.account import Refused, Whereabouts, refused, whereabouts
from cvgl.arrival.batches import Batch, State
from cvgl.lake import Lake, read_json
from cvgl.quality.gate import GateDecision
from cvgl.reporting.mapping import coordinates, placement_map
from cvgl.reporting.theme import to_png
from tasks.artifacts import INLINE_LIMIT, artifact_key
from tasks.events import deliver, event_id, resource_of
from tasks.registry.verdict import DECISION_FILE, gate_folder
from tasks.stage import stage_task

DONE, WAITING, FAILED = (f"cvgl.batch.{state}" for state in (State.DONE, State.WAITING, State.FAILED))
LISTED = 20  # refused files that the page names; `cvgl query` has all
_DPI = 100  # a page's width, and few enough bytes to be part of the artifact


@stage_task("tell", run_name="tell what became of {batch.batch}")
def tell(batch: Batch, lake: Lake) -> None:
    """The account of a batch: what came, what was refused, what was decided and why, whether it is better, and where it is."""
    left_out, found = refused(lake, batch), whereabouts(lake, batch)
    create_markdown_artifact(
        account(batch, left_out, found, lake),
        key=artifact_key("account", batch.dataset),
        description=f"What became of batch {batch.batch} of {batch.dataset}: {batch.outcome or batch.state}",
    )
    if found is not None and (drawn := _drawn(found)) is not None:
        create_image_artifact(
            drawn,
            key=artifact_key("map", batch.dataset),
            description=f"Where the pictures of batch {batch.batch} lie on the map {found.serving.map} that serves",
        )
    emit_event(
        f"cvgl.batch.{batch.state}",
        resource=resource_of(batch) | {"cvgl.outcome": batch.outcome or str(batch.state)},
        payload={
            "batch": batch.batch,
            "dataset": batch.dataset,
            "lake": str(lake.root),
            "outcome": batch.outcome or str(batch.state),
            "reason": batch.reason,
            "refused": len(left_out),
            "run": batch.run,
            "map": "" if found is None else found.serving.map,
        },
        id=event_id(batch, batches.end_of(batch)),
    )
    deliver()
    batches.mark_reported(lake, batch)  # last: people are told twice rather than never


def account(batch: Batch, left_out: list[Refused], found: Whereabouts | None, lake: Lake) -> str:
    """The account as Markdown.

    Raises:
        LakeError: what the gate said is damaged.
    """
    gate = _gate(batch, lake)
    parts = {
        "What came in": _came(batch),
        "What was refused": _refusals(left_out),
        "What was decided, and why": f"**{batch.verdict or batch.outcome or batch.state}**: {_without(batch.reason, gate)}",
        "Is it better?": _better(gate),
        "Where is it?": _where(batch, found, lake),
    }
    if batch.state in batches.ANSWERABLE:
        said = f"cvgl answer {batch.batch} adapt --dataset {batch.dataset} --lake {lake.root}"
        parts["What you can do"] = f"`{said}` (or `skip`); the next look goes on with it."
    return f"# {batch.batch}: {batch.outcome or batch.state}\n" + "".join(
        f"\n## {name}\n\n{text}\n" for name, text in parts.items()
    )


def _came(batch: Batch) -> str:
    counted = ", ".join(f"{name} {count}" for name, count in batch.ingest.items() if count)
    return f"{batch.n_files} files of `{batch.source}`, and {batch.n_removed} went. Pictures: {counted or 'none'}."


def _refusals(left_out: list[Refused]) -> str:
    if not left_out:
        return "Nothing."
    rows = "".join(f"\n| {_cell(one.name)} | {one.reason} | {_cell(one.detail)} |" for one in left_out[:LISTED])
    more = f'\n\nThe first {LISTED} of {len(left_out)}; all: `cvgl query "FROM quarantine"`.' if len(left_out) > LISTED else ""
    return f"| file | reason | detail |\n|---|---|---|{rows}{more}"


def _gate(batch: Batch, lake: Lake) -> GateDecision | None:
    """What the gate said of the batch's challenger; none where nothing was learned."""
    path = gate_folder(lake, batch.run) / DECISION_FILE
    return GateDecision.model_validate(read_json(path)["decision"]) if batch.run and path.is_file() else None


def _without(reason: str, gate: GateDecision | None) -> str:
    """A batch's reason, which ends with the gate's, without that."""
    return reason if gate is None else reason.removesuffix(f"; {gate.reason}")


def _better(gate: GateDecision | None) -> str:
    if gate is None:
        return "Nothing new was learned."
    figures = [str(one) for one in (gate.difference, gate.contest) if one is not None and str(one) not in gate.reason]
    figures += [f"{name} without labels: {figure}" for name, figure in gate.quality.items()]
    return f"**{gate.verdict}**: {gate.reason}" + "".join(f"\n- {figure}" for figure in figures)


def _where(batch: Batch, found: Whereabouts | None, lake: Lake) -> str:
    if found is None:
        return "No map serves yet."
    serving, new = found.serving, int(found.new.sum())
    lines = [
        f"map `{serving.map}` serves, with {len(found.references)} references, {new} of them new with this batch",
        f"adapter `{serving.run}`" + (f", `{serving.model}` version {serving.version} in MLflow" if serving.version else ""),
        f"folder `{lake.map(batch.dataset) / serving.map}`",
    ]
    page = lake.report(serving.run) / "index.html"
    if page.is_file():
        lines.append(f"report `{page}`")
    if len(found.answers):
        lines.append(f"{len(found.answers) + found.left_out} new pictures of this batch look like a place on it (see the map)")
    lines.append(f"ask it: `cvgl localize PICTURE --dataset {batch.dataset} --lake {lake.root}`")
    return "".join(f"- {line}\n" for line in lines)


def _drawn(found: Whereabouts) -> str | None:
    """The map as a data URL; none where positions are not known, or the picture is too large for an artifact."""
    where = coordinates([reference.position for reference in found.references])
    if where is None:
        return None
    data = to_png(placement_map(where, found.new, found.answers), _DPI)
    return f"data:image/png;base64,{base64.b64encode(data).decode()}" if len(data) <= INLINE_LIMIT else None


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
