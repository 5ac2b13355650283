"""Sides that arrive in blocks, galleries of several blocks, and what they may cost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from cvgl.errors import ConfigError, DataError
from cvgl.retrieval import evaluate, ranking, scoring, top_k
from cvgl.retrieval.evaluation import Evaluation


class Stream:
    """Rows of an array in blocks of uneven sizes."""

    def __init__(self, rows: Any, sizes: tuple[int, ...] = (3, 1, 40)) -> None:
        self.rows, self.sizes, self.reads = rows, sizes, 0

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def dimension(self) -> int:
        return int(self.rows.shape[1])

    def blocks(self) -> Iterator[Any]:
        self.reads += 1
        start, turn = 0, 0
        while start < len(self.rows):
            size = self.sizes[turn % len(self.sizes)]
            yield self.rows[start : start + size]
            start, turn = start + size, turn + 1


def unit(rng: np.random.Generator, n: int, dimension: int = 24) -> Any:
    rows = rng.standard_normal((n, dimension)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "ONE_BLOCK_ROWS": 1,
        "GALLERY_ROWS": 37,
        "QUERY_ROWS": 13,
        "BLOCK_SCORES": 1,
        "HELD_PAIRS": 300,
        "HELD_BYTES": 4 * 24 * 29,
    }.items():
        monkeypatch.setattr(ranking, name, value)


def same(a: Evaluation, b: Evaluation) -> bool:
    fields = ("rank", "average_precision", "n_right", "labelled", "top_index", "top_score", "top_correct")
    arrays = all(np.array_equal(getattr(a.per_query, f), getattr(b.per_query, f), equal_nan=f[0] == "a") for f in fields)
    return arrays and (a.recall, a.ap, a.n_queries, a.n_gallery, a.rows_digest) == (
        b.recall,
        b.ap,
        b.n_queries,
        b.n_gallery,
        b.rows_digest,
    )


@pytest.mark.parametrize("protocol", ["university1652-951", "university1652-701-standard"])
@pytest.mark.parametrize("places", [1, 12, 400])
def test_streamed_and_in_blocks_is_what_it_is_in_memory(protocol: str, places: int, request: pytest.FixtureRequest) -> None:
    rng = np.random.default_rng(places)
    q, r = unit(rng, 91), unit(rng, 301)
    r[40:60] = r[100:120]  # equal references in different blocks
    query, reference = rng.integers(0, places + 3, 91), rng.integers(-1, places, 301)
    plain = evaluate(q, query, r, reference, protocol, top_k=50)
    request.getfixturevalue("small_blocks")
    in_blocks = evaluate(q, query, r, reference, protocol, top_k=50)
    streamed = evaluate(Stream(q), query, Stream(r), reference, protocol, top_k=50)
    assert same(plain, in_blocks)
    assert same(plain, streamed)


def test_the_best_answers_are_merged_over_blocks(small_blocks: None) -> None:
    rng = np.random.default_rng(0)
    q, r = unit(rng, 20), np.repeat(unit(rng, 60), 3, axis=0)  # every score three times: equal ones in gallery order
    neighbours, expected = top_k(Stream(q), Stream(r), 100), np.argsort(-(q @ r.T).round(6), axis=1, kind="stable")[:, :100]
    np.testing.assert_array_equal(neighbours.index, expected)
    np.testing.assert_array_equal(top_k(q, r, 100, "exact").index, expected)
    assert top_k(Stream(q[:0]), Stream(r), 5).index.shape == (0, 5)


def test_constant_descriptors_find_nothing_in_blocks_either(small_blocks: None) -> None:
    constant = np.full((1, 384), 384**-0.5, np.float32)
    result = evaluate(np.tile(constant, (95, 1)), np.arange(95), Stream(np.tile(constant, (211, 1))), np.arange(211))
    assert result.per_query.rank.tolist() == [211] * 95


def test_products_that_are_not_reproducible_are_counted_against_the_method(
    small_blocks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second visit sees scores a little lower than the first: without care all constant answers would be right."""
    original, calls = scoring.products, iter(range(10**9))
    monkeypatch.setattr(scoring, "products", lambda *arguments: original(*arguments) - 1e-6 * (next(calls) % 7))
    result = evaluate(np.full((40, 4), 0.5), np.arange(40), np.full((90, 4), 0.5), np.arange(90))
    assert result.per_query.rank.tolist() == [90] * 40


