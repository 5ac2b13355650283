"""How well a gallery answers queries whose places are known.

The only part of the library that takes labels. What it returns never flows back into training, selection or search.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from cvgl.errors import DataError
from cvgl.hashing import digest_json, sha256_bytes
from cvgl.retrieval import metrics, protocols, ranking, scoring
from cvgl.retrieval.blocks import DescriptorSource, Side, check_widths
from cvgl.retrieval.protocols import Protocol

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from cvgl.types import Float32Array

Label: TypeAlias = str | int | None
Labels: TypeAlias = "Sequence[Label] | NDArray[np.generic]"

JUNK = -1  # a gallery label in this field: neither right nor wrong, the image is left out of every ranking
_UNKNOWN = -2  # codes of labels: known places count from 0


@dataclass(frozen=True, slots=True)
class QueryOutcomes:
    """One entry a query, in the order given.

    Attributes:
        rank: int64 (Q,), 1-based rank of the first right answer; 0 where the gallery has none or the place is unknown.
        average_precision: float64 (Q,), of the protocol's kind; NaN where rank is 0.
        n_right: int64 (Q,), how many right answers the gallery holds.
        labelled: bool (Q,), whether the query's place is known, so that it counts.
        top_index: int64 (Q, K), rows of the references as given, best first; K = min(top_k, gallery).
        top_score: float32 (Q, K).
        top_correct: bool (Q, K).
    """

    rank: NDArray[np.int64]
    average_precision: NDArray[np.float64]
    n_right: NDArray[np.int64]
    labelled: NDArray[np.bool_]
    top_index: NDArray[np.int64]
    top_score: Float32Array
    top_correct: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Figures of one ranking under one protocol. All rates are fractions; NaN when no query's place is known.

    Attributes:
        recall: R@k for 1, 5, 10 and ``"1%"``.
        ap: mean average precision, of the protocol's kind.
        per_query: what the figures are means of.
        protocol: name of the protocol.
        protocol_hash: hash of its rules.
        n_queries: queries with a known place; what the rates divide by.
        n_gallery: references ranked.
        most_right: the largest number of right answers of a counted query; up to 1, both kinds of average precision convert.
        rows_digest: hash over which queries match which references; equal digests mean the same questions.
    """

    recall: dict[int | str, float]
    ap: float
    per_query: QueryOutcomes
    protocol: str
    protocol_hash: str
    n_queries: int
    n_gallery: int
    most_right: int
    rows_digest: str


def evaluate(
    z_q: DescriptorSource,
    query_ids: Labels,
    z_r: DescriptorSource,
    reference_ids: Labels,
    protocol: str | Protocol = protocols.GENERIC,
    *,
    top_k: int = 10,
    device: str = "auto",
) -> Evaluation:
    """Ranks all references for each query by inner product and measures where the right ones stand.

    Exact, and in memory that does not grow with Q x N. Either side may be larger than memory: give it as an object with a
    length and a method `blocks` (`cvgl.retrieval.BlockedDescriptors`), which may be read several times.

    Args:
        z_q: float (Q, d), unit rows, or `BlockedDescriptors`.
        query_ids: Q place labels, all strings or all integers; None or -1: unknown, the query is not counted.
        z_r: float (N, d), unit rows, or `BlockedDescriptors`.
        reference_ids: N place labels; several references may show one place. None: some place that no query shows;
            -1: junk, left out of the ranking.
        protocol: name of a protocol, or a protocol.
        top_k: answers kept for each query in `per_query`.
        device: ``auto`` (the GPU where there is one), ``cpu`` or ``cuda``.

    Raises:
        DataError: no queries or no references, counts or shapes that do not fit, NaN, or labels of two types.
        ConfigError: unknown protocol or device.
    """
    q, r = Side("queries", z_q), Side("references", z_r)
    check_widths(q, r)
    task = _asked(query_ids, q.rows, reference_ids, r.rows, protocol)
    gallery = ranking.Gallery(r, task.columns, scoring.device_of(device))
    with scoring.full_precision():
        return _measured(task, top_k, lambda right, most, k: ranking.rank(q, gallery, right, most, k))


