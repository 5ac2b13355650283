"""What a report says: its tables, images and settings, made from the material of one run."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from cvgl.config import EvaluateConfig, RunConfig
from cvgl.reporting.document import Alignment, Document, Gallery, Grid, Picture, Refused
from cvgl.reporting.examples import Choice, Question, examples, hardest, questions, rows_of
from cvgl.reporting.gallery import Example, Strip, Tile
from cvgl.reporting.material import Material
from cvgl.reporting.quality_section import judgement_of
from cvgl.reporting.results import STAGE_NAMES, arrow, headlines, result_tables
from cvgl.stages.alignment.record import AlignmentRecord, candidate_rows
from cvgl.types import Representation, Subset

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cvgl.reporting.theme import Theme

_SHOWN_ANSWERS = 5
_SHOWN_REFUSED = 50


@dataclass(frozen=True, slots=True)
class Drawing:
    """A figure that can be drawn in any theme.

    Attributes:
        name: of its file, without ending.
        title, caption, alt: see `cvgl.reporting.document.Picture`.
        draw: theme -> figure.
        on_page: the page shows it as it is; it shows galleries as tiles instead, which a phone can reflow.
        dpi: of its PNG file.
    """

    name: str
    title: str
    caption: str
    alt: str
    draw: Callable[[Theme], Figure]
    on_page: bool = True
    dpi: int = 150


def compose(
    material: Material, images: Sequence[Picture], galleries: Galleries, links: Mapping[str, str], notes: Sequence[str]
) -> Document:
    """The document around figures that have been drawn."""
    return Document(
        run=material.run,
        dataset=material.dataset,
        headlines=headlines(material.summaries),
        results=tuple(result_tables(material.summaries)),
        unlabelled_reason=_why_no_figures(material),
        figures=tuple(images),
        examples=galleries.examples,
        hardest=galleries.hardest,
        counts=_counts(material.images),
        alignment=_alignment(material.alignment),
        refused=_refused(material.quarantine),
        settings=_settings(material),
        fingerprints=_fingerprints(material),
        commands=_commands(material),
        links=links,
        notes=notes,
        verdict=str(material.registration.get("verdict", "")),
        reason=_reason(material.registration),
        judgement=judgement_of(material),
    )


@dataclass(frozen=True, slots=True)
class Galleries:
    """Examples and hardest queries of every direction."""

    examples: tuple[Gallery, ...]
    hardest: tuple[Gallery, ...]


def galleries(material: Material) -> Galleries:
    """What each stage answers to some queries, and the queries that do worst."""
    files = material.files()
    strips_shown, worst = [], []
    for question in questions(material.queries):
        examples_found = tuple(
            _examples(
                material, question, files, examples(question), (Representation.FROZEN, Representation.ADAPTED), truth=False
            )
        )
        if examples_found:
            kind = "Drawn by the hash of the query, not by looks." if question.labelled else "Which are right is not known."
            caption = f"The best answers, best first, with their similarity. {kind}"
            strips_shown.append(Gallery(arrow(question.direction), caption, examples_found))
        missed = tuple(_examples(material, question, files, hardest(question), (Representation.ADAPTED,), truth=True))
        if missed:
            worst.append(
                Gallery(arrow(question.direction), "Adapted descriptors; at most one query a place, worst first.", missed)
            )
    return Galleries(tuple(strips_shown), tuple(worst))


def _examples(
    material: Material,
    question: Question,
    files: Mapping[str, Path],
    choices: Sequence[Choice],
    stages: Sequence[Representation],
    *,
    truth: bool,
) -> Iterable[Example]:
    ids = [choice.image_id for choice in choices]
    rows = {stage: rows_of(question.stages[stage], ids) for stage in stages if stage in question.stages}
    gallery_view = question.direction.partition("_to_")[2]
    for choice in choices:
        strips = tuple(
            Strip(STAGE_NAMES[stage], _answers(rows_by_image[choice.image_id], files)) for stage, rows_by_image in rows.items()
        )
        row = next(iter(rows.values()))[choice.image_id]
        place = row["location_id"]
        right = material.places.get(gallery_view, {}).get(place) if truth else None
        yield Example(
            query=Tile(files.get(choice.image_id), place or ""),
            strips=strips,
            remark=choice.remark,
            truth=None if right is None else Tile(files.get(right), place),
        )


def _answers(row: Mapping[str, Any], files: Mapping[str, Path]) -> tuple[Tile, ...]:
    has_label = row["location_id"] is not None
    answers = zip(row["top_ids"], row["top_scores"], row["top_correct"], strict=True)
    return tuple(
        Tile(files.get(image), f"{score:.3f}", correct if has_label else None)
        for image, score, correct in list(answers)[:_SHOWN_ANSWERS]
    )


def _refused(quarantine: pa.Table) -> Refused:
    rows = [(row["uri"], row["reason"], row["detail"]) for row in quarantine.to_pylist()]
    reasons = Counter(reason for _, reason, _ in rows)
    ordered = tuple(sorted(reasons.items(), key=lambda item: (-item[1], item[0])))
    return Refused(len(rows), ordered, tuple(rows[:_SHOWN_REFUSED]))


def _counts(images: pa.Table) -> Grid:
    rows = []
    columns = zip(*(images[name].to_pylist() for name in ("view", "subsets", "latitude", "x")), strict=True)
    by_view: dict[str, Counter[str]] = {}
    for view, subsets, latitude, x in columns:
        counter = by_view.setdefault(view, Counter())
        counter.update(["all", *subsets, *(["placed"] if latitude is not None or x is not None else [])])
    for view, counter in sorted(by_view.items()):
        rows.append((view, *(f"{counter[key]:,}" for key in ("all", *map(str, Subset), "placed"))))
    titles = ("view", "pictures", *(f"in {subset}" for subset in Subset), "with a position")
    return Grid(titles, tuple(rows), (False, *[True] * (len(titles) - 1)))


def _reason(registration: Mapping[str, Any]) -> str:
    """The gate's reason, and what it compared where the reason does not say so already."""
    reason = str(registration.get("reason", ""))
    compared = [str(line) for line in registration.get("compared", ()) if str(line).partition(": ")[2] not in reason]
    return ". ".join([reason, *(line[:1].upper() + line[1:] for line in compared)])


