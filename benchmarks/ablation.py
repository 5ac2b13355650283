"""What each part of the recipe `robust` is worth on real imagery; fills in the tables of docs/lab-notebook/robust.md.

    python -m benchmarks.ablation --shared ../shared --lake /some/folder

Descriptors are computed once, by the stages of the pipeline. `robust` draws no lots, so what varies are the images: five
runs, each on a random 90 % of the training rows of either view; recipes with a seed take another one in each run. Test images
are resampled for intervals: whole places, and on flights blocks of consecutive frames, whose errors go together.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.ablation_variants import Variant, variants
from cvgl.adaptation import FrameSequences
from cvgl.config import AlignmentConfig, BackboneConfig, ExtractConfig, IngestConfig, Layout
from cvgl.datasets import flights
from cvgl.evaluation.retrieval_task import distances_m
from cvgl.experiments.material import Examination, Material, load_material, training_places
from cvgl.ingestion.tables import read_images
from cvgl.lake import Lake, read_json, write_json
from cvgl.retrieval import evaluate
from cvgl.stages.extraction.stage import extract
from cvgl.stages.ingest import ingest
from cvgl.stages.sequences import frame_sequences

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Outcomes = dict[str, NDArray[np.float64]]

PAGE = Path(__file__).resolve().parents[1] / "docs" / "lab-notebook" / "robust.md"
RUNS, KEPT = 5, 0.9
RESAMPLES, FRAMES_A_BLOCK, NEAR_M = 10_000, 20, 50.0
BASELINES = ("view-standardised", "`paper-standardised`, d = d0: the M-step is InfoNCE", "`released`, d = d0")
SWIN = BackboneConfig(name="swin_tiny_patch4_window7_224", checkpoint="swin_tiny_stage3.safetensors")
VIT = BackboneConfig(name="vit_tiny_patch16_224", checkpoint="vit_tiny_patch16_224.safetensors")
WHOLE = AlignmentConfig()


@dataclass(frozen=True, slots=True)
class Task:
    """One table column group: a data set under one frozen model and alignment."""

    key: str
    title: str
    backbone: BackboneConfig
    alignment: AlignmentConfig
    date: str | None = None  # of the map, for flights


UNIVERSITY = AlignmentConfig(query_crop=0.7, reference_rotations=4)
TASKS = (
    Task("swin", "Swin-T, as stored", SWIN, WHOLE),
    Task("swin-aligned", "Swin-T, crop 0.7, 4 rotations", SWIN, UNIVERSITY),
    Task("vit", "ViT-Ti, as stored", VIT, WHOLE),
    Task("vit-aligned", "ViT-Ti, crop 0.7, 4 rotations", VIT, UNIVERSITY),
    Task("flights-2014-03", "map 2014-03, as stored", SWIN, WHOLE, "2014-03"),
    Task("flights-2014-01", "map 2014-01, as stored", SWIN, WHOLE, "2014-01"),
    Task(
        "flights-2014-03-aligned",
        "map 2014-03, crop 0.5, 4 rotations",
        SWIN,
        AlignmentConfig(query_crop=0.5, reference_rotations=4),
        "2014-03",
    ),
)


@dataclass(frozen=True, slots=True)
class Bench:
    """Descriptors of a task, what else may be learned from, and how test images hang together.

    Attributes:
        material: descriptors and questions.
        sequences: of the training images; None without sequences.
        truth: row of the right training reference for each training query, -1 where there is none; None: not known.
        clusters: by direction, one number a test query, equal for those that are resampled together.
        is_flight: asked in one direction, in metres too.
    """

    material: Material
    sequences: FrameSequences | None
    truth: NDArray[np.int64] | None
    clusters: Mapping[str, NDArray[np.int64]]
    is_flight: bool

    def measure(self, variant: Variant, rows: tuple[NDArray[np.int64], NDArray[np.int64]], seed: int) -> Outcomes:
        """Learns from some of the rows; per column, 1 for a test query that came out right and 0 for another."""
        training = self.material.training
        queries, references = rows
        truth = None if self.truth is None else _restricted(self.truth[queries], references)
        sequences = None if self.sequences is None else _some(self.sequences, queries, references)
        learned = variant.learn(training.queries[queries], training.references[references], seed, sequences, truth)
        outcomes: Outcomes = {}
        for examination in self.material.examinations:
            question = examination.question
            if self.is_flight and question.direction.query_view.is_reference:
                continue
            sides = variant.score(*examination.mapped(learned))
            places = question.queries.places, question.gallery.places
            top = evaluate(sides[0], places[0], sides[1], places[1], top_k=1).per_query
            right = top.top_correct[:, 0].astype(float)
            outcomes[f"{question.direction} R@1"] = right
            if self.is_flight:
                outcomes[f"under {NEAR_M:g} m"] = (distances_m(question, top.top_index) <= NEAR_M).astype(float)
        return outcomes

    def samples(self) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """All rows, then the rows of each run."""
        sizes = len(self.material.training.queries), len(self.material.training.references)
        chosen = [tuple(np.arange(size) for size in sizes)]
        for run in range(RUNS):
            rng = np.random.default_rng(run)
            chosen.append(tuple(np.sort(rng.permutation(size)[: round(KEPT * size)]) for size in sizes))
        return [(queries, references) for queries, references in chosen]


def _restricted(truth: NDArray[np.int64], references: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows of the right references among those that are kept; -1 for one that is not."""
    position = np.full(int(max(truth.max(), references.max())) + 2, -1)  # the last entry answers -1
    position[references] = np.arange(len(references))
    return position[truth]


