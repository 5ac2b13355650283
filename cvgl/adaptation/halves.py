"""Held-out halves of the queries, and standard errors of images whose errors are correlated."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cvgl.adaptation.sequences import FrameSequences

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK_LENGTH = 25
"""Consecutive images of a sequence that count as one observation: their errors are correlated."""


class Half(NamedTuple):
    """One half of the queries.

    Attributes:
        rows: int64, its rows among all queries.
        sequences: of its queries, numbered within the half; None for single images.
    """

    rows: NDArray[np.int64]
    sequences: FrameSequences | None


def halves(count: int, sequences: FrameSequences | None, generator: np.random.Generator) -> tuple[Half, Half]:
    """The first and the last half of each sequence where there are usable ones, otherwise two random halves.

    Args:
        count: queries.
        sequences: of the queries.
        generator: of the random halves.
    """
    if sequences is not None and sequences.usable:
        first = _half((rows[: len(rows) // 2] for rows in sequences.rows), sequences)
        return first, _half((rows[len(rows) // 2 :] for rows in sequences.rows), sequences)
    shuffled = generator.permutation(count)
    return Half(np.sort(shuffled[: count // 2]), None), Half(np.sort(shuffled[count // 2 :]), None)


def _half(parts: Iterable[NDArray[np.int64]], sequences: FrameSequences) -> Half:
    non_empty = [part for part in parts if len(part)]
    rows = np.concatenate(non_empty)
    own_rows = tuple(np.split(np.arange(len(rows)), np.cumsum([len(part) for part in non_empty])[:-1]))
    return Half(rows, FrameSequences(own_rows, sequences.positions))


def standard_error(values: NDArray[np.float64], block_length: int = 1) -> float:
    """Standard error of the mean of values in the order of capture, from the means of at least two blocks.

    Args:
        values: float64 (n,), n >= 2.
        block_length: consecutive values whose errors are correlated, such as `BLOCK_LENGTH`.
    """
    if block_length > 1:
        values = np.asarray([block.mean() for block in np.array_split(values, max(2, len(values) // block_length))])
    return float(np.std(values, ddof=1) / np.sqrt(len(values)))
