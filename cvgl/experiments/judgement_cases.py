"""Cases with known answers, to calibrate and test judgements on: descriptors of made-up places, corrupted in many ways.

Answers are known here, so nothing that learns, chooses or judges imports this module; it hands out descriptors only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from cvgl.adaptation.descriptors import unit_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cvgl.types import Float32Array

STYLES = 12
NOWHERE = -1


@dataclass(frozen=True, slots=True)
class Case:
    """Two views to learn from and two to be asked.

    Attributes:
        group: what it was made from; cases of one group err together.
        name: of this corruption.
        train_queries, train_references: float32 (n, d), descriptors to learn from.
        queries, references: float32 (n, d), of other places, to be asked.
        query_places, reference_places: int64, the place of each; -1 where it is none of the others'.
    """

    group: str
    name: str
    train_queries: Float32Array
    train_references: Float32Array
    queries: Float32Array
    references: Float32Array
    query_places: NDArray[np.int64]
    reference_places: NDArray[np.int64]


def corruptions(case: Case, count: int, seed: int) -> Iterator[Case]:
    """The case as it is, then corrupted: noise, fewer dimensions, references missing, distractors gone, views a place."""
    yield replace(case, name="as it is")
    rng = np.random.default_rng(seed)
    for number in range(1, count):
        changed = _noisy(case, float(rng.choice([0.0, 0.3, 0.6, 1.0])), rng)
        changed = _projected(changed, float(rng.choice([1.0, 0.5])), rng)
        changed = _thinned(
            changed, float(rng.choice([1.0, 0.7, 0.4])), float(rng.choice([1.0, 0.5, 0.25])), bool(rng.integers(2)), rng
        )
        yield replace(changed, name=f"corruption {number}")


def trainings(case: Case, count: int, seed: int) -> Iterator[Case]:
    """The case as it is, then with less to learn from: noise, fewer dimensions, fewer training images of either view."""
    yield replace(case, name="as it is")
    rng = np.random.default_rng(1000 + seed)
    for number in range(1, count):
        changed = _noisy(case, float(rng.choice([0.0, 0.3, 0.6, 1.0])), rng)
        changed = _projected(changed, float(rng.choice([1.0, 0.5, 0.25])), rng)
        train_rows = [
            _share(len(rows), float(rng.choice([1.0, 0.6, 0.4])), rng) for rows in (case.train_queries, case.train_references)
        ]
        yield replace(
            changed,
            name=f"training {number}",
            train_queries=changed.train_queries[train_rows[0]],
            train_references=changed.train_references[train_rows[1]],
        )


def _share(count: int, share: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """So many of the rows, at least 24."""
    return np.sort(rng.permutation(count)[: max(24, round(share * count))])


def mismatched(case: Case, other: Case) -> Case:
    """Queries of one world, references of another: nothing can be found."""
    count = min(case.queries.shape[1], other.queries.shape[1])
    nowhere = np.full(len(other.references), NOWHERE - 1, np.int64)
    return Case(
        case.group,
        f"references of {other.group}",
        case.train_queries[:, :count],
        other.train_references[:, :count],
        case.queries[:, :count],
        other.references[:, :count],
        case.query_places,
        nowhere,
    )


def _noisy(case: Case, level: float, rng: np.random.Generator) -> Case:
    """Isotropic noise of so many times the deviation of a view's rows."""

    def with_noise(rows: Float32Array) -> Float32Array:
        scale = level * float(rows.std(axis=0).mean())
        return unit_rows((rows + scale * rng.normal(size=rows.shape)).astype(np.float32))

    return replace(
        case,
        train_queries=with_noise(case.train_queries),
        train_references=with_noise(case.train_references),
        queries=with_noise(case.queries),
        references=with_noise(case.references),
    )


def _projected(case: Case, share: float, rng: np.random.Generator) -> Case:
    d0 = case.queries.shape[1]
    if share == 1.0:
        return case
    mix = rng.normal(size=(d0, max(16, round(share * d0)))).astype(np.float32)
    return replace(
        case,
        train_queries=unit_rows(case.train_queries @ mix),
        train_references=unit_rows(case.train_references @ mix),
        queries=unit_rows(case.queries @ mix),
        references=unit_rows(case.references @ mix),
    )


def _thinned(case: Case, reference_share: float, query_share: float, one_view: bool, rng: np.random.Generator) -> Case:
    """References left out, so that some queries have no answer; queries left out; and one image a place where wanted."""
    references = np.sort(rng.permutation(len(case.references))[: max(12, round(reference_share * len(case.references)))])
    queries = np.arange(len(case.queries))
    if one_view:
        order = rng.permutation(len(case.queries))
        queries = np.sort(order[np.unique(case.query_places[order], return_index=True)[1]])
    queries = np.sort(rng.permutation(queries)[: max(12, round(query_share * len(queries)))])
    return replace(
        case,
        queries=case.queries[queries],
        query_places=case.query_places[queries],
        references=case.references[references],
        reference_places=case.reference_places[references],
    )


def synthetic(seed: int) -> Case:
    """A world of the two-covariance family: places and noise are Gaussian with spectra of their own, drawn from the seed."""
    rng = np.random.default_rng(seed)
    d0 = int(rng.choice([48, 96, 192, 384]))
    views, places = int(rng.choice([1, 1, 2, 4])), int(rng.integers(60, 200))
    content, noise = _basis(d0, rng.uniform(0, 1.2), rng), _basis(d0, rng.uniform(0, 1.5), rng)
    level = float(np.exp(rng.uniform(np.log(0.2), np.log(4.0))))
    offsets = rng.uniform(0, 3) * rng.normal(size=(2, d0)) / np.sqrt(d0)
    scales = np.exp(rng.uniform(0, 0.5) * rng.normal(size=(2, d0)))
    common = rng.uniform(0, 2) * rng.normal(size=d0) / np.sqrt(d0)

    def look(which: NDArray[np.float64], view: int) -> Float32Array:
        rows = which @ content + level * rng.normal(size=(len(which), d0)) @ noise
        return unit_rows((rows * scales[view] + offsets[view] + common).astype(np.float32))

    def side(count: int, unseen: int) -> tuple[Float32Array, Float32Array, NDArray[np.int64], NDArray[np.int64]]:
        content = rng.normal(size=(count + unseen, d0))
        locations = np.repeat(np.arange(count), views)
        return look(content[locations], 0), look(content, 1), locations, np.arange(count + unseen)

    train = side(places, int(rng.integers(0, places)))
    test = side(places, int(rng.choice([0, places // 2, 2 * places])))
    return Case(f"synthetic-{seed}", "as it is", train[0], train[1], test[0], test[1], test[2], test[3])


def _basis(d0: int, decay: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Directions with a falling spectrum, rows of total length 1."""
    directions = np.linalg.qr(rng.normal(size=(d0, d0)))[0]
    spectrum = np.arange(1, d0 + 1, dtype=np.float64) ** (-decay / 1.0)
    return np.asarray(directions * np.sqrt(spectrum / spectrum.sum())[:, None])


def recall_at_1(queries: Float32Array, references: Float32Array, places: tuple[NDArray[np.int64], NDArray[np.int64]]) -> float:
    """Share of queries whose most similar reference shows their place."""
    first = (queries @ references.T).argmax(axis=1)
    return float((places[1][first] == places[0]).mean())
