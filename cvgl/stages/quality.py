"""Stage `judge`: an adapter and unlabelled images in, a quality report out.

It reads the images table and features, and no label: the ground truth is a table that this module does not import. What an
adapter is judged on are the images to be asked and ranked, where there are such, and else its training images, which it is
learned anew for, on one half of the queries, to be judged on the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field, ValidationError

from cvgl.adaptation.halves import halves
from cvgl.config import Settings
from cvgl.errors import LakeError
from cvgl.features import FeatureStore
from cvgl.hashing import digest_json, digest_lines
from cvgl.ingestion import tables
from cvgl.lake import Lake, read_versioned, write_versioned
from cvgl.quality.report import FEWEST, Pictures, QualityReport
from cvgl.quality.report import judge as judge_images
from cvgl.stages.sequences import frame_sequences, positions_m
from cvgl.types import ArtifactRef, Progress, Subset, View, silent

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cvgl.adaptation import Adaptation
    from cvgl.adaptation.standardise import DescriptorTransform

JUDGE_VERSION = "2"
"""Raised whenever the same rows and descriptors would give another report."""


class QualityRecord(Settings):
    """The content of a quality record: the report, and what it was made from."""

    run: str
    dataset: str
    query_view: View
    inputs: str = Field(description="hash over everything that changes a figure")
    report: QualityReport


@dataclass(frozen=True, slots=True)
class JudgeOutcome:
    """What the stage has done.

    Attributes:
        ref: the record.
        skipped: it was there already, made from the same inputs.
        record: what it says.
    """

    ref: ArtifactRef
    skipped: bool
    record: QualityRecord


def quality_path(lake: Lake, run: str) -> Path:
    """Where the quality record of a run is kept."""
    return lake.quality(run)


def judge(adapter: ArtifactRef, lake: Lake, progress: Progress = silent) -> JudgeOutcome:
    """Judges an adapter without labels, or finds that it has been judged.

    Args:
        adapter: a finished run of this lake.
        lake: where everything is.
        progress: told when it begins and ends.

    Raises:
        LakeError: something in the lake is missing or damaged, or the adapter comes from no data set of it.
        DataError: descriptors that are not numbers.
    """
    from cvgl.adaptation import Adaptation, read_record

    record = read_record(adapter.path)
    if record.dataset is None or record.feature_set_id is None or record.query_view is None:
        raise LakeError(
            "this adapter does not say which data set and features it was made from",
            where=adapter.path,
            fix="adapt through the lake (cvgl adapt)",
        )
    store = FeatureStore(lake.features(record.feature_set_id, record.dataset))
    rows = _rows(lake, record.dataset, record.query_view, store.ids())
    inputs = digest_json([JUDGE_VERSION, record.tensors_sha256, record.feature_set_id, rows.seen, digest_lines(rows.lines())])
    path = quality_path(lake, adapter.name)
    ref = ArtifactRef(kind="quality", path=path, digest=inputs, name=adapter.name)
    if path.is_file() and (stored := read_quality(lake, adapter.name)).inputs == inputs:
        return JudgeOutcome(ref, skipped=True, record=stored)
    progress(0, 1, f"judging by {len(rows.queries)} queries and {len(rows.references)} references")
    adaptation, images = Adaptation.load(adapter.path), rows.images(store)
    report = judge_images(*(_held_out(adaptation, images) if rows.seen else (adaptation, images)))
    made = QualityRecord(run=adapter.name, dataset=record.dataset, query_view=record.query_view, inputs=inputs, report=report)
    write_versioned(path, "quality", made.model_dump(mode="json"))
    progress(1, 1, report.verdict)
    return JudgeOutcome(ref, skipped=False, record=made)


def read_quality(lake: Lake, run: str) -> QualityRecord:
    """The quality record of a run.

    Raises:
        LakeError: there is none, or it is damaged.
    """
    path = quality_path(lake, run)
    try:
        return QualityRecord.model_validate(read_versioned(path, "quality"))
    except ValidationError as error:
        first = error.errors()[0]
        raise LakeError(
            f"a quality record is not valid: {first['msg']}",
            where=path,
            fix="restore it from a backup, or move it away and run again",
        ) from error


def _held_out(adaptation: Adaptation, images: Pictures) -> tuple[DescriptorTransform, Pictures]:
    """The same recipe, learned from one half of the queries, and the other half: nothing is judged by what it has learned."""
    from cvgl.adaptation import learn

    config, along = adaptation.record.config, images.sequences
    learned_on, held_out = halves(len(images.queries), along, np.random.default_rng(config.seed))
    if min(len(learned_on.rows), len(held_out.rows)) < FEWEST:
        return adaptation, images  # too few to judge by, which the report says
    learned = learn(images.queries[learned_on.rows], images.references, config=config, sequences=learned_on.sequences)
    return learned, replace(images, queries=images.queries[held_out.rows], sequences=held_out.sequences)


@dataclass(frozen=True, slots=True)
class _Rows:
    """The images of both views, sorted by image_id.

    Attributes:
        queries, references: rows of the images table.
        seen: they are what the adapter has learned from.
    """

    queries: Sequence[Mapping[str, Any]]
    references: Sequence[Mapping[str, Any]]
    seen: bool

    def lines(self) -> list[str]:
        """Everything about the images that a figure depends on."""
        columns = ("image_id", "sequence", "captured_at", "latitude", "longitude", "x", "y", "crs")
        return [
            digest_json([str(image.get(name)) for name in columns])
            for side in (self.queries, self.references)
            for image in side
        ]

    def images(self, store: FeatureStore) -> Pictures:
        return Pictures(
            queries=store.read([image["image_id"] for image in self.queries]),
            references=store.read([image["image_id"] for image in self.references]),
            positions=_positions(self.references),
            sequences=frame_sequences(self.queries, self.references),
            seen=self.seen,
        )


def _positions(references: Sequence[Mapping[str, Any]]) -> NDArray[Any] | None:
    return positions_m(references) if references else None


def _rows(lake: Lake, dataset: str, view: View, embedded: Sequence[str]) -> _Rows:
    """The images that are asked about and those that are ranked; training images where one of them is missing."""
    available = set(embedded)
    images = sorted(
        (image for image in tables.read_images(lake, dataset).to_pylist() if image["image_id"] in available),
        key=itemgetter("image_id"),
    )

    def side(wanted: View, subset: Subset) -> list[Mapping[str, Any]]:
        return [image for image in images if image["view"] == wanted and subset in image["subsets"]]

    query_rows, ranked = side(view, Subset.QUERY), side(View.SATELLITE, Subset.GALLERY)
    if query_rows and ranked:
        learned = {image["image_id"] for image in side(view, Subset.TRAIN)}
        return _Rows(query_rows, ranked, seen=all(image["image_id"] in learned for image in query_rows))
    return _Rows(side(view, Subset.TRAIN), side(View.SATELLITE, Subset.TRAIN), seen=True)
