"""Descriptors of one side, in memory or arriving in blocks: checked on the way, and cut into blocks of our own size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

import numpy as np

from cvgl.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from cvgl.types import Float32Array


@runtime_checkable
class BlockedDescriptors(Protocol):
    """Descriptors that need not fit into memory, such as `cvgl.features.StoredDescriptors`."""

    def __len__(self) -> int:
        """How many rows there are."""
        ...

    @property
    def dimension(self) -> int:
        """Length of a row; 0 where there is none."""
        ...

    def blocks(self) -> Iterator[Float32Array]:
        """The rows in order, as arrays (n, d); every call starts anew and gives the same rows."""
        ...


DescriptorSource: TypeAlias = "ArrayLike | BlockedDescriptors"


class Side:
    """The descriptors of one role.

    Attributes:
        name: ``"queries"`` or ``"references"``, for messages.
        rows: how many there are.
        streamed: whether they arrive in blocks.
        dimension: d; 0 for a stream without rows.
    """

    def __init__(self, name: str, values: DescriptorSource) -> None:
        """Checks an array at once; a stream is checked block by block, each time it is read.

        Raises:
            DataError: not numbers of shape (n, d), NaN or infinity.
        """
        self.name, self.rows = name, 0
        self._stream: BlockedDescriptors | None = None
        self._array: Float32Array = np.zeros((0, 0), np.float32)
        if isinstance(values, BlockedDescriptors):
            self._stream, self.rows = values, len(values)
            self.dimension = values.dimension
        else:
            self._array = checked(name, values)
            self.rows, self.dimension = self._array.shape

    @property
    def streamed(self) -> bool:
        """Whether the rows are read in blocks from elsewhere."""
        return self._stream is not None

    def blocks(self, size: int, selected: NDArray[np.int64] | None = None) -> Iterator[Float32Array]:
        """The rows in order, in blocks of `size` (the last one may be smaller).

        Args:
            size: rows of a block, at least 1.
            selected: rows wanted, rising; all where none is given.

        Raises:
            DataError: as for the constructor, or a stream that does not hold as many rows as it says.
        """
        if self._stream is not None:
            yield from self._regrouped(
                size, self._arriving(self._stream, selected), self.rows if selected is None else len(selected)
            )
            return
        n = self.rows if selected is None else len(selected)
        for start in range(0, n, size):
            rows = slice(start, start + size)
            yield self._array[rows] if selected is None else self._array[selected[rows]]

    def whole(self) -> Float32Array:
        """All rows in one array."""
        return next(self.blocks(max(1, self.rows)), np.zeros((0, self.dimension), np.float32))

    def _arriving(self, stream: BlockedDescriptors, rows: NDArray[np.int64] | None) -> Iterator[Float32Array]:
        start = 0
        for arrived in stream.blocks():
            block = checked(self.name, arrived, start)
            stop = start + len(block)
            if block.shape[1] != self.dimension:
                raise self._broken(f"blocks of {self.dimension} and of {block.shape[1]} dimensions arrived")
            if rows is None:
                yield block
            else:
                yield block[rows[np.searchsorted(rows, start) : np.searchsorted(rows, stop)] - start]
            start = stop
        if start != self.rows:
            raise self._broken(f"{start} rows arrived where {self.rows} were announced")

    def _regrouped(self, size: int, arriving: Iterator[Float32Array], total: int) -> Iterator[Float32Array]:
        gathered, filled, done = np.empty((0, 0), np.float32), 0, 0
        for block in arriving:
            used = 0
            while used < len(block):
                if not filled:
                    gathered = np.empty((min(size, total - done), self.dimension), np.float32)
                taken = min(len(block) - used, len(gathered) - filled)
                gathered[filled : filled + taken] = block[used : used + taken]
                used, filled = used + taken, filled + taken
                if filled == len(gathered):
                    yield gathered
                    done, filled = done + filled, 0

    def _broken(self, problem: str) -> DataError:
        return DataError(
            problem, where=self.name, fix="the source of these descriptors changes while it is read: extract again"
        )


def checked(side: str, values: ArrayLike, first_row: int = 0) -> Float32Array:
    """Descriptors as contiguous float32, not copied when they are that already.

    Args:
        side: named in messages.
        values: (n, d).
        first_row: number of the first row, for messages.

    Raises:
        DataError: not numbers of shape (n, d), NaN, infinity, or numbers whose squares overflow.
    """
    array = np.asarray(values)
    if array.ndim != 2 or array.dtype.kind not in "fiu":
        raise DataError(
            f"descriptors must be numbers of shape (n, d), not {array.dtype} {array.shape}", where=side, fix="one row an image"
        )
    array = np.ascontiguousarray(array, np.float32)
    # The squared norm of a row is NaN or infinite when one of its values is: one pass, no mask of the same size.
    bad = np.flatnonzero(~np.isfinite(np.einsum("ij,ij->i", array, array)))
    if len(bad):
        raise DataError(
            f"{len(bad)} of {len(array)} descriptors hold NaN or infinity (or numbers above 1e18), "
            f"the first in row {first_row + int(bad[0])}",
            where=side,
            fix="extract these images again; if an adapter made them, its training diverged",
        )
    return array


def check_widths(queries: Side, references: Side) -> None:
    """Raises a DataError when the two sides cannot be multiplied."""
    if queries.rows and references.rows and queries.dimension != references.dimension:
        raise DataError(
            f"queries have {queries.dimension} dimensions and references {references.dimension}",
            where="descriptors",
            fix="use descriptors of one model for both",
        )
