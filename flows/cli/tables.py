"""Answers for people: what commands print when --json is absent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os.path import commonpath

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cvgl.geo import Position
from cvgl.ingestion.summaries import Remark, ViewSummary
from cvgl.localization.placement import JointPlacement, LikelyAnswer, Placement
from cvgl.stages.alignment.record import AlignmentRecord, candidate_rows
from cvgl.summary import MetricSummary
from flows.cli.fitted import FittedTable
from flows.cli.legible import hanging, legible
from flows.outcome import RunOutcome

_COLORS = {"promoted": "green", "unchanged": "cyan", "refused": "yellow"}


def facts(rows: Mapping[str, object], title: str | None = None) -> Text:
    """Names and values, one a line; a long path stays one line, to be copied."""
    width = max(map(len, rows), default=0) + 2
    text = Text()
    if title:
        text.append(f"{title}\n", style="bold")
    for name, value in rows.items():
        text.append(name.ljust(width), style="bold").append(f"{hanging(str(value))}\n")
    return text[:-1]


def cell(value: object) -> Text:
    """A value in a table: one line, as it is, whatever is in it."""
    return Text(legible(str(value), one_line=True))


def position_facts(summaries: Sequence[ViewSummary], passed: Sequence[Remark]) -> dict[str, str]:
    """What an ingestion says of positions, for `facts`: a line a view, and one of what was passed over."""
    rows = {str(summary.view): str(summary).partition(": ")[2] for summary in summaries}
    return {**rows, **({"passed over": "; ".join(map(str, passed))} if passed else {})}


def records(rows: Sequence[Mapping[str, object]], title: str) -> RenderableType:
    """A row each, under the names of the first one's values."""
    if not rows:
        return Text(f"{title}: none.", style="yellow")
    table = FittedTable(*rows[0], title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for row in rows:
        table.add_row(*map(cell, row.values()))
    return table


def metrics_tables(summaries: Sequence[MetricSummary]) -> RenderableType:
    """For each direction and protocol: frozen, standardised and adapted beneath one another, and what inference adds."""
    if not summaries:
        return Text("There are no labels or positions in this dataset to measure against.", style="yellow")
    questions: dict[tuple[str, str], list[MetricSummary]] = {}
    for summary in summaries:
        questions.setdefault((summary.direction, summary.protocol), []).append(summary)
    notes = dict.fromkeys(note for summary in summaries for note in summary.notes)
    tables = [_question_table(answers) for answers in questions.values()]
    return Group(*tables, *(Text(f"note: {note}", style="yellow") for note in notes))


def _question_table(answers: Sequence[MetricSummary]) -> Table:
    first = answers[0]
    title = f"{first.direction}: {first.n_queries} queries, {first.n_gallery} in the gallery"
    title += f" ({first.protocol}, {first.protocol_hash})"
    table = FittedTable(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    radii = sorted({radius for answer in answers for radius in answer.within_m}, key=float)
    measured = any(answer.median_m is not None for answer in answers)
    distances = ["median m", *(f"≤{float(radius):.0f} m" for radius in radii)] if measured else []
    table.add_column("rates in %", no_wrap=True)
    for name in ("R@1", "R@5", "R@10", "AP", *distances):
        table.add_column(name, justify="right", no_wrap=True)
    for answer in answers:
        rates = [_percent(answer.recall.get(depth)) for depth in ("1", "5", "10")]
        median = "" if answer.median_m is None else f"{answer.median_m:.0f}"
        shares = [median, *(_percent(answer.within_m.get(radius)) for radius in radii)] if measured else []
        table.add_row(
            str(answer.stage), *rates, _percent(answer.ap), *shares, style="bold" if answer.stage == "adapted" else ""
        )
    return table


def _percent(rate: float | None) -> str:
    return "" if rate is None else f"{100 * rate:.1f}"


def run_answer(outcome: RunOutcome) -> RenderableType:
    """The figures of a run, the gate's verdict, and where everything is."""
    rows: dict[str, object] = {
        "run": outcome.run,
        "images": ", ".join(f"{count} {name}" for name, count in outcome.images.items()),
        "alignment": outcome.alignment,
        "report": outcome.report,
        "lake": outcome.lake,
        "MLflow run": f"{outcome.mlflow_run} in {outcome.tracking_uri}" if outcome.mlflow_run else None,
        **position_facts(outcome.views, outcome.passed_over),
        "seconds": ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in outcome.seconds.items()),
        "skipped": f"{', '.join(outcome.skipped)}: finished before" if outcome.skipped else None,
        "pages": f"cvgl ui --lake {outcome.lake}",
    }
    parts: list[RenderableType] = [metrics_tables(outcome.metrics), ""]
    if outcome.verdict is not None:
        parts += [Text.assemble((outcome.verdict, f"bold {_COLORS[outcome.verdict]}"), ": ", outcome.reason), ""]
    if outcome.positions not in ("", outcome.reason):
        parts += [Text(outcome.positions), ""]
    return Group(*parts, facts({name: value for name, value in rows.items() if value}))


def alignment_answer(record: AlignmentRecord, rows: Mapping[str, object]) -> RenderableType:
    """Every candidate with its score, and which was chosen."""
    parts: list[RenderableType] = []
    candidates = candidate_rows(record)
    if candidates:
        table = FittedTable(title="Candidates", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
        for name in candidates[0]:
            table.add_column(name, justify="right" if name == "agreement" else "left", overflow="fold")
        for index, candidate in enumerate(candidates):
            table.add_row(*candidate.values(), style="bold" if index == 0 else "")
        parts += [
            table,
            Text(
                "agreement: share of images that find each other, or nats an image of a flight (docs/concepts/alignment.md)",
                style="dim",
            ),
            "",
        ]
    return Group(*parts, facts(rows, f"{record.dataset}: alignment"))


def placements_table(placements: Sequence[Placement]) -> Table:
    """The answers for each image, best first."""
    table = FittedTable(title="Where the images were taken", title_justify="left")
    folder = _common_folder([answer.uri for placement in placements for answer in placement.top_k])
    likely = any(isinstance(answer, LikelyAnswer) for placement in placements for answer in placement.top_k)
    table.add_column("picture", overflow="fold")
    for name in ("rank", "score", *(("probability",) if likely else ()), "latitude, longitude"):
        table.add_column(name, justify="right")
    table.add_column("reference", overflow="fold")
    for placement in placements:
        table.add_section()
        if placement.problem is not None:
            nothing = [""] * (len(table.columns) - 2)
            table.add_row(cell(placement.picture), *nothing, Text(legible(placement.problem), style="yellow"))
        for rank, answer in enumerate(placement.top_k, start=1):
            image = cell(_images(placement) if rank == 1 else "")
            chance = [f"{answer.probability:.3f}"] if isinstance(answer, LikelyAnswer) else []
            reference = cell(answer.uri.removeprefix(folder))
            table.add_row(image, str(rank), f"{answer.score:.3f}", *chance, cell(_place(answer)), reference)
    adapters = ", ".join(sorted({placement.adapter for placement in placements}))
    caption = [f"adapter: {adapters}", f"references in {folder}"]
    reasons = sorted({reason for placement in placements if (reason := placement.degrees_problem())})
    # Neighbouring positions fail alike, each with its own degrees in the sentence.
    caption += [f"no latitude and longitude: {reason}" for reason in reasons[:1]]
    table.caption = Text(legible("\n".join(caption)), style="table.caption")
    return table


def _images(placement: Placement) -> str:
    more = len(placement.pictures) - 1 if isinstance(placement, JointPlacement) else 0
    return f"{placement.picture} and {more} more" if more else placement.picture


def _common_folder(uris: Sequence[str]) -> str:
    """The folder that all files are under, with a slash: not worth repeating on every line."""
    return commonpath([uri.rpartition("/")[0] for uri in uris]).rstrip("/") + "/" if uris else ""


def _place(position: Position) -> str:
    degrees = position.degrees()
    if degrees is not None:
        return f"{degrees[0]:.6f}, {degrees[1]:.6f}"
    return "" if position.x is None else f"x {position.x:.1f}, y {position.y:.1f} ({position.crs})"