def test_memory_follows_neither_queries_nor_gallery(monkeypatch: pytest.MonkeyPatch, small_blocks: None) -> None:
    sizes: list[int] = []
    original = scoring.products

    def spy(*arguments: Any) -> torch.Tensor:
        scores = original(*arguments)
        sizes.append(scores.numel())
        return scores

    monkeypatch.setattr(scoring, "products", spy)
    rng = np.random.default_rng(3)
    evaluate(unit(rng, 500), np.arange(500), Stream(unit(rng, 600)), np.arange(600))
    assert max(sizes) <= ranking.QUERY_ROWS * ranking.GALLERY_ROWS
    assert sum(sizes) < 1.3 * 500 * 600, "products are made twice only where right answers are"


def test_one_place_shown_by_everything_is_held_a_few_queries_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "HELD_PAIRS", 1000)
    sizes: list[int] = []
    original = ranking._Tally

    class Spy(original):  # type: ignore[misc, valid-type] # watches what is held
        def __init__(self, right: torch.Tensor, *rest: Any) -> None:
            sizes.append(right.numel())
            super().__init__(right, *rest)

    monkeypatch.setattr(ranking, "_Tally", Spy)
    rng = np.random.default_rng(4)
    result = evaluate(unit(rng, 100), [0] * 100, unit(rng, 300), [0] * 300)
    assert result.ap == 1
    assert max(sizes) <= 1000


def test_a_small_streamed_gallery_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "HELD_PAIRS", 10)
    gallery = Stream(np.eye(9, dtype=np.float32))
    assert evaluate(np.eye(9), np.arange(9), gallery, np.arange(9)).recall[1] == 1
    assert gallery.reads == 1
    monkeypatch.setattr(ranking, "ONE_BLOCK_BYTES", 9 * 9 * 4 - 1)
    assert evaluate(np.eye(9), np.arange(9), gallery, np.arange(9)).recall[1] == 1


def test_a_bad_row_of_a_stream_is_named() -> None:
    rows = np.eye(50, dtype=np.float32)
    rows[47, 3] = np.nan
    with pytest.raises(DataError, match="the first in row 47") as caught:
        evaluate(np.eye(50), np.arange(50), Stream(rows), np.arange(50))
    assert caught.value.where == "references"
    with pytest.raises(DataError, match="the first in row 47"):
        evaluate(Stream(rows), np.arange(50), np.eye(50), np.arange(50))


@pytest.mark.parametrize("remaining", [[0, 1, 2], [0, -1, 2]])
def test_a_stream_that_is_not_what_it_says_is_refused(remaining: list[int]) -> None:
    class Short(Stream):
        def __len__(self) -> int:
            return 3

    class Ragged(Stream):
        def blocks(self) -> Iterator[Any]:
            yield self.rows[:1]
            yield self.rows[1:, :1]

    with pytest.raises(DataError, match="2 rows arrived where 3 were announced"):
        evaluate(np.eye(2), [0, 1], Short(np.eye(2)), remaining)
    with pytest.raises(DataError, match="of 3 and of 1 dimensions"):
        evaluate(np.eye(3), [0, 1, 2], Ragged(np.eye(3)), remaining)
    with pytest.raises(DataError, match="4 dimensions and references 3"):
        evaluate(Stream(np.eye(4)), [0, 1, 2, 3], Stream(np.eye(3)), remaining)


def test_the_device_is_checked_and_precision_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    eye = np.eye(2)
    with pytest.raises(ConfigError, match="tpu"):
        evaluate(eye, [0, 1], eye, [0, 1], device="tpu")
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="CUDA"):
            evaluate(eye, [0, 1], eye, [0, 1], device="cuda")
    during: list[str] = []
    original = scoring.products

    def watched(*arguments: Any) -> Any:
        during.append(torch.get_float32_matmul_precision())
        return original(*arguments)

    monkeypatch.setattr(scoring, "products", watched)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        evaluate(eye, [0, 1], eye, [0, 1], device="cpu")
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)
    assert set(during) == {"highest"}
