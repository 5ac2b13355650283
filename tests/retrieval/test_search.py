from __future__ import annotations

import builtins
import sys
from typing import Any

import numpy as np
import pytest

from cvgl.errors import ConfigError, DataError, MissingDependencyError
from cvgl.retrieval import ranking, search, top_k


def unit(rng: np.random.Generator, n: int, d: int = 16) -> Any:
    values = rng.standard_normal((n, d)).astype(np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


@pytest.mark.parametrize("k", [1, 5, 60, 1000])
@pytest.mark.parametrize("block", [1, 100, 8_000_000])
def test_exact_is_a_full_sort(k: int, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "BLOCK_SCORES", block)
    monkeypatch.setattr(ranking, "QUERY_ROWS", min(block, 96))
    monkeypatch.setattr(ranking, "ONE_BLOCK_ROWS", block)
    monkeypatch.setattr(ranking, "GALLERY_ROWS", 7)
    rng = np.random.default_rng(0)
    q, r = unit(rng, 9), unit(rng, 60)
    expected = np.argsort(-(q @ r.T), axis=1, kind="stable")[:, :k]
    neighbours = top_k(q, r, k, "exact")
    np.testing.assert_array_equal(neighbours.index, expected)
    np.testing.assert_allclose(neighbours.score, np.take_along_axis(q @ r.T, expected, 1), atol=1e-6)
    assert neighbours.index.dtype == np.int64
    assert neighbours.score.dtype == np.float32


def test_equal_scores_come_in_gallery_order() -> None:
    q = np.array([[1, 0], [0, 1]], np.float32)
    r = np.array([[1, 0], [0, 1], [1, 0], [0, 1], [1, 0], [0, 1]], np.float32)
    assert top_k(q, r, 2, "exact").index.tolist() == [[0, 2], [1, 3]]
    assert top_k(q, r, 5, "exact").index.tolist() == [[0, 2, 4, 1, 3], [1, 3, 5, 0, 2]]
    assert top_k(np.zeros((1, 2)), np.zeros((50, 2)), 7, "exact").index.tolist() == [list(range(7))]


@pytest.mark.parametrize("k", [1, 7, 500])
def test_faiss_agrees_with_exact(k: int) -> None:
    pytest.importorskip("faiss")
    rng = np.random.default_rng(1)
    q, r = unit(rng, 20), unit(rng, 300)
    exact, faiss = top_k(q, r, k, "exact"), top_k(q, r, k, "faiss")
    np.testing.assert_array_equal(exact.index, faiss.index)
    np.testing.assert_allclose(exact.score, faiss.score, atol=1e-6)


@pytest.mark.parametrize("backend", ["exact", "faiss"])
@pytest.mark.parametrize(("n_queries", "n_references", "shape"), [(0, 5, (0, 3)), (4, 0, (4, 0)), (0, 0, (0, 0))])
def test_nothing_on_a_side_is_no_answer(backend: Any, n_queries: int, n_references: int, shape: tuple[int, int]) -> None:
    neighbours = top_k(np.zeros((n_queries, 4)), np.zeros((n_references, 4)), 3, backend)
    assert neighbours.index.shape == neighbours.score.shape == shape


def test_auto_takes_faiss_for_a_large_gallery(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("faiss")
    taken: list[str] = []
    monkeypatch.setattr(search, "FAISS_FROM", 10)
    monkeypatch.setattr(search, "_faiss", lambda *_: taken.append("faiss"))
    monkeypatch.setattr(search, "_exact", lambda *_: taken.append("exact"))
    top_k(np.ones((1, 2)), np.ones((9, 2)), 1)
    top_k(np.ones((1, 2)), np.ones((10, 2)), 1)
    assert taken == ["exact", "faiss"]


def test_without_faiss_auto_still_answers_and_faiss_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def refuse(name: str, *rest: Any, **named: Any) -> Any:
        if name.split(".")[0] == "faiss":
            raise ModuleNotFoundError("No module named 'faiss'", name="faiss")
        return imported(name, *rest, **named)

    monkeypatch.setitem(sys.modules, "faiss", None)
    monkeypatch.setattr(builtins, "__import__", refuse)
    monkeypatch.setattr(search, "FAISS_FROM", 1)
    monkeypatch.setattr(search.importlib.util, "find_spec", lambda name: None)
    assert top_k(np.eye(2), np.eye(2), 1).index.tolist() == [[0], [1]]
    with pytest.raises(MissingDependencyError, match="faiss"):
        top_k(np.eye(2), np.eye(2), 1, "faiss")


def test_read_only_and_strided_input_is_fine() -> None:
    q = np.eye(4, dtype=np.float64)[::2]
    q.flags.writeable = False
    assert top_k(q, np.asfortranarray(np.eye(4)), 1).index.tolist() == [[0], [2]]


def test_what_cannot_be_searched_says_why() -> None:
    with pytest.raises(ConfigError, match="k is 0"):
        top_k(np.eye(2), np.eye(2), 0)
    with pytest.raises(ConfigError, match="annoy"):
        top_k(np.eye(2), np.eye(2), 1, "annoy")  # type: ignore[arg-type] # a user's mistake
    with pytest.raises(DataError, match="NaN"):
        top_k(np.full((1, 2), np.nan), np.eye(2), 1)