def evaluate_scores(
    scores: Iterable[Float32Array],
    query_ids: Labels,
    reference_ids: Labels,
    protocol: str | Protocol = protocols.GENERIC,
    *,
    top_k: int = 10,
) -> Evaluation:
    """Measures a ranking by scores that are no inner products: probabilities of a course, re-ranked neighbours.

    Args:
        scores: float32 (B, N) each, larger is better, of some queries after the other, Q rows in all; held one at a time.
        query_ids: Q place labels, see `evaluate`.
        reference_ids: N place labels, likewise.
        protocol: name of a protocol, or a protocol.
        top_k: answers kept for each query in `per_query`.

    Raises:
        DataError: as `evaluate`; or other shapes than the labels say.
        ConfigError: unknown protocol.
    """
    task = _asked(query_ids, len(query_ids), reference_ids, len(reference_ids), protocol)
    checked = _checked(scores, len(query_ids), len(reference_ids))
    return _measured(task, top_k, lambda right, most, k: ranking.rank_scores(checked, task.columns, right, k))


def _checked(scores: Iterable[Float32Array], n_queries: int, n_references: int) -> Iterator[Float32Array]:
    n_rows = 0
    for block in scores:
        if block.ndim != 2 or block.shape[1] != n_references or np.isnan(block).any():
            problem = "NaN among the scores" if block.shape[1:] == (n_references,) else f"scores of shape {block.shape}"
            raise DataError(problem, where="scores", fix=f"give a number for each of {n_references} references, a row a query")
        n_rows += len(block)
        if n_rows <= n_queries:
            yield block
    if n_rows != n_queries:
        raise DataError(f"{n_rows} rows of scores for {n_queries} queries", where="scores", fix="give one row a query")


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question, in whole numbers: places count from 0.

    Attributes:
        query: int64 (Q,), codes of the queries' places.
        reference: int64 (K,), codes of the places of the references that are ranked.
        ranked_columns: int64 (K,), which references those are, rising.
        n_references: N, of which K are ranked.
        rules: the protocol.
    """

    query: NDArray[np.int64]
    reference: NDArray[np.int64]
    ranked_columns: NDArray[np.int64]
    n_references: int
    rules: Protocol

    @property
    def columns(self) -> NDArray[np.int64] | None:
        """Which references are ranked; none where all are."""
        return None if len(self.ranked_columns) == self.n_references else self.ranked_columns


def _asked(query_ids: Labels, n_queries: int, reference_ids: Labels, n_references: int, protocol: str | Protocol) -> _Asked:
    rules = protocols.get(protocol) if isinstance(protocol, str) else protocol
    query, reference = _encode(query_ids, n_queries, reference_ids, n_references)
    ranked_columns = np.flatnonzero(_ranked(query, reference, rules))
    if not n_queries or not len(ranked_columns):
        raise DataError(
            f"nothing to evaluate: {n_queries} queries, {len(ranked_columns)} of {n_references} references ranked "
            f"under {rules.name}",
            where="evaluate",
            fix="check the subsets of the data set, and that query and reference labels name the same places",
        )
    return _Asked(query, reference[ranked_columns], ranked_columns, n_references, rules)


def _digest(query: NDArray[np.int64], reference: NDArray[np.int64]) -> str:
    """Codes are numbered as places appear, so they say what matches what whatever the places are called."""
    return digest_json([sha256_bytes(np.ascontiguousarray(codes, "<i8").tobytes()) for codes in (query, reference)])


def _encode(
    query_ids: Labels, n_queries: int, reference_ids: Labels, n_references: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Labels of both sides -> whole numbers; equal labels get equal codes."""
    sides = []
    for side, labels, expected in (("query_ids", query_ids, n_queries), ("reference_ids", reference_ids, n_references)):
        values = [_plain(label, side) for label in (labels.tolist() if isinstance(labels, np.ndarray) else labels)]
        if len(values) != expected:
            raise DataError(f"{len(values)} labels for {expected} descriptors", where=side, fix="give one label a descriptor")
        sides.append(values)
    kinds = [{type(label) for label in side} - {type(None)} for side in sides]
    if len(kinds[0] | kinds[1]) > 1:
        raise DataError("some labels are text and some are whole numbers", where="query_ids, reference_ids", fix="use one type")
    codes: dict[Label, int] = {None: _UNKNOWN, JUNK: JUNK, str(JUNK): JUNK}
    for label in (*sides[1], *sides[0]):
        codes.setdefault(label, len(codes))
    query, reference = (np.fromiter((codes[label] for label in side), np.int64, len(side)) for side in sides)
    query[query == JUNK] = _UNKNOWN
    return query, reference


