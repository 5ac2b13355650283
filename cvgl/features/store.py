"""The Parquet feature store: one folder for one model on one dataset, in parts that are never changed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from cvgl import schemas
from cvgl.errors import DamagedError, LakeError
from cvgl.hashing import SHORT
from cvgl.lake import parquet_files, read_parquet, read_schema, set_aside, write_parquet
from cvgl.lake.formats import PARQUET_FORMAT

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from cvgl.types import Float32Array

    Stored: TypeAlias = NDArray[Any]  # float16 or float32 (n, d0)


@dataclass(frozen=True, slots=True)
class FeatureStore:
    """Reads and adds parts. Making one touches nothing on disk.

    A part's name is the hash of its ids and descriptors, so a part that bears its name is whole.
    """

    folder: Path

    def parts(self) -> list[Path]:
        """Files of the store, sorted by name."""
        return parquet_files(self.folder)

    def ids(self) -> list[str]:
        """Ids of all images that have a descriptor, sorted, each once.

        Raises:
            LakeError: a part is damaged.
        """
        return sorted(self.index())

    def read(self, image_ids: Sequence[str]) -> Float32Array:
        """Descriptors in a given order.

        Returns:
            float32 (n, d0), unit rows (float16 storage is scaled back to unit length).

        Raises:
            LakeError: images without a descriptor (they are listed), or a damaged part.
        """
        index = self.index()
        self.require(image_ids, index)
        rows = gather(image_ids, index, read_part)
        return rows if rows is not None else np.zeros((0, self.dimension()), dtype=np.float32)

    def require(self, image_ids: Sequence[str], index: Container[str]) -> None:
        """Raises a LakeError that lists the images without a descriptor, if there are any.

        Args:
            image_ids: required ids.
            index: existing ids, of `index`.
        """
        missing = [image_id for image_id in image_ids if image_id not in index]
        if missing:
            examples = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
            raise LakeError(
                f"{len(missing)} of {len(image_ids)} images have no descriptor ({examples})",
                where=self.folder,
                fix="run `cvgl extract` for this dataset with the same settings",
            )

    def dimension(self) -> int:
        """d0; 0 for an empty store."""
        parts = self.parts()
        return int(read_schema(parts[0]).field("descriptor").type.list_size) if parts else 0

    def metadata(self) -> dict[str, str]:
        """Metadata in the schema of each part: backbone, weights_sha256, facet, layer, ...; empty for an empty store."""
        parts = self.parts()
        written = (read_schema(parts[0]).metadata or {}) if parts else {}
        return {key.decode(): value.decode() for key, value in written.items() if key != PARQUET_FORMAT}

    def add(self, image_ids: Sequence[str], rows: Float32Array, metadata: Mapping[str, str], *, half: bool = False) -> Path:
        """Writes one part.

        Args:
            image_ids: sorted.
            rows: float32 (n, d0).
            metadata: goes into the schema.
            half: store float16.
        """
        import pyarrow as pa

        stored = np.ascontiguousarray(rows, dtype=np.float16 if half else np.float32)
        column = pa.FixedSizeListArray.from_arrays(pa.array(stored.ravel()), rows.shape[1])
        table = pa.table([pa.array(image_ids, pa.string()), column], schema=schemas.features(rows.shape[1], half=half))
        path = self.folder / f"part-{_content_hash(image_ids, stored)}.parquet"
        write_parquet(path, table, metadata, kind="features")
        return path

    def remove_damaged(self, check: Callable[[Collection[Path], Collection[str]], None] | None = None) -> list[Path]:
        """Sets aside parts whose content does not match the hash in their name; their images then count as missing.

        Args:
            check: is given those parts, and the ids in the sound ones, before anything is moved; it raises where the
                images cannot be embedded again.

        Returns:
            The paths that the parts had; they now end in `.damaged-` and a number.

        Raises:
            UnreadableError: a part cannot be read at present, so its content is unknown; nothing was moved.
        """
        damaged = self.damaged()
        if damaged and check is not None:
            check(damaged, self.index(without=damaged).keys())
        for path in damaged:
            set_aside(path)
        return damaged

    def damaged(self) -> list[Path]:
        """Parts whose content does not match the hash in their name.

        Raises:
            UnreadableError: a part cannot be read at present.
        """
        return [path for path in self.parts() if not _is_whole(path)]

    def index(self, without: Container[Path] = ()) -> dict[str, tuple[Path, int]]:
        """Id -> part and row. Where an id is in two parts, the last part by name counts; both are valid.

        Args:
            without: parts to skip.
        """
        index: dict[str, tuple[Path, int]] = {}
        for part in self.parts():
            if part in without:
                continue
            for row, image_id in enumerate(read_parquet(part, ["image_id"], kind="features").column("image_id").to_pylist()):
                index[image_id] = (part, row)
        return index


def gather(
    image_ids: Sequence[str], index: Mapping[str, tuple[Path, int]], read: Callable[[Path], Float32Array]
) -> Float32Array | None:
    """Descriptors in a given order, read part by part; None for no ids.

    Args:
        image_ids: all in the index.
        index: id -> part and row.
        read: a part -> its descriptors.
    """
    rows_of_part: dict[Path, list[tuple[int, int]]] = {}
    for position, image_id in enumerate(image_ids):
        part, row = index[image_id]
        rows_of_part.setdefault(part, []).append((position, row))
    gathered: Float32Array | None = None
    for part, positions_and_rows in rows_of_part.items():
        part_rows = read(part)
        if gathered is None:
            gathered = np.empty((len(image_ids), part_rows.shape[1]), dtype=np.float32)
        positions, sources = np.asarray(positions_and_rows).T
        gathered[positions] = part_rows[sources]
    return gathered


def read_part(path: Path) -> Float32Array:
    """All descriptors of a part; see `descriptors`."""
    return descriptors(read_parquet(path, ["descriptor"], kind="features"), path)


def descriptors(table: pa.Table, path: Path) -> Float32Array:
    """The descriptor column as float32 (n, d0), unit rows.

    Raises:
        LakeError: the column is not a list of fixed size.
    """
    stored = _stored(table, path)
    rows: Float32Array = stored.astype(np.float32)
    if stored.dtype == np.float32:
        return rows
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return rows


def _stored(table: pa.Table, path: Path) -> Stored:
    import pyarrow as pa

    column = table.column("descriptor")
    if not pa.types.is_fixed_size_list(column.type):
        raise LakeError(
            f"descriptors are stored as {column.type}",
            where=path,
            fix="restore the file from a backup, or move it away and extract again",
        )
    values = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    rows: Stored = values.reshape(len(column), column.type.list_size)
    return rows


def _content_hash(image_ids: Sequence[str], stored: Stored) -> str:
    digest = hashlib.sha256("\n".join(image_ids).encode())
    digest.update(f"\n{stored.dtype} {stored.shape}\n".encode())
    digest.update(np.ascontiguousarray(stored).data)
    return digest.hexdigest()[:SHORT]


def _is_whole(path: Path) -> bool:
    try:
        table = read_parquet(path, ["image_id", "descriptor"], kind="features")
    except DamagedError:
        return False
    try:
        ids = table.column("image_id").to_pylist()
        return path.stem == f"part-{_content_hash(ids, _stored(table, path))}"
    except (LakeError, KeyError, ValueError, TypeError):  # columns of another kind than a part has
        return False
