"""Exact nearest neighbours by inner product: blocked torch, or faiss where a large gallery makes it worth while."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cvgl.errors import ConfigError, DataError, require

if TYPE_CHECKING:
    import torch
    from numpy.typing import ArrayLike, NDArray

    from cvgl.types import Float32Array

Backend = Literal["auto", "exact", "faiss"]

BLOCK_SCORES = 8_000_000  # scores held at once: 32 MB of float32 (and twice that for counting), whatever the number of queries
# Below this both answer in well under a second a thousand queries, and torch needs no second library.
FAISS_FROM = 100_000


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The best answers of each query, best first; equal scores in gallery order.

    Attributes:
        index: int64 (Q, K), rows of the gallery, K = min(k, N).
        score: float32 (Q, K), inner products.
    """

    index: NDArray[np.int64]
    score: Float32Array


def top_k(queries: ArrayLike, references: ArrayLike, k: int, backend: Backend = "auto") -> Neighbours:
    """The k references with the largest inner product for each query; all of them when there are fewer.

    Args:
        queries: float (Q, d), unit rows for cosine similarity; Q may be 0.
        references: float (N, d); N may be 0.
        k: answers wanted, at least 1.
        backend: ``exact`` (torch), ``faiss``, or ``auto``: faiss for a large gallery where it is installed.

    Raises:
        ConfigError: k below 1, or an unknown backend.
        DataError: shapes that do not fit, NaN or infinity.
        MissingDependencyError: faiss was asked for and is not installed.
    """
    if k < 1:
        raise ConfigError(f"k is {k}", where="top_k", fix="ask for at least one answer")
    if backend not in ("auto", "exact", "faiss"):
        raise ConfigError(f"there is no search backend '{backend}'", where="backend", fix="choose auto, exact or faiss")
    q, r = check_pair(queries, references)
    if backend == "auto":
        backend = "faiss" if len(r) >= FAISS_FROM and importlib.util.find_spec("faiss") else "exact"
    if not len(q) or not len(r):
        shape = (len(q), min(k, len(r)))
        return Neighbours(np.zeros(shape, np.int64), np.zeros(shape, np.float32))
    return _faiss(q, r, min(k, len(r))) if backend == "faiss" else _exact(q, r, min(k, len(r)))


def check_pair(queries: ArrayLike, references: ArrayLike) -> tuple[Float32Array, Float32Array]:
    """Both sides as contiguous float32, or an error that says which row of which side is wrong.

    Raises:
        DataError: not two-dimensional, different widths, NaN or infinity.
    """
    q, r = _descriptors("queries", queries), _descriptors("references", references)
    if q.shape[1] != r.shape[1]:
        raise DataError(
            f"queries have {q.shape[1]} dimensions and references {r.shape[1]}",
            where="descriptors",
            fix="use descriptors of one model for both",
        )
    return q, r


def _descriptors(side: str, values: ArrayLike) -> Float32Array:
    array = np.asarray(values)
    if array.ndim != 2 or array.dtype.kind not in "fiu":
        raise DataError(
            f"descriptors must be numbers of shape (n, d), not {array.dtype} {array.shape}", where=side, fix="one row a picture"
        )
    array = np.ascontiguousarray(array, np.float32)
    # A sum is NaN or infinite when any value is: one pass without a mask of the same size.
    if array.size and not np.isfinite(array.sum(dtype=np.float64)):
        bad = np.flatnonzero(~np.isfinite(array).all(1))
        raise DataError(
            f"{len(bad)} of {len(array)} descriptors hold NaN or infinity, the first in row {bad[0]}",
            where=side,
            fix="extract these pictures again; if an adapter made them, its training diverged",
        )
    return array


def score_blocks(queries: Float32Array, references: Float32Array) -> Iterator[tuple[slice, torch.Tensor]]:
    """Inner products, some queries at a time so that memory stays bounded.

    Block sizes depend on the shapes alone, so the same input gives the same bits on one machine.

    Yields:
        Which queries, and their scores, float32 (B, N).
    """
    import torch

    # The arrays may be read-only; nothing here writes to them.
    q, r = torch.from_numpy(_writable(queries)), torch.from_numpy(_writable(references))
    rows = max(1, BLOCK_SCORES // max(1, len(references)))
    for start in range(0, len(queries), rows):
        block = slice(start, min(start + rows, len(queries)))
        yield block, q[block] @ r.T


def _writable(array: Float32Array) -> Float32Array:
    return array if array.flags.writeable else array.copy()


def best(scores: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores and columns of the k largest of each row, equal scores by column.

    Args:
        scores: float (B, N).
        k: 1..N.

    Returns:
        values (B, k) falling, columns (B, k).
    """
    import torch

    # topk takes any of equal scores. Where the k-th score is tied beyond the k-th place, sort that row in full.
    values, columns = torch.topk(scores, min(k + 1, scores.shape[1]), dim=1)
    tied = values[:, k] == values[:, k - 1] if values.shape[1] > k else torch.zeros(len(scores), dtype=torch.bool)
    values, columns = values[:, :k], columns[:, :k]
    # Sort by column first, then stably by score: equal scores end up by column.
    by_column = columns.argsort(dim=1)
    values, columns = values.gather(1, by_column), columns.gather(1, by_column)
    values, order = values.sort(dim=1, descending=True, stable=True)
    columns = columns.gather(1, order)
    if tied.any():
        values = values.clone()
        sorted_values, sorted_columns = scores[tied].sort(dim=1, descending=True, stable=True)
        values[tied], columns[tied] = sorted_values[:, :k], sorted_columns[:, :k]
    return values, columns


def _exact(queries: Float32Array, references: Float32Array, k: int) -> Neighbours:
    index, score = np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32)
    for block, scores in score_blocks(queries, references):
        values, columns = best(scores, k)
        index[block], score[block] = columns.numpy(), values.numpy()
    return Neighbours(index, score)


def _faiss(queries: Float32Array, references: Float32Array, k: int) -> Neighbours:
    faiss: Any = require("faiss", extra="pipeline", purpose="search with the faiss backend")
    # IDMap2 keeps our own row numbers, so an index stays right when rows are removed.
    index = faiss.IndexIDMap2(faiss.IndexFlatIP(references.shape[1]))
    index.add_with_ids(references, np.arange(len(references), dtype=np.int64))
    score, found = index.search(queries, k)
    order = np.lexsort((found, -score), axis=1)
    return Neighbours(np.take_along_axis(found, order, 1).astype(np.int64), np.take_along_axis(score, order, 1))
