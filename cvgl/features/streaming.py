"""Reading descriptors larger than memory: in blocks, in a given order, repeatedly."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cvgl.errors import DataError
from cvgl.features.store import FeatureStore, gather, read_part

if TYPE_CHECKING:
    from cvgl.types import Float32Array

BLOCK_ROWS = 4096
CACHE_BYTES = 2**28  # parts kept in memory: all of a small store; of a large one those that neighbouring blocks share


class FeatureReader:
    """Reads one store. Its index is read once, so parts added later are not visible."""

    def __init__(self, store: FeatureStore, cache_bytes: int = CACHE_BYTES) -> None:
        """Reads the ids of all parts.

        Args:
            store: the feature store.
            cache_bytes: memory for cached parts.

        Raises:
            LakeError: a part is damaged.
        """
        self._store, self._room = store, cache_bytes
        self._index = store.index()
        self._parts: OrderedDict[Path, Float32Array] = OrderedDict()

    @property
    def folder(self) -> Path:
        """Folder of the store."""
        return self._store.folder

    def stream(self, image_ids: Sequence[str], transform: Callable[[Any], Float32Array] | None = None) -> StoredDescriptors:
        """Descriptors in a given order.

        Args:
            image_ids: in the order of the rows.
            transform: applied to each block float32 (n, d0), e.g. `Adaptation.transform_reference`.

        Raises:
            LakeError: images without a descriptor (some are listed).
        """
        self._store.require(image_ids, self._index)
        return StoredDescriptors(self, tuple(image_ids), transform)

    def rows(self, image_ids: Sequence[str]) -> Float32Array:
        """float32 (n, d0), unit rows; see `FeatureStore.read`."""
        rows = gather(image_ids, self._index, self._part)
        return rows if rows is not None else np.zeros((0, self._store.dimension()), dtype=np.float32)

    def _part(self, path: Path) -> Float32Array:
        rows = self._parts.pop(path, None)
        if rows is None:
            rows = read_part(path)
            self._room -= rows.nbytes
            while self._room < 0 and self._parts:
                self._room += self._parts.popitem(last=False)[1].nbytes
        self._parts[path] = rows  # the most recently used stands last
        return rows


@dataclass(frozen=True, slots=True)
class StoredDescriptors:
    """Some descriptors of a store, for `cvgl.retrieval.evaluate` and `top_k`, which take them in blocks."""

    reader: FeatureReader
    image_ids: tuple[str, ...]
    transform: Callable[[Any], Float32Array] | None = None

    def __len__(self) -> int:
        return len(self.image_ids)

    @property
    def dimension(self) -> int:
        """Length of a row after the transform; 0 for no rows."""
        first = next(self._blocks(1), None)
        return 0 if first is None else int(first.shape[1])

    def blocks(self) -> Iterator[Float32Array]:
        """The rows in order, BLOCK_ROWS at a time; every call starts at the first row.

        Raises:
            LakeError: a part is missing or damaged.
            DataError: a descriptor is not finite (its image is named), or the transform refuses one.
        """
        yield from self._blocks(BLOCK_ROWS)

    def _blocks(self, size: int) -> Iterator[Float32Array]:
        for start in range(0, len(self.image_ids), size):
            rows = self.reader.rows(self.image_ids[start : start + size])
            bad = np.flatnonzero(~np.isfinite(np.einsum("ij,ij->i", rows, rows)))
            if len(bad):
                raise DataError(
                    f"the descriptor of image {self.image_ids[start + int(bad[0])]} holds NaN or infinity",
                    where=self.reader.folder,
                    fix="extract again into another lake with --precision float32: a half-precision model may have overflowed",
                )
            yield rows if self.transform is None else self.transform(rows)
