"""Exact nearest neighbours by inner product: blocked torch, or faiss where a large gallery makes it worth while."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cvgl.errors import ConfigError, require
from cvgl.retrieval import ranking, scoring
from cvgl.retrieval.blocks import DescriptorSource, Side, check_widths

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cvgl.types import Float32Array

Backend = Literal["auto", "exact", "faiss"]

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


def top_k(
    queries: DescriptorSource, references: DescriptorSource, k: int, backend: Backend = "auto", device: str = "auto"
) -> Neighbours:
    """The k references with the largest inner product for each query; all of them when there are fewer.

    Args:
        queries: float (Q, d), unit rows for cosine similarity, or `BlockedDescriptors`; Q may be 0.
        references: float (N, d), or `BlockedDescriptors`; N may be 0.
        k: answers wanted, at least 1.
        backend: ``exact`` (torch), ``faiss``, or ``auto``: faiss for a large gallery in memory where it is
            installed and there is no GPU.
        device: of the exact search; ``auto``: the GPU where there is one.

    Raises:
        ConfigError: k below 1, or an unknown backend or device.
        DataError: shapes that do not fit, NaN or infinity.
        MissingDependencyError: faiss was asked for and is not installed.
    """
    if k < 1:
        raise ConfigError(f"k is {k}", where="top_k", fix="ask for at least one answer")
    if backend not in ("auto", "exact", "faiss"):
        raise ConfigError(f"there is no search backend '{backend}'", where="backend", fix="choose auto, exact or faiss")
    q, r = Side("queries", queries), Side("references", references)
    check_widths(q, r)
    k = min(k, r.rows)
    if not q.rows or not r.rows:
        return Neighbours(np.zeros((q.rows, k), np.int64), np.zeros((q.rows, k), np.float32))
    if backend == "auto":
        backend = "faiss" if _faiss_is_faster(q, r, device) else "exact"
    return _faiss(q.whole(), r.whole(), k) if backend == "faiss" else _exact(q, r, k, device)


def _faiss_is_faster(queries: Side, references: Side, device: str) -> bool:
    if references.rows < FAISS_FROM or queries.streamed or references.streamed:
        return False
    return importlib.util.find_spec("faiss") is not None and scoring.device_of(device).type == "cpu"


def _exact(queries: Side, references: Side, k: int, device: str) -> Neighbours:
    index, score = np.empty((queries.rows, k), np.int64), np.empty((queries.rows, k), np.float32)
    gallery = ranking.Gallery(references, None, scoring.device_of(device))
    with scoring.full_precision():
        for ranks in ranking.rank(queries, gallery, ranking.nothing_right, 1, k):
            index[ranks.queries], score[ranks.queries] = ranks.top_index, ranks.top_score
    return Neighbours(index, score)


def _faiss(queries: Float32Array, references: Float32Array, k: int) -> Neighbours:
    faiss: Any = require("faiss", extra="pipeline", purpose="search with the faiss backend")
    # IDMap2 keeps our own row numbers, so an index stays right when rows are removed.
    index = faiss.IndexIDMap2(faiss.IndexFlatIP(references.shape[1]))
    index.add_with_ids(references, np.arange(len(references), dtype=np.int64))
    score, columns = index.search(queries, k)
    order = np.lexsort((columns, -score), axis=1)
    return Neighbours(np.take_along_axis(columns, order, 1).astype(np.int64), np.take_along_axis(score, order, 1))
