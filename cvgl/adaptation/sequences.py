"""Image sequences: which queries were captured one after the other, and where the references lie.

Neighbours in time settle what a single image leaves open (`cvgl.adaptation.hmm`). Where references lie is the map's own data,
and the order of images comes from the camera: neither is a label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cvgl.adaptation.hmm import forward_backward, log_likelihood_gain, transition_matrix
from cvgl.adaptation.map_cells import MAX_MAP_CELLS, map_cells_of
from cvgl.errors import DataError
from cvgl.hashing import digest_lines, sha256_bytes

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Float64Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FrameSequences:
    """The sequences of a set of queries, and the positions of the references.

    Attributes:
        rows: int64, the query rows of each sequence in the order of capture; each query in one sequence.
        positions: float64 (N, 2), east and north of each reference in metres, in any frame.
    """

    rows: tuple[NDArray[np.int64], ...]
    positions: Float64Array

    @classmethod
    def of(cls, names: Sequence[object], reference_positions: ArrayLike) -> FrameSequences:
        """Groups queries, which are in the order of capture, by the name of their sequence.

        Args:
            names: M names of sequences; None, or NaN as tables have it, for a single image.
            reference_positions: (N, 2) metres.

        Raises:
            DataError: positions that are not finite pairs.
        """
        positions = np.asarray(reference_positions, dtype=np.float64)
        if positions.ndim != 2 or positions.shape[1] != 2 or not np.isfinite(positions).all():
            raise DataError(
                f"positions of references are {positions.shape}, or not finite",
                where="reference_positions",
                fix="give east and north of every reference in metres, shape (N, 2)",
            )
        members: dict[object, list[int]] = {}
        for row, name in enumerate(names):
            is_single = name is None or name != name
            members.setdefault((row,) if is_single else (name, "sequence"), []).append(row)
        return cls(tuple(np.asarray(rows, np.int64) for rows in members.values()), positions)

    def check(self, n_queries: int, n_references: int) -> None:
        """Compares with the numbers of descriptors.

        Raises:
            DataError: the sequences are of other queries or references.
        """
        rows = np.sort(np.concatenate([*self.rows, np.zeros(0, np.int64)]))
        if not np.array_equal(rows, np.arange(n_queries)):
            raise DataError(
                f"sequences hold {len(rows)} rows, which are not the {n_queries} queries, each once",
                where="sequences",
                fix="name a sequence, or None, for every query",
            )
        if len(self.positions) != n_references:
            raise DataError(
                f"there are {len(self.positions)} positions for {n_references} references",
                where="sequences",
                fix="give one position a reference",
            )

    def digest(self) -> str:
        """Hash of the sequences and positions."""
        parts = [self.positions.astype("<f8").tobytes(), *(rows.astype("<i8").tobytes() for rows in self.rows)]
        # Only maps with shared positions have this line, so that digests stored before map cells stay valid for all others.
        crops = ["looks"] if self._n_cells() < len(self.positions) else []
        return digest_lines([*(sha256_bytes(part) for part in parts), *crops])

    @property
    def usable(self) -> bool:
        """Whether half of the images are in sequences of several, over more than one map cell and at most `MAX_MAP_CELLS`.

        Single images would all be labelled here, without the check by mutual preference.
        """
        single = sum(len(rows) == 1 for rows in self.rows)
        in_sequences = sum(len(rows) for rows in self.rows) - single
        return in_sequences >= max(single, 1) and 1 < self._n_cells() <= MAX_MAP_CELLS

    def _n_cells(self) -> int:
        return len(map_cells_of(self.positions).centres)


class SequenceModel:
    """The hidden Markov chain of frame sequences over the map cells of their references.

    Args:
        sequences: usable ones.
    """

    def __init__(self, sequences: FrameSequences) -> None:
        self._rows = sequences.rows
        self._cells = map_cells_of(sequences.positions)
        self._transitions = transition_matrix(self._cells.centres)

    def gains(self, similarities: NDArray[Any]) -> Float64Array:
        """`hmm.log_likelihood_gain` of each query (M,) within its sequence, from similarities (M, N) to the references."""
        of_cells = self._cells.max_similarity(similarities)
        gains = np.empty(len(similarities))
        for rows in self._rows:
            gains[rows] = log_likelihood_gain(of_cells[rows], self._transitions)
        return gains

    def most_probable_references(self, similarities: NDArray[Any]) -> tuple[NDArray[np.int64], Float64Array]:
        """The best crop (M,) of each query's most probable cell, and the probability (M,) of the cell."""
        of_cells = self._cells.max_similarity(similarities)
        cell, probability = np.empty(len(similarities), np.int64), np.empty(len(similarities))
        for rows in self._rows:
            posterior = forward_backward(of_cells[rows], self._transitions)
            cell[rows], probability[rows] = posterior.cell, posterior.probability
        return self._cells.best_reference(similarities, cell), probability
