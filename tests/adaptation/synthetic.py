"""Descriptors of one world seen from two sides: shared content, and each view's own offset, style and noise."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


class CrossView(NamedTuple):
    """Row i of queries and row i of references show the same place; training and test places differ."""

    train_queries: Array
    train_references: Array
    test_queries: Array
    test_references: Array


def cross_view(
    places: int = 60,
    views: int = 3,
    d0: int = 48,
    offset: float = 3.0,
    nuisance: float = 1.5,
    noise: float = 0.3,
    seed: int = 0,
) -> CrossView:
    """Places differ in 24 directions; each view adds an offset of its own and strong variation in 6 other directions."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.normal(size=(d0, d0)))[0]
    content, style = basis[:24], basis[24:30]
    offsets = {"query": rng.normal(size=d0), "reference": rng.normal(size=d0)}

    def look(places_content: NDArray[np.float64], side: str) -> Array:
        rows = places_content @ content + offset * offsets[side] / np.sqrt(d0) * 4
        rows = rows + nuisance * rng.normal(size=(len(rows), 6)) @ style + noise * rng.normal(size=rows.shape)
        return np.asarray((rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32))

    train, test = rng.normal(size=(places, 24)), rng.normal(size=(places, 24))
    # The order of the training rows says nothing about who belongs to whom.
    train_queries = look(np.repeat(train, views, axis=0), "query")[rng.permutation(places * views)]
    train_references = look(train, "reference")[rng.permutation(places)]
    return CrossView(train_queries, train_references, look(test, "query"), look(test, "reference"))


def recall_at_1(queries: Array, references: Array) -> float:
    """Share of queries i whose most similar reference is i."""
    return float(((queries @ references.T).argmax(axis=1) == np.arange(len(queries))).mean())
