"""The tables of images and of refusals: batches of rows in which the newest word about an image counts.

An ingestion adds at most one batch to a table, with nothing but new and changed rows, under the name
`<number>-<hash of its rows>.parquet`. Batches are never changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from cvgl import schemas
from cvgl.config import Layout
from cvgl.errors import LakeError
from cvgl.hashing import digest_json
from cvgl.ingestion.entries import Reason
from cvgl.ingestion.tombstones import without_hidden
from cvgl.lake import Lake, parquet_files, read_parquet, read_schema, write_parquet
from cvgl.types import ArtifactRef

_LAYOUT, _SOURCE = "layout", "source"


def read_images(lake: Lake, dataset: str, through: str | None = None) -> pa.Table:
    """All images of a dataset: one row for each image_id, sorted by it (schema `cvgl.schemas.IMAGES`).

    Where two batches name the same image, or the same file with another content, the newer row counts. Images under a
    tombstone are not there.

    Args:
        lake: that holds the dataset.
        dataset: its name.
        through: name of the last batch that counts, for the dataset as it was then; default: all.

    Raises:
        LakeError: nothing has been ingested under this name, or a batch is damaged.
    """
    tables = [read_parquet(path, kind="images") for path in _batches(lake, dataset) if through is None or path.stem <= through]
    table = pa.concat_tables([table.replace_schema_metadata(None) for table in tables])
    newest_first = table.take(list(range(table.num_rows - 1, -1, -1)))
    ids, uris = newest_first["image_id"].to_pylist(), newest_first["uri"].to_pylist()
    image_ids: set[str] = set()
    newest_rows: list[int] = []
    for row, (image_id, uri) in enumerate(zip(ids, uris, strict=True)):
        # A uri that a newer row gives to another image no longer holds this one. Ids never contain a slash.
        if image_id not in image_ids and uri not in image_ids:
            newest_rows.append(row)
        image_ids.update((image_id, uri))
    return without_hidden(lake, dataset, newest_first.take(newest_rows).sort_by("image_id").combine_chunks(), through)


def image_batches(lake: Lake, dataset: str) -> list[str]:
    """Names of a dataset's batches of images, oldest first; empty when nothing has been ingested."""
    return [path.stem for path in parquet_files(lake.images(dataset))]


def images_ref(lake: Lake, dataset: str) -> ArtifactRef:
    """Points at the images of a dataset. The digest covers what is said about them, not where the files lie.

    Raises:
        LakeError: see `read_images`.
    """
    table = read_images(lake, dataset)
    return ArtifactRef("images", lake.images(dataset), _digest(table.drop_columns(["uri", "batch"]).to_pylist()), dataset)


def layout_of(lake: Lake, dataset: str) -> Layout:
    """How the newest batch of a dataset was laid out.

    Raises:
        LakeError: nothing has been ingested under this name.
    """
    return Layout(_metadata(_batches(lake, dataset)[-1])[_LAYOUT])


def read_quarantine(lake: Lake, dataset: str) -> pa.Table:
    """What is refused at present, sorted by uri (schema `cvgl.schemas.QUARANTINE`); without what was mended since."""
    rows = newest_by(parquet_files(lake.quarantine(dataset)), "uri", "quarantine").values()
    present = sorted((row for row in rows if row["reason"] != Reason.RESOLVED), key=lambda row: str(row["uri"]))
    return pa.Table.from_pylist(present, schema=schemas.QUARANTINE)


def quarantine_of_source(lake: Lake, dataset: str, source: str) -> dict[str, Mapping[str, Any]]:
    """The newest word about each uri that this source has ever had refused, tombstones included."""
    return newest_by(
        [path for path in parquet_files(lake.quarantine(dataset)) if _metadata(path)[_SOURCE] == source], "uri", "quarantine"
    )


def newest_by(paths: Iterable[Path], key: str, kind: str) -> dict[str, Mapping[str, Any]]:
    """Rows of batches of one kind by a column, the newest of each."""
    return {str(row[key]): row for path in paths for row in read_parquet(path, kind=kind).to_pylist()}


def add_batch(folder: Path, rows: Sequence[Mapping[str, Any]], schema: pa.Schema, layout: Layout, source: str) -> Path | None:
    """Writes rows as one more batch; no rows, no batch.

    Args:
        folder: of the table.
        rows: in the order in which they are to be written, without the column `batch`, which is filled in.
        schema: one of those of `cvgl.schemas`.
        layout: of the source.
        source: what the rows came from; with the layout it goes into the file's metadata.
    """
    if not rows:
        return None
    number = 1 + max((int(path.name.partition("-")[0]) for path in parquet_files(folder)), default=0)
    name = f"{number:04d}-{_digest(rows)}"
    if "batch" in schema.names:
        rows = [{**row, "batch": name} for row in rows]
    path = folder / f"{name}.parquet"
    metadata = {_LAYOUT: str(layout), _SOURCE: source}
    write_parquet(path, pa.Table.from_pylist(list(rows), schema=schema), metadata, kind=_kind_of(schema))
    return path


def _kind_of(schema: pa.Schema) -> str:
    kinds = ((schemas.IMAGES, "images"), (schemas.GROUND_TRUTH, "ground_truth"), (schemas.QUARANTINE, "quarantine"))
    return next(kind for declared, kind in kinds if schema is declared)


def _digest(rows: Sequence[Mapping[str, Any]]) -> str:
    return digest_json([{name: _plain(value) for name, value in row.items()} for row in rows])


def _plain(value: Any) -> Any:
    return value.isoformat(timespec="microseconds") if isinstance(value, datetime) else value


def _batches(lake: Lake, dataset: str) -> list[Path]:
    paths = parquet_files(lake.images(dataset))
    if not paths:
        names = ", ".join(lake.datasets()) or "none"
        raise LakeError(
            f"the lake holds no dataset '{dataset}'; it holds: {names}",
            where=lake.images(dataset),
            fix=f"cvgl ingest SOURCE --dataset {dataset}",
        )
    return paths


def _metadata(path: Path) -> dict[str, str]:
    raw = read_schema(path).metadata or {}
    metadata = {key.decode(): value.decode() for key, value in raw.items() if key in (_LAYOUT.encode(), _SOURCE.encode())}
    if len(metadata) != 2:
        raise LakeError("a batch does not say where it came from", where=path, fix="restore it from a backup")
    return metadata
