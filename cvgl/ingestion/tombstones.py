"""Images that have left a dataset although their rows are still in its batches: deleted and replaced references.

    tombstones/dataset=<name>/<batch of the arrival>.parquet

A tombstone hides an image's rows up to a batch of the images table. Rows that come later show it again, so that a file that
is put back is simply there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from cvgl import schemas
from cvgl.lake import Lake, parquet_files, read_parquet, sweep, write_parquet


def tombstones_folder(lake: Lake, dataset: str) -> Path:
    """The folder with the tombstones of a dataset."""
    return lake.tombstones(dataset)


def tombstones_file(lake: Lake, dataset: str, arrival: str) -> Path:
    """The tombstones that one batch of arrivals has set."""
    return tombstones_folder(lake, dataset) / f"{arrival}.parquet"


def set_tombstones(lake: Lake, dataset: str, arrival: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes the tombstones of one batch of arrivals; no rows, no file.

    Args:
        lake: that holds the dataset.
        dataset: its name.
        arrival: name of the batch.
        rows: in the order of their ids, without the column `arrival`.
    """
    sweep(tombstones_folder(lake, dataset))
    if rows:
        table = pa.Table.from_pylist([{**row, "arrival": arrival} for row in rows], schema=schemas.TOMBSTONES)
        write_parquet(tombstones_file(lake, dataset, arrival), table, kind="tombstones")


def read_tombstones(lake: Lake, dataset: str) -> pa.Table:
    """All tombstones of a dataset, oldest first (schema `cvgl.schemas.TOMBSTONES`)."""
    tables = [read_parquet(path, kind="tombstones") for path in parquet_files(tombstones_folder(lake, dataset))]
    return pa.concat_tables([schemas.TOMBSTONES.empty_table(), *(table.replace_schema_metadata(None) for table in tables)])


def without_hidden(lake: Lake, dataset: str, images: pa.Table, through: str | None = None) -> pa.Table:
    """Rows of the images table that no tombstone hides.

    Args:
        lake: that holds the dataset.
        dataset: its name.
        images: rows of the images table.
        through: tombstones that were set when there were later batches do not count; default: all do.
    """
    stones = read_tombstones(lake, dataset)
    if through is not None:
        stones = stones.filter(pa.array([last_batch <= through for last_batch in stones["through"].to_pylist()], pa.bool_()))
    if not stones.num_rows:
        return images
    hidden: dict[str, str] = {}
    for image_id, through in zip(stones["image_id"].to_pylist(), stones["through"].to_pylist(), strict=True):
        hidden[image_id] = max(through, hidden.get(image_id, ""))
    rows = zip(images["image_id"].to_pylist(), images["batch"].to_pylist(), strict=True)
    return images.filter(pa.array([batch > hidden.get(image_id, "") for image_id, batch in rows], pa.bool_()))