def _some(sequences: FrameSequences, queries: NDArray[np.int64], references: NDArray[np.int64]) -> FrameSequences:
    position = {row: index for index, row in enumerate(queries.tolist())}
    runs = ([position[row] for row in run.tolist() if row in position] for run in sequences.rows)
    return FrameSequences(tuple(np.asarray(run, np.int64) for run in runs if run), sequences.positions[references])


def prepare(task: Task, shared: Path, lake: Lake) -> Bench:
    """Ingests, extracts and reads."""
    data = shared / "data"
    if task.date is None:
        config = IngestConfig(source=str(data / "university_mini"), dataset="university_mini", layout=Layout.UNIVERSITY1652)
    else:
        manifest = flights.write_manifest(data / "flights", task.date, lake.root / f"flights-{task.date}.csv")
        config = IngestConfig(source=str(manifest), dataset=f"flights-{task.date}", root=str(data / "flights"))
    images = ingest(config, lake).ref
    checkpoint = str(shared / "weights" / str(task.backbone.checkpoint))
    backbone = task.backbone.model_copy(update={"checkpoint": checkpoint})
    features = extract(images, ExtractConfig(backbone=backbone, alignment=task.alignment), lake).ref
    material = load_material(lake, features, "university1652-951" if task.date is None else "flights")
    pictures = {row["image_id"]: row for row in read_images(lake, images.name).to_pylist()}
    training = material.training
    return Bench(
        material=material,
        sequences=frame_sequences(
            [pictures[image] for image in training.query_ids], [pictures[image] for image in training.reference_ids]
        ),
        truth=_truth(lake, material) if task.date is None else None,
        clusters={str(e.question.direction): _clusters(e, pictures, task.date is not None) for e in material.examinations},
        is_flight=task.date is not None,
    )


def _truth(lake: Lake, material: Material) -> NDArray[np.int64]:
    queries, references = training_places(lake, material.dataset, material.training).codes()
    row = {place: index for index, place in enumerate(references.tolist()) if place >= 0}
    return np.array([row.get(place, -1) for place in queries.tolist()], np.int64)


def _clusters(examination: Examination, images: Mapping[str, Mapping[str, Any]], is_flight: bool) -> NDArray[np.int64]:
    side = examination.question.queries
    if not is_flight or side.view.is_reference:
        return np.unique([str(place) for place in side.places], return_inverse=True)[1]
    order = np.argsort([images[image]["uri"] for image in side.image_ids])  # frames are numbered with leading zeros
    blocks = np.empty(len(order), np.int64)
    blocks[order] = np.arange(len(order)) // FRAMES_A_BLOCK
    return blocks


def interval(gains: NDArray[np.float64], clusters: NDArray[np.int64]) -> tuple[float, float]:
    """95 % interval of a mean over queries, by resampling clusters with replacement."""
    count = np.bincount(clusters)
    total = np.bincount(clusters, weights=gains)
    drawn = np.random.default_rng(0).integers(0, len(count), (RESAMPLES, len(count)))
    low, high = np.percentile(total[drawn].sum(axis=1) / count[drawn].sum(axis=1), (2.5, 97.5))
    return float(low), float(high)


def measure(task: Task, bench: Bench) -> dict[str, Any]:
    """All rows of a task's tables: figures with all images and over the runs, gains over the baselines with intervals."""
    outcomes: dict[str, list[Outcomes]] = {}
    for variant in variants():
        if (variant.needs_truth and bench.truth is None) or (variant.needs_trajectories and bench.sequences is None):
            continue
        outcomes[variant.name] = [bench.measure(variant, rows, max(run, 0)) for run, rows in enumerate(bench.samples(), -1)]
        print(f"{task.key}: {variant.name}: {_percent(outcomes[variant.name][0])}", flush=True)
    columns = list(next(iter(outcomes.values()))[0])
    rows = {name: {column: _figures(column, seeds) for column in columns} for name, seeds in outcomes.items()}
    best = [name for name in ("`robust`", "`robust` with trajectories") if name in outcomes]
    gains = {
        f"{ours} over {baseline.split(':')[0]}": {
            column: _gain(column, outcomes[ours], outcomes[baseline], bench) for column in columns
        }
        for ours in best
        for baseline in BASELINES
    }
    # As lists, since files have their keys sorted.
    return {"title": task.title, "columns": columns, "rows": list(rows.items()), "gains": list(gains.items())}