def _plain(label: object, side: str) -> Label:
    if label is None or (isinstance(label, float) and math.isnan(label)):
        return None
    if isinstance(label, str | int | np.integer) and not isinstance(label, bool):
        return label if isinstance(label, str) else int(label)
    raise DataError(f"a label is {label!r}", where=side, fix="labels are text, whole numbers, or None where unknown")


def _ranked(query: NDArray[np.int64], reference: NDArray[np.int64], rules: Protocol) -> NDArray[np.bool_]:
    ranked = np.asarray(reference != JUNK)
    if rules.gallery == "with_query":
        ranked &= np.isin(reference, query[query >= 0])
    return ranked


RightOf: TypeAlias = "Callable[[slice], tuple[torch.Tensor, torch.Tensor]]"


def _measured(task: _Asked, top_k: int, ranked: Callable[[RightOf, int, int], Iterator[ranking.Ranks]]) -> Evaluation:
    """Args: `ranked` is given what says which answers are right, how many a query has at most, and how many are kept."""
    import torch

    query, reference = task.query, task.reference
    n, k = len(query), min(top_k, len(reference))
    right_answers = RightAnswers(reference)
    outcomes = QueryOutcomes(
        rank=np.zeros(n, np.int64),
        average_precision=np.full(n, np.nan),
        n_right=right_answers.count(query),
        labelled=query >= 0,
        top_index=np.empty((n, k), np.int64),
        top_score=np.empty((n, k), np.float32),
        top_correct=np.empty((n, k), np.bool_),
    )
    precision = metrics.AVERAGE_PRECISION[task.rules.average_precision]
    most = max(1, int(outcomes.n_right.max(initial=0)))
    for ranks in ranked(lambda block: right_answers.of(query[block]), most, k):
        block, places = ranks.queries, query[ranks.queries, None]
        outcomes.top_index[block], outcomes.top_score[block] = task.ranked_columns[ranks.top_index], ranks.top_score
        outcomes.top_correct[block] = (reference[ranks.top_index] == places) & (places >= 0)
        average = precision(ranks.right, ranks.n_right)
        outcomes.rank[block] = torch.where(ranks.n_right > 0, ranks.right[:, 0] + 1, 0).numpy()
        outcomes.average_precision[block] = torch.where(ranks.n_right > 0, average, math.nan).numpy()
    return _summarise(outcomes, task)


class RightAnswers:
    """Looks up which references show a place, for many queries at once."""

    def __init__(self, reference: NDArray[np.int64]) -> None:
        """Args: codes of the references' places, int64 (N,); below 0 where unknown."""
        self._order = np.argsort(reference, kind="stable")
        self._places, self._first, self._count = np.unique(reference[self._order], return_index=True, return_counts=True)

    def count(self, query: NDArray[np.int64]) -> NDArray[np.int64]:
        """Codes (Q,) -> how many references show each place; 0 where it is unknown."""
        at = self._at(query)
        return np.where((self._places[at] == query) & (query >= 0), self._count[at], 0)

    def of(self, query: NDArray[np.int64]) -> tuple[torch.Tensor, torch.Tensor]:
        """Codes (B,) -> rows of the right references int64 (B, P) and which of the entries count (B, P); P is at least 1."""
        import torch

        count = self.count(query)
        offset = np.arange(max(1, int(count.max(initial=0))))
        valid = offset < count[:, None]
        rows = self._order[np.where(valid, self._first[self._at(query)][:, None] + offset, 0)]
        return torch.from_numpy(rows), torch.from_numpy(valid)

    def _at(self, query: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.searchsorted(self._places, query).clip(max=len(self._places) - 1)


def _summarise(outcomes: QueryOutcomes, task: _Asked) -> Evaluation:
    rules = task.rules
    ranks = outcomes.rank[outcomes.labelled]
    precisions = np.nan_to_num(outcomes.average_precision[outcomes.labelled])  # no right answer: AP 0, yet counted
    depths: dict[int | str, int] = {1: 1, 5: 5, 10: 10, "1%": rules.one_percent_depth(task.n_references)}
    return Evaluation(
        recall={key: metrics.recall_at_k(ranks, depth) if len(ranks) else math.nan for key, depth in depths.items()},
        ap=float(precisions.mean()) if len(ranks) else math.nan,
        per_query=outcomes,
        protocol=rules.name,
        protocol_hash=rules.hash,
        n_queries=len(ranks),
        n_gallery=len(task.reference),
        most_right=int(outcomes.n_right.max(initial=0)),
        rows_digest=_digest(task.query, task.reference),
    )
