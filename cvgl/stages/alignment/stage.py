"""Stage `align`: training images of two views in, the settings under which they agree best out. No label is read here.

Which part of an image shows as much ground as a tile, from which headings it may have been taken, and which of the frozen
model's layers see both views alike, is worth more on real pairs than anything learned afterwards (docs/concepts/alignment.md).
The stage tries candidates on a sample of the training images, chooses by how well the views agree
(`cvgl.quality.agreement`), and keeps the evidence.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cvgl.backbones import Variants, load_variants
from cvgl.config import AlignConfig, AlignmentConfig, ExtractConfig
from cvgl.errors import ConfigError
from cvgl.features import fingerprint
from cvgl.hashing import digest_json, digest_lines
from cvgl.ingestion import tables
from cvgl.lake import Lake, write_versioned
from cvgl.lake.locks import exclusive
from cvgl.quality import agreement
from cvgl.stages.alignment.record import AlignmentRecord, TriedCandidate, alignments_folder, read_alignment
from cvgl.stages.alignment.sample import Sample
from cvgl.stages.alignment.search import MINIMUM, Search
from cvgl.stages.extraction.reading import Row
from cvgl.stages.extraction.stage import device_lock
from cvgl.stages.extraction.vocabulary import with_vocabulary
from cvgl.stages.sequences import frame_sequences
from cvgl.types import ArtifactRef, Progress, Subset, View, ViewDependentEmbedder, silent

if TYPE_CHECKING:
    from cvgl.adaptation.sequences import FrameSequences

SEARCH_VERSION = 2
"""Raised whenever the same images and settings could lead to another choice."""


@dataclass(frozen=True, slots=True)
class AlignOutcome:
    """What the stage has done.

    Attributes:
        ref: the evidence.
        skipped: the choice was made before.
        config: the settings to extract everything with.
        record: the evidence: every candidate, its score, and why the winner won.
    """

    ref: ArtifactRef
    skipped: bool
    config: ExtractConfig
    record: AlignmentRecord


def align(
    images: ArtifactRef, extract: ExtractConfig, config: AlignConfig, lake: Lake, progress: Progress = silent
) -> AlignOutcome:
    """Chooses how the views of a dataset are aligned, or finds that the choice was made before.

    Settings of `extract.alignment`, and the backbone's layers and rings, are kept where they were given and chosen where they
    were left at their defaults. With too few images to choose by, `extract` comes back as it is, and the record says so.

    Args:
        images: the dataset (its name counts); only images in the subset `train` are looked at.
        extract: the frozen model, and the settings that are given.
        config: which candidates are tried, on how many images, at which cost.
        lake: where everything is.
        progress: told how many model inputs were used of those allowed, and how the last candidate did.

    Raises:
        ConfigError: the dataset has several query views and the settings do not say which.
        ConfigError, ModelError: the model cannot be loaded.
        LakeError: the dataset has not been ingested, or a record is damaged.
    """
    rows = _training_rows(lake, images.name)
    view, pictures = _sampled(rows, images.name, config)
    backbone = with_vocabulary(images, extract, lake, progress)
    rings = () if "rings" in backbone.model_fields_set else config.rings
    variants = load_variants(backbone, rings, config.more_layers, extract.device, extract.precision)
    inputs = _inputs(pictures, variants, extract, config, view)
    digest = digest_json(inputs)
    path = alignments_folder(lake, images.name) / f"{digest}.json"

    def say_waiting() -> None:
        progress(0, config.max_passes, "waiting for another process that chooses the same alignment")

    with exclusive(lake.lock(f"alignment-{digest}"), say_waiting):
        skipped = path.is_file()
        if skipped:
            record = read_alignment(path)
        else:
            working = lake.root / "cache" / "alignments" / digest
            with device_lock(extract, progress, config.max_passes):
                sample = Sample(pictures, variants, extract, working)
                record = _chosen(sample, extract, config, view, images.name, inputs, rows, progress)
            write_versioned(path, "alignment", record.model_dump(mode="json"))
            shutil.rmtree(working, ignore_errors=True)  # only of use until the choice is made
    return AlignOutcome(
        ref=ArtifactRef("alignment", path, digest, images.name),
        skipped=skipped,
        config=record.applied_to(extract),
        record=record,
    )


def _chosen(
    sample: Sample,
    extract: ExtractConfig,
    config: AlignConfig,
    view: View | None,
    dataset: str,
    inputs: dict[str, Any],
    rows: Mapping[str, Mapping[str, Any]],
    progress: Progress,
) -> AlignmentRecord:
    """Searches, and writes down what was found."""
    blank = AlignmentRecord(
        dataset=dataset,
        inputs=inputs,
        features=fingerprint(sample.variants.variants[0].identity, extract.alignment, extract.half_storage),
        query_view=view,
        pictures={str(sampled_view): len(rows) for sampled_view, rows in sample.pictures.items()},
        reason=_too_few({sampled_view: len(rows) for sampled_view, rows in sample.pictures.items()}),
    )
    if isinstance(sample.variants.base, ViewDependentEmbedder):
        reason = f"'{extract.backbone.name}' was released with its own way to look at each view: taken as given"
        return blank.model_copy(update={"reason": reason})
    if view is None or min(map(len, sample.pictures.values())) < MINIMUM:
        return blank
    _sweep_damaged(sample)

    def on_candidate(tried: TriedCandidate, used: int) -> None:
        progress(min(used, config.max_passes - 1), config.max_passes, f"{tried.in_words()}: {measure} {tried.agreement:.2f}")

    def courses(query_ids: Sequence[str], reference_ids: Sequence[str]) -> FrameSequences | None:
        return frame_sequences([rows[image_id] for image_id in query_ids], [rows[image_id] for image_id in reference_ids])

    ids = {sampled_view: [row.image_id for row in rows] for sampled_view, rows in sample.pictures.items()}
    along = courses(ids[view], ids[View.SATELLITE])
    measure = "agreement" if along is None or not along.usable else "course gain"

    search = Search(sample, view, config, frozenset(extract.alignment.model_fields_set), courses, on_candidate)
    chosen = search.run(extract.alignment)
    if chosen is None:
        reason = "too few of the sampled images can be described to choose an alignment by: taken as given"
        return blank.model_copy(update={"reason": reason, "left_out": tuple(search.left_out), "passes": sample.passes_used()})
    candidates = list(search.tried)
    winner = candidates[chosen]
    identity = sample.variants.variants[winner.variant].identity
    tried = tuple(search.tried.values())
    return blank.model_copy(
        update={
            "features": fingerprint(identity, winner.alignment, extract.half_storage),
            "candidates": tried,
            "chosen": chosen,
            "passes": sample.passes_used(),
            "left_out": tuple(search.left_out),
            "reason": _why(tried, chosen, sample, measure) + _missing_tiles(rows, sample, measure),
        }
    )


def _why(tried: tuple[TriedCandidate, ...], chosen: int, sample: Sample, measure: str) -> str:
    winner, unaligned = tried[chosen], tried[0]
    best = max(tried, key=lambda candidate: candidate.agreement)
    text = f"{winner.in_words()}: {measure} {winner.agreement:.2f}"
    text += f" against {unaligned.agreement:.2f} as given" if winner is not unaligned else ", as given"
    if best.agreement > winner.agreement:
        text += f"; the best ({best.in_words()}, {best.agreement:.2f}) is within chance of it and costs more"
    return f"{text} ({len(tried)} candidates, {sample.passes_used():,} model inputs, no labels)"


def _missing_tiles(rows: Mapping[str, Mapping[str, Any]], sample: Sample, measure: str) -> str:
    """A course over a map with holes in it is judged by the frames whose tiles happen to be there."""
    of_map = sum(row["view"] == View.SATELLITE for row in rows.values())
    looked_at = len(sample.pictures[View.SATELLITE])
    if measure == "agreement" or looked_at == of_map:
        return ""
    return f"; only {looked_at:,} of {of_map:,} tiles were looked at, so most frames' own may be missing: raise --align-samples"


def _too_few(counts: dict[View, int]) -> str:
    counted = " and ".join(f"{count} {view}" for view, count in counts.items()) or "no"
    return (
        f"{counted} training images are too few to choose an alignment by ({MINIMUM} of each view are needed): taken as given"
    )


def _training_rows(lake: Lake, dataset: str) -> dict[str, dict[str, Any]]:
    """Training images of the images table by their id."""
    rows = tables.read_images(lake, dataset).to_pylist()
    return {row["image_id"]: row for row in rows if Subset.TRAIN in row["subsets"]}


def _sampled(
    rows: Mapping[str, Mapping[str, Any]], dataset: str, config: AlignConfig
) -> tuple[View | None, dict[View, tuple[Row, ...]]]:
    """The query view, and training images of both views; which, follows from their ids and the seed alone."""
    by_view: dict[View, list[Mapping[str, Any]]] = {}
    for row in rows.values():
        by_view.setdefault(View(row["view"]), []).append(row)
    view = _query_view([candidate for candidate in by_view if not candidate.is_reference], config.query_view, dataset)
    if view is None:
        return None, {View.SATELLITE: _drawn(by_view.get(View.SATELLITE, []), config)}
    queries, references = by_view.get(view, []), by_view.get(View.SATELLITE, [])
    courses = frame_sequences(queries, references)
    if courses is not None and courses.usable:
        return view, {
            view: _drawn_in_a_row(queries, courses, config),
            View.SATELLITE: _drawn(references, config, _tiles(config)),
        }
    return view, {view: _drawn(queries, config), View.SATELLITE: _drawn(references, config)}


def _query_view(views: Iterable[View], wanted: View | None, dataset: str) -> View | None:
    names = sorted(views)
    if wanted is not None:
        return wanted if wanted in names else None
    if len(names) > 1:
        raise ConfigError(
            f"the dataset '{dataset}' has several query views: {', '.join(names)}",
            where="AlignConfig.query_view",
            fix="say which of them is to be aligned with the tiles",
        )
    return names[0] if names else None


def _drawn(rows: Iterable[Mapping[str, Any]], config: AlignConfig, count: int | None = None) -> tuple[Row, ...]:
    """A seeded draw that an image's arrival or departure changes by one image at most; sorted by id.

    Args:
        rows: of the images table.
        config: how many, and the seed.
        count: how many instead.
    """
    if count is None:
        count = min(config.samples, _affordable(config))
    ordered = sorted(rows, key=lambda row: _shuffled(row["image_id"], config))
    return _as_rows(ordered[:count])


def _drawn_in_a_row(rows: Sequence[Mapping[str, Any]], courses: FrameSequences, config: AlignConfig) -> tuple[Row, ...]:
    """Whole runs, in a seeded order, until there are enough: what follows what is what they are judged by. Sorted by id."""
    count = min(config.samples, _affordable(config))
    runs = sorted(courses.rows, key=lambda run: _shuffled(rows[run[0]]["image_id"], config))
    return _as_rows([rows[row] for run in runs for row in run][:count])


def _shuffled(image_id: str, config: AlignConfig) -> bytes:
    return hashlib.sha256(f"{config.seed}:{image_id}".encode()).digest()


def _as_rows(rows: Iterable[Mapping[str, Any]]) -> tuple[Row, ...]:
    chosen = sorted(rows, key=lambda row: str(row["image_id"]))
    return tuple(Row(**{name: row[name] for name in Row.COLUMNS}) for row in chosen)


def _tiles(config: AlignConfig) -> int:
    """Tiles that a flight is judged over: what half of the budget covers at every turn.

    A sequence over a map with holes says little of the descriptors.
    """
    return max(2 * min(config.samples, _affordable(config)), config.max_passes // 2 // max(config.rotations))


def _affordable(config: AlignConfig) -> int:
    """Images of each view for which the budget covers the first step: every scale, and every turn of the tiles."""
    return max(1, config.max_passes // (len(config.query_crops) + max(config.rotations) + 1))


def _inputs(
    images: dict[View, tuple[Row, ...]], variants: Variants, extract: ExtractConfig, config: AlignConfig, view: View | None
) -> dict[str, Any]:
    """Everything that the choice depends on."""
    return {
        "search": SEARCH_VERSION,
        "score": agreement.IMPLEMENTATION,
        "pictures": {str(sampled_view): digest_lines(row.image_id for row in rows) for sampled_view, rows in images.items()},
        "query_view": view,
        "model": dict(variants.identity),
        "descriptors": fingerprint(variants.variants[0].identity, AlignmentConfig(), extract.half_storage),
        "alignment": extract.alignment.model_dump(mode="json"),
        "given": sorted(extract.alignment.model_fields_set),
        "candidates": config.model_dump(mode="json", exclude={"enabled", "query_view"}),
    }


def _sweep_damaged(sample: Sample) -> None:
    """What a killed process left of the sample's descriptors is used where it is whole."""
    from cvgl.features import FeatureStore
    from cvgl.lake import sweep

    if sample.folder.is_dir():
        sweep(sample.folder)
        for folder in sorted(path for path in sample.folder.iterdir() if path.is_dir()):
            FeatureStore(folder).remove_damaged()