def _percent(outcomes: Outcomes) -> str:
    return " / ".join(f"{100 * values.mean():.1f}" for values in outcomes.values())


def _figures(column: str, outcomes: Sequence[Outcomes]) -> dict[str, float]:
    runs = [float(100 * outcome[column].mean()) for outcome in outcomes[1:]]
    return {
        "all": float(100 * outcomes[0][column].mean()),
        "mean": float(np.mean(runs)),
        "deviation": float(np.std(runs, ddof=1)),
    }


def _gain(column: str, ours: Sequence[Outcomes], theirs: Sequence[Outcomes], bench: Bench) -> dict[str, list[float]]:
    """Query by query, with its interval: of all training rows, and of the mean over the runs."""
    gains = [100 * (a[column] - b[column]) for a, b in zip(ours, theirs, strict=True)]
    direction = column.removesuffix(" R@1") if column.endswith("R@1") else "drone_to_satellite"
    clusters = bench.clusters[direction]
    return {
        name: [float(gain.mean()), *interval(gain, clusters)]
        for name, gain in (("all", gains[0]), ("runs", np.mean(gains[1:], axis=0)))
    }


def page(results: Sequence[Mapping[str, Any]]) -> str:
    """The tables, one group of tasks after the other: those with the same columns."""
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for result in results:
        groups.setdefault(tuple(result["columns"]), []).append(result)
    lines: list[str] = []
    for columns, members in groups.items():
        figures = " / ".join(
            column.replace("drone_to_satellite", "D->S").replace("satellite_to_drone", "S->D") for column in columns
        )
        lines += [f"{figures}, %: all training rows (mean +- deviation over {RUNS} runs)", ""]
        lines += _table("", members, "rows", columns, _shown_figures)
        for kind, rows in (("all", "all training rows"), ("runs", f"mean over {RUNS} runs")):
            lines += [f"Gains in points [95 % interval], {rows}: {figures}", ""]
            lines += _table("", members, "gains", columns, partial(_shown_gain, kind))
    return "\n".join(lines)


def _table(
    corner: str,
    members: Sequence[Mapping[str, Any]],
    part: str,
    columns: Sequence[str],
    show: Callable[[Sequence[Mapping[str, Any]]], str],
) -> list[str]:
    tables = [dict(member[part]) for member in members]
    names = list(dict.fromkeys(name for table in tables for name in table))
    cells = [
        [show([table[name][column] for column in columns]) if name in table else "-" for table in tables] for name in names
    ]
    head = [f"| {corner} | {' | '.join(member['title'] for member in members)} |", "|---" * (len(members) + 1) + "|"]
    return [*head, *(f"| {name} | {' | '.join(row)} |" for name, row in zip(names, cells, strict=True)), ""]


def _shown_figures(figures: Sequence[Mapping[str, float]]) -> str:
    every = " / ".join(f"{figure['all']:.1f}" for figure in figures)
    runs = " / ".join(f"{figure['mean']:.1f} +- {figure['deviation']:.1f}" for figure in figures)
    return f"{every} ({runs})"


def _shown_gain(kind: str, gains: Sequence[Mapping[str, Sequence[float]]]) -> str:
    return " / ".join("{:+.1f} [{:+.1f}, {:+.1f}]".format(*gain[kind]) for gain in gains)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True, help="folder with data/ and weights/")
    parser.add_argument("--lake", type=Path, required=True)
    parser.add_argument(
        "--only", nargs="*", choices=[task.key for task in TASKS], help="measure these; show all that are there"
    )
    parser.add_argument("--write", action="store_true", help="put the tables into docs/lab-notebook/robust.md")
    options = parser.parse_args()
    lake = Lake.at(options.lake)
    for task in TASKS:
        if options.only is None or task.key in options.only:
            write_json(lake.root / "ablation" / f"{task.key}.json", measure(task, prepare(task, options.shared, lake)))
    files = [lake.root / "ablation" / f"{task.key}.json" for task in TASKS]
    text = page([read_json(file) for file in files if file.is_file()])
    print(text)
    if options.write:
        marked = re.compile(r"(<!-- ablation -->\n).*(<!-- /ablation -->)", re.DOTALL)
        PAGE.write_text(marked.sub(lambda match: f"{match[1]}{text}\n{match[2]}", PAGE.read_text()))


if __name__ == "__main__":
    main()
