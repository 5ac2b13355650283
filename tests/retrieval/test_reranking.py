"""k-reciprocal re-ranking, against a transcription of the paper's equations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from cvgl.config import RerankConfig
from cvgl.errors import ConfigError
from cvgl.retrieval import evaluate, evaluate_scores
from cvgl.retrieval.reranking import Reranker

if TYPE_CHECKING:
    from cvgl.types import Float32Array


def unit(rows: np.ndarray) -> Float32Array:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def town(places: int, images: int, noise: float, seed: int = 0) -> tuple[Float32Array, Float32Array, list[str], list[str]]:
    """A query and several gallery images a place, and the names of the places."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((places, 32))
    queries = unit(centres + noise * rng.standard_normal(centres.shape))
    gallery = unit(np.repeat(centres, images, 0) + noise * rng.standard_normal((places * images, 32)))
    names = [f"p{i}" for i in range(places)]
    return queries, gallery, names, [name for name in names for _ in range(images)]


def all_scores(queries: Float32Array, gallery: Float32Array, settings: RerankConfig) -> Float32Array:
    return np.concatenate(list(Reranker.of(gallery, settings).scores(queries)))


def naive(query: Float32Array, gallery: Float32Array, k1: int, k2: int, share: float) -> list[float]:
    """Zhong et al. 2017, Eq. 3 to 12, with sets and loops; a neighbourhood is one of the gallery, or of the query in it."""
    n = len(gallery)
    similar = gallery.astype(np.float64) @ gallery.T.astype(np.float64)

    def nearest(i: int, k: int) -> list[int]:
        return sorted((j for j in range(n) if j != i), key=lambda j: -similar[i, j])[:k]

    def reciprocal(i: int, k: int) -> set[int]:
        return {i} | {j for j in nearest(i, k) if i in nearest(j, k)}

    def expanded(own: set[int]) -> set[int]:
        members = set(own)
        for j in own:
            close = reciprocal(j, max(1, round(k1 / 2)))
            if len(close & own) > 2 / 3 * len(close):
                members |= close
        return members

    def weights(members: set[int], similarity: np.ndarray) -> np.ndarray:
        v = np.zeros(n)
        for j in members:
            v[j] = np.exp(-(2 - 2 * similarity[j]))  # squared distance of unit vectors
        return v / v.sum()

    single = [weights(expanded(reciprocal(i, k1)), similar[i]) for i in range(n)]
    mean = [np.mean([single[j] for j in [i, *nearest(i, k1)[: k2 - 1]]], axis=0) for i in range(n)]
    to_query = gallery.astype(np.float64) @ query.astype(np.float64)
    order = sorted(range(n), key=lambda j: -to_query[j])
    own = {j for j in order[:k1] if to_query[j] >= similar[j, nearest(j, k1)[-1]]} or {order[0]}
    v = np.mean([weights(expanded(own), to_query), *(mean[j] for j in order[:k1][: k2 - 1])], axis=0)
    jaccard = [1 - np.minimum(v, w).sum() / np.maximum(v, w).sum() for w in mean]
    distance = (1 - to_query) / (1 - to_query).max()
    return [-((1 - share) * j + share * d) for j, d in zip(jaccard, distance, strict=True)]


@pytest.mark.parametrize(("k1", "k2", "share"), [(6, 3, 0.3), (4, 1, 0.0), (9, 12, 0.5), (1, 1, 0.3)])
def test_agrees_with_the_equations(k1: int, k2: int, share: float) -> None:
    queries, gallery, *_ = town(places=6, images=4, noise=0.6)
    reranked = all_scores(queries, gallery, RerankConfig(neighbours=k1, expansion=k2, original=share))
    for query, scores in zip(queries, reranked, strict=True):
        assert scores == pytest.approx(naive(query, gallery, k1, k2, share), abs=1e-5)


def test_helps_where_a_place_has_several_images() -> None:
    queries, gallery, names, labels = town(places=60, images=8, noise=1.3)
    settings = RerankConfig(neighbours=8, expansion=4)
    plain = evaluate(queries, names, gallery, labels)
    again = evaluate_scores(Reranker.of(gallery, settings).scores(queries), names, labels)
    assert again.ap > plain.ap + 0.05


def test_no_query_has_a_say_in_another_s_answer() -> None:
    queries, gallery, *_ = town(places=8, images=3, noise=0.8)
    together = all_scores(queries, gallery, RerankConfig())
    alone = [all_scores(query[None], gallery, RerankConfig())[0] for query in queries]
    assert together == pytest.approx(np.stack(alone), abs=1e-6)


def test_the_original_distance_alone_keeps_the_order() -> None:
    queries, gallery, *_ = town(places=8, images=3, noise=0.8)
    scores = all_scores(queries, gallery, RerankConfig(original=1.0))
    assert np.array_equal(np.argsort(-scores, 1), np.argsort(-(queries @ gallery.T), 1))


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_small_galleries(rows: int) -> None:
    queries, gallery, names, labels = town(places=rows, images=1, noise=0.1)
    scores = evaluate_scores(Reranker.of(gallery, RerankConfig()).scores(queries), names, labels)
    assert scores.recall[1] == 1.0


def test_constant_descriptors_score_no_better_than_chance() -> None:
    queries, gallery = unit(np.ones((5, 4))), unit(np.ones((10, 4)))
    names = [f"p{i}" for i in range(5)]
    scores = evaluate_scores(Reranker.of(gallery, RerankConfig(neighbours=3)).scores(queries), names, names * 2)
    assert scores.recall[1] <= 1 / 5


def test_an_empty_gallery_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot be re-ranked"):
        Reranker.of(np.zeros((0, 4), np.float32), RerankConfig())
