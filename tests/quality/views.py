"""Descriptors of two views, related or not, for judgements."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cvgl.adaptation.descriptors import unit_rows
from cvgl.adaptation.standardise import fit
from tests.adaptation.synthetic import Array, CrossView


def pair(places: int = 80, dimension: int = 48, noise: float = 0.6, views: int = 1, seed: int = 0) -> tuple[Array, Array]:
    """Row i of the references shows place i; queries show place i // views. Each view has an offset of its own."""
    rng = np.random.default_rng(seed)
    content, offsets = rng.normal(size=(places, dimension)), 2 * rng.normal(size=(2, dimension))
    queries = np.repeat(content, views, axis=0) + offsets[0] + noise * rng.normal(size=(places * views, dimension))
    references = content + offsets[1] + noise * rng.normal(size=(places, dimension))
    return unit_rows(queries.astype(np.float32)), unit_rows(references.astype(np.float32))


def centred(places: int = 80, dimension: int = 48, noise: float = 0.6, seed: int = 0) -> tuple[Array, Array]:
    """The same as `pair`, each view by its own statistics: what descriptors are compared as."""
    queries, references = pair(places, dimension, noise, seed=seed)
    fitted = fit(queries, references)
    return fitted.transform_query(queries), fitted.transform_reference(references)


def unrelated(places: int = 80, dimension: int = 48, coarse: float = 2.0, seed: int = 0) -> tuple[Array, Array]:
    """Different places, whose descriptors still share what most of their variance is about: how bright, how green."""
    rng = np.random.default_rng(seed)
    look = coarse * rng.normal(size=(3, dimension))
    rows = [rng.normal(size=(places, 3)) @ look + rng.normal(size=(places, dimension)) for _ in range(2)]
    return unit_rows(rows[0].astype(np.float32)), unit_rows(rows[1].astype(np.float32))


def lit(places: int = 80, dimension: int = 48, light: float = 4.0, seed: int = 1) -> CrossView:
    """Images of one place differ by a light of their own, in three directions that any half of the dimensions knows."""
    rng = np.random.default_rng(seed)
    look = light * rng.normal(size=(3, dimension)) / np.sqrt(3)

    def side(content: NDArray[np.float64]) -> Array:
        noise = 0.4 * rng.normal(size=content.shape)
        return unit_rows((content + rng.normal(size=(places, 3)) @ look + noise).astype(np.float32))

    train, test = rng.normal(size=(2, places, dimension))
    return CrossView(side(train), side(train), side(test), side(test))
