"""Ranks of the right answers and the best answers, over blocks of both sides: exact, in memory that does not grow with Q x N.

A gallery that one block holds is visited once: the scores of the right answers are read off the block, and all others are
counted against them. A larger one is visited twice, first where right answers are, to learn their scores, then everywhere,
to count. Both visits make the same products, so that a score is the same number in both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from cvgl.retrieval import metrics, scoring
from cvgl.retrieval.blocks import Side

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from cvgl.types import Float32Array

    Columns: TypeAlias = tuple[int, torch.Tensor]  # column of a block's first reference, and the block

ONE_BLOCK_ROWS = 65_536  # a gallery up to this size (and ONE_BLOCK_BYTES, if streamed) is one block
ONE_BLOCK_BYTES = 2**29
GALLERY_ROWS = 16_384  # rows of a block of a larger gallery
BLOCK_SCORES = 8_000_000  # scores held at once: 32 MB, twice that while they are sorted ...
QUERY_ROWS = 768  # ... or of so many queries, where that is more: fewer would make the product slow
HELD_BYTES = 2**29  # queries of a stream held at once
HELD_PAIRS = 4_000_000  # right answers of the queries held at once


@dataclass(frozen=True, slots=True)
class Gallery:
    """What is ranked.

    Attributes:
        side: the descriptors.
        columns: rows that are ranked, rising; all where none.
        device: where the products are made.
    """

    side: Side
    columns: NDArray[np.int64] | None
    device: torch.device

    @property
    def size(self) -> int:
        """Number of columns."""
        return self.side.rows if self.columns is None else len(self.columns)

    @property
    def block_rows(self) -> int:
        """Number of columns of a block."""
        fits = not self.side.streamed or self.size * self.side.dimension * 4 <= ONE_BLOCK_BYTES
        return self.size if self.size <= ONE_BLOCK_ROWS and fits else GALLERY_ROWS

    def blocks(self) -> Iterator[Columns]:
        """Yield the first column and the rows of each block."""
        first = 0
        for block in self.side.blocks(self.block_rows, self.columns):
            yield first, scoring.to_device(block, self.device)
            first += len(block)

    def reader(self) -> Callable[[], Iterator[Columns]]:
        """Gives the blocks as often as they are asked for; a single one is read once."""
        if self.block_rows < self.size:
            return self.blocks
        held = list(self.blocks())
        return lambda: iter(held)


@dataclass(frozen=True, slots=True)
class Ranks:
    """Some consecutive queries.

    Attributes:
        queries: which.
        right: int64 (B, P), 0-based ranks of the right answers, rising; what is beyond `n_right` means nothing.
        n_right: int64 (B,).
        top_index: int64 (B, k), positions among the ranked references, best first.
        top_score: float32 (B, k).
    """

    queries: slice
    right: torch.Tensor
    n_right: torch.Tensor
    top_index: NDArray[np.int64]
    top_score: Float32Array


def rank(
    queries: Side, gallery: Gallery, right_answers: Callable[[slice], tuple[torch.Tensor, torch.Tensor]], most: int, k: int
) -> Iterator[Ranks]:
    """Ranks some queries after the other.

    Args:
        queries: their descriptors.
        gallery: what is ranked; not empty.
        right_answers: some queries -> positions of their right answers int64 (B, P), and which of the entries count (B, P).
        most: the largest P.
        k: best answers wanted, at most the gallery's size; may be 0.
    """
    rows = min(queries.rows, max(1, HELD_PAIRS // most))
    if queries.streamed:
        rows = min(rows, max(QUERY_ROWS, HELD_BYTES // (4 * queries.dimension)))
    read, start = gallery.reader(), 0
    for block in queries.blocks(rows):
        held = slice(start, start + len(block))
        yield _rank_held(held, block, gallery, read, *right_answers(held), k)
        start += len(block)


def rank_scores(
    scores: Iterable[Float32Array],
    columns: NDArray[np.int64] | None,
    right_answers: Callable[[slice], tuple[torch.Tensor, torch.Tensor]],
    k: int,
) -> Iterator[Ranks]:
    """Ranks by scores that something else has made; see `rank`.

    Args:
        scores: float32 (B, N) each, of some queries after the other.
        columns: columns that are ranked, rising; all where none.
        right_answers: as in `rank`.
        k: as in `rank`.
    """
    import torch

    start = 0
    for block in scores:
        block_scores = torch.from_numpy(np.ascontiguousarray(block if columns is None else block[:, columns], np.float32))
        held = slice(start, start + len(block_scores))
        right, valid = right_answers(held)
        tally, rows = _Tally(right, valid, k), torch.arange(len(block_scores))
        tally.learn(rows, 0, block_scores)
        tally.count(rows, 0, block_scores)
        yield tally.found(held)
        start += len(block_scores)


def nothing_right(queries: slice) -> tuple[torch.Tensor, torch.Tensor]:
    """Right answers where only the best answers are wanted: none."""
    import torch

    shape = (queries.stop - queries.start, 1)
    return torch.zeros(shape, dtype=torch.int64), torch.zeros(shape, dtype=torch.bool)


def _rank_held(
    held: slice,
    queries: Float32Array,
    gallery: Gallery,
    read: Callable[[], Iterator[Columns]],
    right: torch.Tensor,
    valid: torch.Tensor,
    k: int,
) -> Ranks:
    tally = _Tally(right.to(gallery.device), valid.to(gallery.device), k)
    if gallery.block_rows >= gallery.size:
        for first, block in read():
            for rows, scores in _scores(queries, block, np.arange(len(queries))):
                tally.learn(rows, first, scores)
                tally.count(rows, first, scores)
    else:
        _visit_twice(queries, gallery, read, tally)
    return tally.found(held)


def _visit_twice(queries: Float32Array, gallery: Gallery, read: Callable[[], Iterator[Columns]], tally: _Tally) -> None:
    # Queries whose right answers lie in the same blocks go together, so that most products need not be made twice.
    order = tally.first_answer(gallery.size).argsort(kind="stable")
    # A GPU's library chooses the order of its sums by the shape of the product, so there all products have one height.
    height = scoring.TILE if gallery.device.type == "cpu" else QUERY_ROWS
    for first, block in read() if tally.any_answer else ():
        answered = order[tally.answered_in(first, first + len(block))[order]]
        for rows, scores in _scores(queries, block, answered, height):
            tally.learn(rows, first, scores)
    while True:
        for first, block in read():
            for rows, scores in _scores(queries, block, order, height):
                tally.count(rows, first, scores)
        if tally.agrees():
            return


def _scores(
    queries: Float32Array, block: torch.Tensor, order: NDArray[np.int64], height: int = scoring.TILE
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Rows of some queries, and their scores (B, N)."""
    import torch

    step = max(QUERY_ROWS, BLOCK_SCORES // len(block) // scoring.TILE * scoring.TILE)
    for start in range(0, len(order), step):
        rows = order[start : start + step]
        consecutive = bool((np.diff(rows) == 1).all())
        query_rows = queries[rows[0] : rows[-1] + 1] if consecutive else queries[rows]
        scores = scoring.products(scoring.to_device(query_rows, block.device), block, height)
        yield torch.from_numpy(rows).to(block.device), scores


class _Tally:
    """What is known of some queries so far; arrays (B, P) have one column a right answer."""

    def __init__(self, right: torch.Tensor, valid: torch.Tensor, k: int) -> None:
        import torch

        self._right, self._valid, self._k = right, valid, k
        self._score = torch.full(right.shape, math.inf, device=right.device)
        self._slack = self._disagreement = 0.0
        self._wrong_above = torch.zeros_like(right)
        self.top_scores = torch.full((len(right), k), -math.inf, device=right.device)
        self.top_columns = torch.zeros((len(right), k), dtype=torch.int64, device=right.device)

    @property
    def any_answer(self) -> bool:
        return bool(self._valid.any())

    def first_answer(self, size: int) -> NDArray[np.int64]:
        """Column of each query's first right answer; `size` where there is none."""
        first: NDArray[np.int64] = self._right.masked_fill(~self._valid, size).amin(1).cpu().numpy()
        return first

    def answered_in(self, start: int, stop: int) -> NDArray[np.bool_]:
        """Which queries have a right answer in these columns."""
        inside: NDArray[np.bool_] = (self._valid & (self._right >= start) & (self._right < stop)).any(1).cpu().numpy()
        return inside

    def _read_off(self, rows: torch.Tensor, first: int, scores: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Scores of the right answers that lie in these columns, and which of them do."""
        column = self._right[rows] - first
        inside = self._valid[rows] & (column >= 0) & (column < scores.shape[1])
        return scores.gather(1, column.masked_fill(~inside, 0)), inside

    def learn(self, rows: torch.Tensor, first: int, scores: torch.Tensor) -> None:
        """Takes down the scores of the right answers in these columns."""
        right_scores, inside = self._read_off(rows, first, scores)
        self._score[rows] = right_scores.where(inside, self._score[rows])

    def count(self, rows: torch.Tensor, first: int, scores: torch.Tensor) -> None:
        """Counts the wrong answers that stand at or above each right one, and keeps the best of all."""
        threshold = self._score[rows] - self._slack
        right_scores, inside = self._read_off(rows, first, scores)
        right_above = scoring.count_at_least(right_scores.masked_fill(~inside, -math.inf), threshold)
        self._wrong_above[rows] += scoring.count_at_least(scores, threshold) - right_above
        if bool(inside.any()):
            self._disagreement = max(self._disagreement, float((right_scores - self._score[rows])[inside].abs().max()))
        if self._k:
            values, columns = scoring.best(scores, min(self._k, scores.shape[1]))
            best = self.top_scores[rows], self.top_columns[rows]
            self.top_scores[rows], self.top_columns[rows] = scoring.merged(*best, values, columns + first, self._k)

    def agrees(self) -> bool:
        """Whether both visits saw the same scores of the right answers.

        A library whose products are not reproducible would favour the queries where the second visit rounds down. Then the
        count starts again, with everything that close to a right answer counted as standing above it.
        """
        if self._disagreement <= self._slack:
            return True
        self._slack, self._disagreement = 2 * self._disagreement, 0.0
        self._wrong_above.zero_()
        self.top_scores.fill_(-math.inf)
        return False

    def found(self, queries: slice) -> Ranks:
        """What was learned and counted of these queries."""
        ranks = metrics.ranks_of(self._score, self._wrong_above, self._valid)
        return Ranks(
            queries, ranks.cpu(), self._valid.sum(1).cpu(), self.top_columns.cpu().numpy(), self.top_scores.cpu().numpy()
        )
