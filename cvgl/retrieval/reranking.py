"""Re-ranking by k-reciprocal neighbours (Zhong et al. 2017): two images of one place have the same neighbours.

Each query is re-ranked on its own, against neighbourhoods of the gallery alone, so no query has a say in another's answer.
It pays where a place has several images in the gallery, such as the drone images of a building; where each place has one,
the neighbours of an image show other places, and sharing them says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cvgl.errors import ConfigError, require
from cvgl.retrieval.search import top_k

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cvgl.config import RerankConfig
    from cvgl.types import Float32Array

MOST_REFERENCES = 100_000  # of a gallery: its neighbourhoods are held in memory
_SHARED = 2 / 3  # share of a candidate's own reciprocal neighbours that must be common before they are taken in (their Eq. 4)
_QUERY_ROWS = 256  # queries whose scores are held at once


@dataclass(frozen=True, slots=True)
class Reranker:
    """The neighbourhoods of a gallery.

    Attributes:
        gallery: float32 (N, d), unit rows.
        settings: k1, k2 and the weight of the original distance.
        nearest: int64 (N, k1), other references by falling similarity.
        reach: float32 (N, k1), their similarities.
        expanded: sparse (N, N), the weights of each reference's expanded neighbourhood; rows sum to 1 (their Eq. 7, 11).
    """

    gallery: Float32Array
    settings: RerankConfig
    nearest: NDArray[np.int64]
    reach: Float32Array
    expanded: Any

    @classmethod
    def of(cls, gallery: Float32Array, settings: RerankConfig) -> Reranker:
        """Finds the neighbourhoods.

        Args:
            gallery: float32 (N, d), unit rows, 1 <= N <= MOST_REFERENCES.
            settings: k1 is cut to N - 1, k2 to k1.

        Raises:
            ConfigError: the gallery is empty or too large.
            DataError: descriptors that are not numbers.
        """
        if not 1 <= len(gallery) <= MOST_REFERENCES:
            raise ConfigError(
                f"a gallery of {len(gallery)} cannot be re-ranked; the most is {MOST_REFERENCES}",
                where="evaluate.rerank",
                fix="leave re-ranking out, or search a smaller map",
            )
        nearest, reach = _others(gallery, min(settings.neighbours, len(gallery) - 1))
        reranker = cls(gallery, settings, nearest, reach, None)
        weights = [reranker._weights(row) for row in range(len(gallery))]
        expanded = _averaged(_sparse(weights, len(gallery)), nearest[:, : settings.expansion - 1])
        return cls(gallery, settings, nearest, reach, expanded)

    def scores(self, queries: Float32Array) -> Iterator[Float32Array]:
        """Minus the final distance (their Eq. 12), a block of queries after the other.

        Args:
            queries: float32 (Q, d), unit rows.

        Yields:
            float32 (B, N), larger is better.
        """
        columns = self.expanded.tocsc()
        for start in range(0, len(queries), _QUERY_ROWS):
            similarity = queries[start : start + _QUERY_ROWS] @ self.gallery.T
            yield np.stack([self._score(row, columns) for row in similarity])

    def _score(self, similarity: Float32Array, columns: Any) -> Float32Array:
        neighbours, weights = self._neighbourhood(similarity)
        shared = np.zeros(len(self.gallery))
        for column, weight in zip(neighbours, weights, strict=True):
            held = slice(columns.indptr[column], columns.indptr[column + 1])
            shared[columns.indices[held]] += np.minimum(columns.data[held], weight)
        jaccard = 1 - shared / (2 - shared)  # both sets of weights sum to 1, so the larger of each sum to 2 - shared
        distance = 1 - similarity.astype(np.float64)
        scaled = distance / np.maximum(distance.max(), np.finfo(np.float32).tiny)
        share = self.settings.original
        return np.asarray(-((1 - share) * jaccard + share * scaled), np.float32)

    def _neighbourhood(self, similarity: Float32Array) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The query's expanded neighbourhood: references and their weights, which sum to 1."""
        k = self.nearest.shape[1]
        order = np.argsort(-similarity, kind="stable")[: max(k, 1)]
        own = order[similarity[order] >= self.reach[order, k - 1]] if k else order
        members = self._grown(own if len(own) else order[:1])
        weights = np.zeros(len(self.gallery))
        weights[members] = _decaying(similarity[members])
        near = order[: self.settings.expansion - 1]
        if len(near):  # local query expansion (their Eq. 11)
            weights = (weights + np.asarray(self.expanded[near].sum(axis=0)).ravel()) / (len(near) + 1)
        neighbours = np.flatnonzero(weights)
        return neighbours, weights[neighbours]

    def _reciprocal(self, row: int, *, half: bool) -> NDArray[np.int64]:
        """The reference itself and those that it and they have among their nearest k1, or half of k1 (their Eq. 3)."""
        k = max(1, round(self.nearest.shape[1] / 2)) if half else self.nearest.shape[1]
        near = self.nearest[row, :k]
        mutual = near[self.reach[row, :k] >= self.reach[near, k - 1]] if len(near) else near
        return np.concatenate([[row], mutual])

    def _grown(self, members: NDArray[np.int64]) -> NDArray[np.int64]:
        """Takes in the close neighbours of members that share most of theirs (their Eq. 4)."""
        taken, members_so_far = set(members.tolist()), set(members.tolist())
        for member in members.tolist():
            close = set(self._reciprocal(member, half=True).tolist())
            if len(close & members_so_far) > _SHARED * len(close):
                taken |= close
        return np.fromiter(sorted(taken), np.int64, len(taken))

    def _weights(self, row: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """A reference's expanded neighbourhood and its weights."""
        members = self._grown(self._reciprocal(row, half=False))
        return members, _decaying(self.gallery[members] @ self.gallery[row])


def _others(gallery: Float32Array, k: int) -> tuple[NDArray[np.int64], Float32Array]:
    """The k nearest other references of each, (N, k) both."""
    n = len(gallery)
    if not k:
        return np.zeros((n, 0), np.int64), np.zeros((n, 0), np.float32)
    neighbours = top_k(gallery, gallery, k + 1)
    other = neighbours.index != np.arange(n)[:, None]
    other[other.all(axis=1), -1] = False  # among equals a reference may not find itself: then the last one is left out
    return neighbours.index[other].reshape(n, k), neighbours.score[other].reshape(n, k)


def _decaying(similarity: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Gaussian weights of neighbours (their Eq. 7), scaled to sum to 1."""
    weights = np.exp(-2 * (1 - similarity.astype(np.float64)))
    return np.asarray(weights / weights.sum())


def _sparse(rows: list[tuple[NDArray[np.int64], NDArray[np.float64]]], n: int) -> Any:
    sparse = require("scipy.sparse", extra="pipeline", purpose="re-rank")
    indptr = np.concatenate([[0], np.cumsum([len(members) for members, _ in rows])])
    members, weights = (np.concatenate(part) for part in zip(*rows, strict=True))
    return sparse.csr_array((weights, members, indptr), shape=(n, n))


def _averaged(weights: Any, nearest: NDArray[np.int64]) -> Any:
    """Mean over a reference and its nearest (their Eq. 11)."""
    if not nearest.shape[1]:
        return weights
    sparse = require("scipy.sparse", extra="pipeline", purpose="re-rank")
    n, k = nearest.shape
    members = np.concatenate([np.arange(n)[:, None], nearest], axis=1)
    mean = sparse.csr_array((np.full(members.size, 1 / (k + 1)), members.ravel(), np.arange(n + 1) * (k + 1)), shape=(n, n))
    return (mean @ weights).tocsr()
