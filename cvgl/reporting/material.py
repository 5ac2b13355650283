"""What a report is made of: the tables and records of the lake that belong to one run.

Ground truth is read here, for showing right answers: nothing on the training or inference path imports this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from cvgl.adaptation.record import AdapterRecord
from cvgl.errors import LakeError
from cvgl.hashing import digest_json, sha256_file
from cvgl.ingestion.ground_truth import read_ground_truth
from cvgl.ingestion.tables import read_images, read_quarantine
from cvgl.lake import Lake, parquet_files, read_parquet, read_versioned
from cvgl.quality.report import QualityReport
from cvgl.quality.selection import Selection
from cvgl.stages.adapt import SELECTION_FILE, read_selection
from cvgl.stages.alignment.record import AlignmentRecord, alignment_of
from cvgl.stages.quality import quality_path, read_quality
from cvgl.summary import MetricSummary, read_summaries
from cvgl.types import View


@dataclass(frozen=True, slots=True)
class Material:
    """Everything that a report is made of.

    Attributes:
        lake: where it comes from.
        run: the adapter's name.
        dataset: what it was measured on.
        record: adapter.json.
        model: model.json of the frozen model; empty when it has gone.
        summaries: the figures; empty without ground truth.
        queries: rows of `cvgl.schemas.QUERIES`.
        images: rows of `cvgl.schemas.IMAGES`.
        quarantine: rows of `cvgl.schemas.QUARANTINE`.
        source: the settings that the dataset was ingested with, as far as they are known.
        places: view -> location_id -> an image that shows it.
        registration: what the gate said of the run; empty before it was asked.
        alignment: how the views were aligned, and what else was tried; none where that was not chosen.
        quality: what is said of the run without labels; none where it was not judged.
        selection: why its recipe was chosen; none where that was given.
    """

    lake: Lake
    run: str
    dataset: str
    record: AdapterRecord
    model: Mapping[str, Any]
    summaries: list[MetricSummary]
    queries: pa.Table
    images: pa.Table
    quarantine: pa.Table
    source: Mapping[str, Any]
    places: Mapping[str, Mapping[str, str]]
    registration: Mapping[str, Any]
    alignment: AlignmentRecord | None
    quality: QualityReport | None
    selection: Selection | None

    def files(self) -> dict[str, Path]:
        """Image id -> file."""
        return {
            image: Path(uri)
            for image, uri in zip(self.images["image_id"].to_pylist(), self.images["uri"].to_pylist(), strict=True)
        }


def gather(run: str, lake: Lake) -> Material:
    """Reads everything that a report of this run is made of.

    Raises:
        LakeError: the evaluation, the adapter's record or the images are missing or damaged.
    """
    from cvgl.adaptation.transforms import read_record

    record = read_record(lake.adapter(run))
    if record.dataset is None or record.feature_set_id is None or record.query_view is None:
        raise LakeError(
            "this adapter does not say which data set and features it was made from",
            where=lake.adapter(run),
            fix="adapt through the lake (cvgl adapt)",
        )
    images = read_images(lake, record.dataset)
    queries = read_parquet(lake.evaluation(run) / "queries.parquet", kind="queries")
    return Material(
        lake=lake,
        run=run,
        dataset=record.dataset,
        record=record,
        model=_optional(lake.features(record.feature_set_id, record.dataset).parent / "model.json", "model"),
        summaries=read_summaries(lake.evaluation(run)),
        queries=queries,
        images=images,
        quarantine=_left_out(lake, record.dataset, record.feature_set_id),
        source=_optional(lake.source(record.dataset), "source"),
        places=_places(images, read_ground_truth(lake, record.dataset), queries),
        registration=_optional(lake.registration(run), "registration"),
        alignment=alignment_of(lake, record.dataset, record.feature_set_id),
        quality=read_quality(lake, run).report if quality_path(lake, run).is_file() else None,
        selection=read_selection(lake.adapter(run)) if (lake.adapter(run) / SELECTION_FILE).is_file() else None,
    )


def inputs_digest(material: Material, links: Mapping[str, str], version: str) -> str:
    """Hash over everything that changes a byte of the report, except the images themselves (they are named by content)."""
    evaluation = material.lake.evaluation(material.run)
    return digest_json(
        {
            "version": version,
            "links": dict(links),
            "evaluation": [sha256_file(evaluation / name) for name in ("metrics.parquet", "queries.parquet")],
            "adapter": material.record.model_dump(mode="json"),
            "model": material.model,
            "source": material.source,
            "registration": material.registration,
            "quality": None if material.quality is None else material.quality.model_dump(mode="json"),
            "selection": None if material.selection is None else material.selection.model_dump(mode="json"),
            "alignment": None if material.alignment is None else material.alignment.model_dump(mode="json"),
            "images": [path.name for path in parquet_files(material.lake.images(material.dataset))],
            "quarantine": material.quarantine.to_pylist(),
            "truth": [path.name for path in parquet_files(material.lake.ground_truth(material.dataset))],
        }
    )


def _left_out(lake: Lake, dataset: str, features: str) -> pa.Table:
    """What ingestion refused, and what the frozen model could not describe."""
    failures = lake.quarantine(dataset) / "extract" / f"{features}.parquet"
    tables = [read_quarantine(lake, dataset), *([read_parquet(failures, kind="quarantine")] if failures.is_file() else [])]
    return pa.concat_tables([table.replace_schema_metadata(None) for table in tables])


def _places(images: pa.Table, truth: pa.Table, queries: pa.Table) -> dict[str, dict[str, str]]:
    """For each view, an image of every place: from the ground truth, and from what the evaluation worked out by position."""
    views = dict(zip(images["image_id"].to_pylist(), images["view"].to_pylist(), strict=True))
    places: dict[str, dict[str, str]] = {str(view): {} for view in View}
    for table in (truth, queries):
        for image, location in zip(table["image_id"].to_pylist(), table["location_id"].to_pylist(), strict=True):
            if location is not None and image in views:
                places[views[image]].setdefault(location, image)
    for image, view in views.items():
        places[view].setdefault(image, image)  # a place without a label of its own is called by its satellite image
    return places


def _optional(path: Path, kind: str) -> Mapping[str, Any]:
    """A record that a report can do without; a damaged one is an error all the same."""
    return read_versioned(path, kind) if path.is_file() else {}
