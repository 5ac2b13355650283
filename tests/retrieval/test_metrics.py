"""Figures against a transcription that loops, and what traps an evaluation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvgl.errors import ConfigError, DataError
from cvgl.retrieval import evaluate, ranking, scoring
from cvgl.retrieval.protocols import PROTOCOLS, Protocol

TRAPEZOID, STANDARD = "university1652-951", "university1652-951-standard"


def naive(scores: Any, query: list[Any], reference: list[Any], protocol: Protocol, unknown: Any = None) -> dict[str, Any]:
    """One query at a time, the whole ranking written out."""
    ranks, averages = [], []
    for row, place in zip(scores, query, strict=True):
        if place == unknown:
            continue
        ranked = [j for j, label in enumerate(reference) if label != -1]
        if protocol.gallery == "with_query":
            ranked = [j for j in ranked if reference[j] in query]
        # Wrong before right among equal scores.
        ranked.sort(key=lambda j: (-row[j], reference[j] == place))
        right = [i for i, j in enumerate(ranked) if reference[j] == place]
        ranks.append(right[0] if right else math.inf)
        average = 0.0
        for n_retrieved, rank in enumerate(right):
            precision = (n_retrieved + 1) / (rank + 1)
            previous = n_retrieved / rank if rank else 1.0
            average += (precision if protocol.average_precision == "standard" else (previous + precision) / 2) / len(right)
        averages.append(average)
    return {
        "recall": {k: np.mean([rank < k for rank in ranks]) for k in (1, 5, 10)},
        "1%": np.mean([rank < protocol.one_percent_depth(len(reference)) for rank in ranks]),
        "ap": np.mean(averages),
        "n": len(ranks),
    }


# Few distinct values make ties, few places make several right answers, -1 is junk, 9 has no match.
@settings(max_examples=150, deadline=None)
@given(
    data=st.data(),
    protocol=st.sampled_from(sorted(PROTOCOLS)),
    n_gallery=st.integers(1, 40),
    n_queries=st.integers(1, 7),
)
def test_agrees_with_the_naive_transcription(data: st.DataObject, protocol: str, n_gallery: int, n_queries: int) -> None:
    cell = st.integers(-2, 2)
    scores = np.array(
        data.draw(st.lists(st.lists(cell, min_size=n_gallery, max_size=n_gallery), min_size=n_queries, max_size=n_queries))
    )
    reference = data.draw(st.lists(st.sampled_from([-1, 0, 0, 1, 2]), min_size=n_gallery, max_size=n_gallery))
    query = data.draw(st.lists(st.sampled_from([0, 1, 2, 9]), min_size=n_queries, max_size=n_queries))
    rules = PROTOCOLS[protocol]
    remaining = [place for place in reference if place != -1 and (rules.gallery == "all" or place in query)]
    # With unit vectors as references, the inner products are the scores themselves.
    arguments = (scores.astype(np.float32), query, np.eye(n_gallery, dtype=np.float32), reference, protocol)
    if not remaining:
        with pytest.raises(DataError, match="nothing to evaluate"):
            evaluate(*arguments)
        return

    result, expected = evaluate(*arguments), naive(scores, query, reference, rules)

    assert {k: result.recall[k] for k in (1, 5, 10)} == pytest.approx(expected["recall"], abs=1e-12)
    assert result.recall["1%"] == pytest.approx(expected["1%"], abs=1e-12)
    assert result.ap == pytest.approx(expected["ap"], abs=1e-12)
    assert result.n_queries == expected["n"]
    assert result.n_gallery == len(remaining)


@pytest.mark.parametrize("per_place", [1, 3, 30])
@pytest.mark.parametrize("few", [0, 100])
@pytest.mark.parametrize("block", [1, 50, 10_000])
def test_many_right_answers_are_counted_as_few_are(
    per_place: int, few: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both ways of counting, and blocks of any size, give one answer."""
    rng = np.random.default_rng(per_place)
    q, r = rng.integers(-1, 2, (23, 6)).astype(np.float32), rng.integers(-1, 2, (4 * per_place, 6)).astype(np.float32)
    query, reference = rng.integers(0, 4, 23), np.repeat(np.arange(4), per_place)
    expected = naive(q @ r.T, query.tolist(), reference.tolist(), PROTOCOLS[TRAPEZOID])
    monkeypatch.setattr(scoring, "_FEW", few)
    monkeypatch.setattr(ranking, "BLOCK_SCORES", block)
    monkeypatch.setattr(ranking, "QUERY_ROWS", min(block, 96))
    result = evaluate(q, query, r, reference, TRAPEZOID)
    assert result.ap == pytest.approx(expected["ap"], abs=1e-12)
    assert result.recall[1] == expected["recall"][1]