def _alignment(record: AlignmentRecord | None) -> Alignment | None:
    if record is None:
        return None
    rows = candidate_rows(record)
    columns = tuple(rows[0]) if rows else ()
    grid = Grid(columns, tuple(tuple(map(str, row.values())) for row in rows), (False, True, True, False)[: len(columns)])
    return Alignment(record.reason, grid, record.left_out)


def _why_no_figures(material: Material) -> str:
    if material.summaries:
        return ""
    return (
        f"No query of the dataset '{material.dataset}' has a known place, so right and wrong answers cannot be told apart. "
        "The adapter itself needs no labels. To measure it, ingest images with location_id or positions (a "
        "University-1652 folder, a manifest with those columns, or EXIF positions), and evaluate again."
    )


def _settings(material: Material) -> dict[str, dict[str, str]]:
    extract = material.model.get("extract")
    sections = {
        "Frozen model": _flat(extract) if isinstance(extract, dict) else {"model": "its record is not in the lake any more"},
        "Adaptation": _flat(material.record.config.model_dump(mode="json")),
    }
    training, view = material.record.training, material.record.query_view
    sections["Adaptation"] |= {
        "learned from": f"{training.n_queries:,} {view} and {training.n_references:,} satellite images, no labels",
        "dimensions": f"{material.record.d0:,} → {material.record.d:,}",
    }
    return sections


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    pairs: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            pairs |= _flat(value, f"{prefix}{name}.")
        else:
            pairs[prefix + name] = "default" if value is None else str(value)
    return pairs


def _fingerprints(material: Material) -> dict[str, str]:
    record = material.record
    pairs = {
        "run": material.run,
        "frozen features": record.feature_set_id or "",
        "adapter tensors (sha256)": record.tensors_sha256,
        "training query ids": record.training.query_ids_digest or "not recorded",
        "training reference ids": record.training.reference_ids_digest or "not recorded",
    }
    for summary in material.summaries:
        pairs.setdefault(f"protocol {summary.protocol}", summary.protocol_hash)
        pairs.setdefault(
            f"evaluated rows, {arrow(summary.direction)}, {summary.protocol}", summary.rows_digest or "not recorded"
        )
    identity = material.model.get("identity")
    if isinstance(identity, dict):
        pairs |= {f"model {name}": str(value) for name, value in sorted(identity.items())}
    return pairs | {f"version of {name}": version for name, version in sorted(record.versions.items())}


def _commands(material: Material) -> list[str]:
    """A file with the settings and the command that takes it; every option of the command line is a field of that file."""
    settings = run_settings(material)
    text = json.dumps(settings, indent=2, ensure_ascii=False)
    return [
        f"cat > settings.json <<'JSON'\n{text}\nJSON\ncvgl run --config settings.json",
        f"cvgl report {shlex.quote(material.run)} --lake {shlex.quote(str(material.lake.root))}",
    ]


def run_settings(material: Material) -> dict[str, Any]:
    """The settings of `cvgl run` that lead here, without those at their defaults."""
    source = dict(material.source) or {"source": _common_folder(material.images), "dataset": material.dataset}
    within = {radius for summary in material.summaries for radius in summary.within_m}
    protocols = tuple(dict.fromkeys(summary.protocol for summary in material.summaries))
    evaluate: dict[str, Any] = {"protocols": protocols} if protocols else {}
    if within:
        evaluate |= {"radii_m": tuple(sorted(float(radius) for radius in within))}
    settings: dict[str, Any] = {
        "lake": str(material.lake.root),
        "ingest": source,
        "align": {"enabled": False},  # what was chosen is among the settings of the extraction
        "extract": material.model.get("extract") or {},
        "adapt": material.record.config.model_dump(mode="json"),
        "evaluate": EvaluateConfig.model_validate(evaluate).model_dump(mode="json"),
    }
    return RunConfig.model_validate(settings).model_dump(mode="json", exclude_defaults=True)


def _common_folder(images: pa.Table) -> str:
    parents = [Path(uri).parent for uri in images["uri"].to_pylist()]
    common = parents[0] if parents else Path()
    while parents and not all(parent.is_relative_to(common) for parent in parents):
        common = common.parent
    return str(common)
