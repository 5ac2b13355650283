"""What is known about where images were taken. Read by evaluation and reporting; by nothing that learns or answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from cvgl import schemas
from cvgl.config import Layout
from cvgl.geo import Position, same_crs
from cvgl.ingestion.merging import SourceImage
from cvgl.ingestion.tables import add_batch, newest_by
from cvgl.lake import Lake, parquet_files


def read_ground_truth(lake: Lake, dataset: str) -> pa.Table:
    """One row for each image of which anything is known, sorted by image_id (schema `cvgl.schemas.GROUND_TRUTH`).

    Empty where nothing is known: a dataset without labels is the usual case.
    """
    rows = [row for row in newest_truth(lake, dataset).values() if _says_something(row)]
    return pa.Table.from_pylist(sorted(rows, key=lambda row: str(row["image_id"])), schema=schemas.GROUND_TRUTH)


def newest_truth(lake: Lake, dataset: str) -> dict[str, Mapping[str, Any]]:
    """The newest row of each image, those that take back what an older one said included."""
    return newest_by(parquet_files(lake.ground_truth(dataset)), "image_id", "ground_truth")


def truth_rows(images: Iterable[SourceImage], current: Mapping[str, Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """New and changed rows for images, sorted by image_id. The position of a reference is no secret and not here."""
    rows: list[Mapping[str, Any]] = []
    for image in sorted(images, key=lambda image: image.image_id):
        position = Position() if image.view.is_reference or image.position is None else image.position
        row = {"image_id": image.image_id, "location_id": image.location_id, **position.model_dump()}
        current_row = current.get(image.image_id)
        if _says_something(row) if current_row is None else says_else(row, current_row):
            rows.append(row)
    return rows


def says_else(row: Mapping[str, Any], current_row: Mapping[str, Any]) -> bool:
    """Whether a row says something else than the one that is there; a CRS under another name is none."""
    differing = [name for name, value in row.items() if current_row[name] != value]
    if differing == ["crs"] and row["crs"] is not None and current_row["crs"] is not None:
        return not same_crs(row["crs"], current_row["crs"])
    return bool(differing)


def add_truth(lake: Lake, dataset: str, rows: Sequence[Mapping[str, Any]], layout: Layout, source: str) -> bool:
    """Writes rows as one more batch; returns whether there were any."""
    return add_batch(lake.ground_truth(dataset), rows, schemas.GROUND_TRUTH, layout, source) is not None


def _says_something(row: Mapping[str, Any]) -> bool:
    return any(value is not None for name, value in row.items() if name != "image_id")
