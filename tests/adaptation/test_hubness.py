"""CSLS and reciprocal labels against transcriptions that hold all similarities at once, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from cvgl.adaptation import hubness
from cvgl.adaptation.pseudo_labels import NO_LABEL

SHAPES = [(40, 40), (17, 40), (40, 17), (101, 7), (7, 101), (1, 5), (5, 1), (1, 1)]


def rows_of(count: int, d: int = 12, seed: int = 0) -> NDArray[Any]:
    rows = np.random.default_rng([seed, count]).normal(size=(count, d)) + 0.5  # an offset makes hubs
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def views(n_queries: int, n_references: int) -> tuple[NDArray[Any], NDArray[Any]]:
    return rows_of(n_queries, seed=1), rows_of(n_references, seed=2)


def tensors(queries: NDArray[Any], references: NDArray[Any]) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(np.ascontiguousarray(queries)), torch.from_numpy(np.ascontiguousarray(references))


def naive_csls(queries: NDArray[Any], references: NDArray[Any], neighbours: int) -> NDArray[Any]:
    cosines = queries @ references.T
    of_query = [np.sort(row)[::-1][:neighbours].mean() for row in cosines]
    of_reference = [np.sort(column)[::-1][:neighbours].mean() for column in cosines.T]
    return np.asarray(2 * cosines - np.array(of_query)[:, None] - np.array(of_reference)[None])


def naive_labels(scores: NDArray[Any]) -> NDArray[Any]:
    """Each query's best reference, if the query is among that reference's ceil(M / N) best."""
    n_queries, n_references = scores.shape
    count = int(np.ceil(n_queries / n_references))
    labels = np.full(n_queries, NO_LABEL)
    for query, best in enumerate(scores.argmax(axis=1)):
        if query in np.argsort(-scores[:, best], kind="stable")[:count]:
            labels[query] = best
    return labels


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("neighbours", [1, 3, 10, 1000])
def test_corrected_similarities_are_csls(shape: tuple[int, int], neighbours: int) -> None:
    queries, references = views(*shape)
    assert np.allclose(
        hubness.corrected(*tensors(queries, references), neighbours), naive_csls(queries, references, neighbours)
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_labels_are_pairs_that_prefer_each_other(shape: tuple[int, int]) -> None:
    queries, references = views(*shape)
    scores = naive_csls(queries, references, 5)
    labels = hubness.reciprocal_labels(*tensors(queries, references), 5)
    assert np.array_equal(labels.reference, naive_labels(scores))
    assert np.allclose(labels.similarity, scores.max(axis=1))
    assert np.array_equal(labels.mutual, scores.argmax(axis=0)[scores.argmax(axis=1)] == np.arange(shape[0]))


@pytest.mark.parametrize(
    ("n_queries", "n_references", "most"), [(40, 40, 1), (10, 40, 1), (41, 40, 2), (80, 40, 2), (101, 7, 15)]
)
def test_a_reference_has_at_most_an_even_share_of_labels(n_queries: int, n_references: int, most: int) -> None:
    pairs = hubness.reciprocal_labels(*tensors(*views(n_queries, n_references)), 5)
    labels = pairs.reference[pairs.reference != NO_LABEL]
    assert 0 < torch.bincount(labels).max() <= most
    assert (pairs.mutual <= (pairs.reference != NO_LABEL)).all()  # a reference's very best is among its best


def test_several_images_of_each_place_are_all_labelled() -> None:
    references = rows_of(20, d=64)
    queries = np.repeat(references, 3, axis=0) + 0.01 * np.random.default_rng(0).normal(size=(60, 64))
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    labels = hubness.reciprocal_labels(*tensors(queries, references), 10)
    assert np.array_equal(labels.reference, np.repeat(np.arange(20), 3))
    assert int(labels.mutual.sum()) == 20


@pytest.mark.parametrize("block", [1, 20, 45, 97, 10**6])
@pytest.mark.parametrize("shape", [(41, 17), (17, 41)])
def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int], block: int) -> None:
    sides = tensors(*views(*shape))
    expected, of_query, of_reference = hubness.reciprocal_labels(*sides, 4), *hubness.hubness(*sides, 4)
    monkeypatch.setattr(hubness, "BLOCK_SCORES", block)
    labels = hubness.reciprocal_labels(*sides, 4)
    assert torch.equal(labels.reference, expected.reference)
    assert torch.equal(labels.mutual, expected.mutual)
    assert torch.allclose(labels.similarity, expected.similarity)
    for again, once in zip(hubness.hubness(*sides, 4), (of_query, of_reference), strict=True):
        assert torch.allclose(again, once)


def test_equal_images_are_labelled_alike() -> None:
    """Copies tie for a place among a reference's best; all of them get it, whatever their order."""
    references = rows_of(6, d=64)
    queries = np.concatenate([references[:1], references[:1], references[:1], references[1:4]])
    labels = hubness.reciprocal_labels(*tensors(queries.astype(np.float32), references.astype(np.float32)), 2)
    assert labels.reference.tolist() == [0, 0, 0, 1, 2, 3]
    assert labels.mutual.tolist() == [True, False, False, True, True, True]  # a reference has one very best


def test_a_hub_attracts_no_labels() -> None:
    """A reference in the middle of everything is nearest to all queries by cosine, and to none when hubness is taken off."""
    rng = np.random.default_rng(0)
    middle = np.zeros(33)
    middle[0] = 1.0
    directions = np.concatenate([np.zeros((30, 1)), np.linalg.qr(rng.normal(size=(32, 32)))[0][:30]], axis=1)
    places = 0.8 * middle + 0.6 * directions
    queries = places + 0.02 * rng.normal(size=places.shape)
    references = np.concatenate([0.5 * (middle + directions) / np.sqrt(0.5), middle[None]])
    queries[:, 0] += 1.5  # the queries' view lies towards the hub
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    assert ((queries @ references.T).argmax(axis=1) == 30).all()
    labels = hubness.reciprocal_labels(*tensors(queries, references), 10)
    assert np.array_equal(labels.reference, np.arange(30))


def test_rows_without_direction_give_finite_similarities() -> None:
    queries, references = np.zeros((4, 8)), rows_of(3, d=8)
    labels = hubness.reciprocal_labels(*tensors(queries, references), 2)
    assert torch.isfinite(labels.similarity).all()
    assert torch.isfinite(hubness.corrected(*tensors(queries, np.zeros((3, 8))), 2)).all()