def test_one_right_answer_links_both_average_precisions() -> None:
    rng = np.random.default_rng(0)
    q, r, query = rng.standard_normal((40, 8)), rng.standard_normal((25, 8)), rng.integers(0, 25, 40)
    trapezoid, standard = (evaluate(q, query, r, np.arange(25), name) for name in (TRAPEZOID, STANDARD))
    assert standard.ap == pytest.approx(2 * trapezoid.ap - trapezoid.recall[1], abs=1e-12)
    assert trapezoid.recall == standard.recall


@pytest.mark.parametrize("per_place", [1, 4])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_constant_descriptors_score_no_better_than_chance(value: float, per_place: int) -> None:
    places = np.repeat(np.arange(30), per_place)
    result = evaluate(np.full((30, 8), value), np.arange(30), np.full((len(places), 8), value), places, TRAPEZOID)
    for depth in (1, 5, 10):
        assert result.recall[depth] <= depth / 30
    assert result.ap <= 1 / 30 + 0.1


@pytest.mark.parametrize("dimension", [7, 384, 768, 2048])
@pytest.mark.parametrize("collapsed", ["queries", "references", "both"])
def test_constant_descriptors_of_any_size_find_nothing(dimension: int, collapsed: str) -> None:
    """Ragged ends and single rows of a matrix product round differently: that must not look like a better answer."""
    rng = np.random.default_rng(dimension)
    constant = rng.standard_normal(dimension)
    q = np.tile(constant / np.linalg.norm(constant), (437, 1)).astype(np.float32)
    r = np.tile(constant / np.linalg.norm(constant), (951, 1)).astype(np.float32)
    if collapsed == "references":
        q = (q + 0.02 * rng.standard_normal(q.shape)).astype(np.float32)
    if collapsed == "queries":
        r = (r + 0.02 * rng.standard_normal(r.shape)).astype(np.float32)
    result = evaluate(q, np.arange(437), r, np.arange(951))
    if collapsed == "queries":  # one ranking for all: k answers are right for k queries at most
        assert all(result.recall[k] <= k / 437 for k in (1, 5, 10))
    else:
        assert result.per_query.rank.tolist() == [951] * 437


def test_duplicated_images_and_ids_cost_a_place() -> None:
    eye = np.eye(3, dtype=np.float32)
    copy_elsewhere = evaluate(eye, [0, 1, 2], np.concatenate([eye, eye[:1]]), [0, 1, 2, 7])
    assert copy_elsewhere.per_query.rank.tolist() == [2, 1, 1]
    twice = evaluate(eye, [0, 1, 2], np.concatenate([eye, eye]), [0, 1, 2, 0, 1, 2])
    assert twice.per_query.rank.tolist() == [1, 1, 1]
    assert twice.ap == 1
    assert twice.per_query.n_right.tolist() == [2, 2, 2]
    assert twice.most_right == 2
    asked_twice = evaluate(eye[[0, 0, 1]], [0, 0, 1], eye, [0, 1, 2])
    assert asked_twice.n_queries == 3


def test_the_digest_of_rows_tells_questions_apart_whatever_places_are_called() -> None:
    eye = np.eye(3, dtype=np.float32)
    digests = {
        evaluate(eye, query, eye, reference).rows_digest
        for query, reference in (([0, 1, 2], [0, 1, 2]), (["a", "b", "c"], ["a", "b", "c"]), ([7, 8, 9], [7, 8, 9]))
    }
    assert len(digests) == 1
    assert evaluate(eye, [0, 2, 1], eye, [0, 1, 2]).rows_digest not in digests
    assert evaluate(eye, [0, 1, 2], eye, [0, 1, None]).rows_digest not in digests


def test_shuffled_labels_fall_to_chance() -> None:
    rng = np.random.default_rng(1)
    r = rng.standard_normal((200, 32)).astype(np.float32)
    q = r + 0.1 * rng.standard_normal(r.shape).astype(np.float32)
    assert evaluate(q, np.arange(200), r, np.arange(200)).recall[1] > 0.99
    shuffled = evaluate(q, np.arange(200), r, rng.permutation(200))
    assert shuffled.recall[1] < 0.05


def test_a_query_without_a_match_is_a_miss_and_an_unlabelled_one_is_not_asked() -> None:
    eye = np.eye(3, dtype=np.float32)
    result = evaluate(eye, ["a", "nowhere", None], eye, ["a", "b", "c"], TRAPEZOID)
    assert (result.n_queries, result.n_gallery) == (2, 3)
    assert result.recall[1] == result.ap == 0.5
    assert result.per_query.rank.tolist() == [1, 0, 0]
    assert result.per_query.labelled.tolist() == [True, True, False]
    assert np.isnan(result.per_query.average_precision[1:]).all()
    assert not result.per_query.top_correct[1:].any()


def test_references_of_unknown_place_distract_and_are_nobodys_answer() -> None:
    q, r = np.eye(2, dtype=np.float32), np.array([[1, 0], [0.9, 0.1], [0, 1]], np.float32)
    result = evaluate(q, ["a", None], r, [None, "a", None])
    assert result.recall[1] == 0
    assert result.per_query.rank.tolist() == [2, 0]
    assert result.n_gallery == 3


def test_junk_is_left_out_of_ranks_and_of_the_answers_kept() -> None:
    q, r = np.eye(2, dtype=np.float32), np.array([[1, 0], [0.9, 0.1], [0, 1]], np.float32)
    result = evaluate(q, [7, 8], r, [-1, 7, 8], top_k=5)
    assert result.recall[1] == 1
    assert result.per_query.top_index.tolist() == [[1, 2], [2, 1]]
    assert result.per_query.top_correct.tolist() == [[True, False], [True, False]]


def test_without_distractors_the_gallery_holds_only_places_with_a_query() -> None:
    q, r = np.eye(2, 3, dtype=np.float32), np.eye(3, dtype=np.float32)
    assert evaluate(q, ["a", "b"], r, ["a", "b", "c"], "university1652-951").n_gallery == 3
    assert evaluate(q, ["a", "b"], r, ["a", "b", "c"], "university1652-701").n_gallery == 2


def test_no_labels_at_all_gives_no_figures_and_keeps_the_answers() -> None:
    eye = np.eye(3, dtype=np.float32)
    result = evaluate(eye, [None] * 3, eye, [None] * 3)
    assert result.n_queries == 0
    assert math.isnan(result.ap)
    assert math.isnan(result.recall[1])
    assert result.per_query.top_index[:, 0].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"z_q": np.zeros((0, 3))}, "nothing to evaluate"),
        ({"z_r": np.zeros((0, 3)), "reference_ids": []}, "nothing to evaluate"),
        ({"reference_ids": [-1, -1, -1]}, "nothing to evaluate"),
        ({"z_q": np.array([[0, np.nan, 0]] * 2)}, "2 of 2 descriptors hold NaN"),
        ({"z_q": np.array([[0, np.nan, 0]] * 2)}, "where: queries"),
        ({"z_r": np.full((3, 3), np.nan)}, "where: references"),
        ({"z_q": np.full((2, 3), 1e30)}, "above 1e18"),
        ({"z_r": np.array([[0, 0, 0], [0, np.inf, 0], [0, 0, 0]])}, "the first in row 1"),
        ({"z_q": np.zeros((2, 4))}, "4 dimensions and references 3"),
        ({"z_q": np.zeros(3)}, "shape"),
        ({"z_q": np.array([["a", "b", "c"]] * 2)}, "must be numbers"),
        ({"query_ids": [1]}, "1 labels for 2 descriptors"),
        ({"query_ids": ["1", "2"]}, "use one type"),
        ({"query_ids": [1, 2.5]}, "2.5"),
        ({"query_ids": [1, True]}, "True"),
    ],
)
def test_what_cannot_be_evaluated_says_why(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {
        "z_q": np.eye(2, 3),
        "query_ids": [0, 1],
        "z_r": np.eye(3),
        "reference_ids": [0, 1, 2],
    } | change
    if len(arguments["z_q"]) == 0:
        arguments["query_ids"] = []
    with pytest.raises(DataError) as caught:
        evaluate(**arguments)
    assert message in str(caught.value)


def test_an_unknown_protocol_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="university1652-951"):
        evaluate(np.eye(2), [0, 1], np.eye(2), [0, 1], "university")


def test_labels_may_come_from_pandas_and_numpy() -> None:
    eye = np.eye(3, dtype=np.float32)
    assert evaluate(eye, np.array(["a", float("nan"), None], dtype=object), eye, np.array(["a", "b", "c"])).n_queries == 1
    assert evaluate(eye, np.array([0, 1, -1], np.int16), eye, np.arange(3)).n_queries == 2
