"""The recipe `robust` with one part taken out or exchanged at a time, beside the other recipes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from cvgl import adapt
from cvgl.adaptation import FrameSequences, hubness, standardise, whitening
from cvgl.adaptation.descriptors import unit_rows
from cvgl.adaptation.labelling import Labels, MutualNeighbours
from cvgl.adaptation.pseudo_labels import NO_LABEL
from cvgl.adaptation.standardise import DescriptorTransform, Standardised
from cvgl.adaptation.whitening import Whitening
from cvgl.config import AdaptConfig, Recipe

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cvgl.types import Float32Array

    Learn = Callable[[Float32Array, Float32Array, int, FrameSequences | None, NDArray[np.int64] | None], DescriptorTransform]
    Score = Callable[[Float32Array, Float32Array], tuple[Float32Array, Float32Array]]
    Choose = Callable[[Labels, Float32Array, Float32Array], Labels]

CONFIG = AdaptConfig(recipe=Recipe.ROBUST)
NO_SHRINKAGE = 1e-4


def cosine(z_query: Float32Array, z_reference: Float32Array) -> tuple[Float32Array, Float32Array]:
    """One query at a time against the gallery: what is measured unless said."""
    return z_query, z_reference


def csls(z_query: Float32Array, z_reference: Float32Array) -> tuple[Float32Array, Float32Array]:
    """Hubness-corrected ranking, which needs all queries at once: 2 cos - hubness of the reference, as an inner product."""
    _, of_reference = hubness.hubness(torch.from_numpy(z_query), torch.from_numpy(z_reference), CONFIG.hubness_neighbours)
    against = np.full((len(z_query), 1), -1, np.float32)
    return np.hstack([2 * z_query, against]), np.hstack([z_reference, of_reference.numpy()[:, None]])


@dataclass(frozen=True, slots=True)
class Variant:
    """A row of the table.

    Attributes:
        name: as in the table.
        learn: queries, references, seed, trajectories and truth -> what maps descriptors.
        score: mapped descriptors -> what is ranked by inner products.
        needs_trajectories: left out where there are none.
        needs_truth: knows the right pairs; only to see how far the method is from them.
    """

    name: str
    learn: Learn
    score: Score = cosine
    needs_trajectories: bool = False
    needs_truth: bool = False


@dataclass(frozen=True, slots=True)
class _Mapped:
    """Statistics and a map without bias, as `Adaptation` applies them."""

    statistics: Standardised
    weight: Float32Array

    def transform_query(self, features: Float32Array) -> Float32Array:
        return unit_rows(self.statistics.transform_query(features) @ self.weight)

    def transform_reference(self, features: Float32Array) -> Float32Array:
        return unit_rows(self.statistics.transform_reference(features) @ self.weight)


def variants() -> list[Variant]:
    """All rows, baselines first."""
    return [
        Variant("frozen", lambda q, r, *_: standardise.frozen(q.shape[1])),
        Variant("view-standardised", lambda q, r, *_: standardise.fit(q, r)),
        Variant("view-standardised, CSLS at query time (transductive)", lambda q, r, *_: standardise.fit(q, r), csls),
        Variant("`paper-standardised`, d = d0: the M-step is InfoNCE", partial(_recipe, Recipe.PAPER_STANDARDISED)),
        Variant("`released`, d = d0", partial(_recipe, Recipe.RELEASED)),
        Variant("`robust`", partial(_recipe, Recipe.ROBUST)),
        Variant("`robust`, CSLS at query time (transductive)", partial(_recipe, Recipe.ROBUST), csls),
        Variant("`robust` with trajectories", partial(_recipe, Recipe.ROBUST, along=True), needs_trajectories=True),
        Variant("without the self-check", _em),
        Variant("labels: mutual nearest neighbours only", partial(_em, choose=_mutual)),
        Variant("labels: every query's best, CSLS", partial(_em, choose=_every)),
        Variant("labels: every query's best, cosine", partial(_em, choose=_every_by_cosine)),
        *(Variant(f"k = {k}", partial(_em, neighbours=k)) for k in (1, 5, 20)),
        *(Variant(f"{t} iteration{'s' * (t > 1)}", partial(_em, iterations=t)) for t in (1, 3, 10)),
        *(Variant(f"shrinkage fixed at {s:g}", partial(_em, shrinkage=s)) for s in (0.05, 0.1, 0.3, 0.5)),
        Variant("no shrinkage", partial(_em, shrinkage=NO_SHRINKAGE)),
        Variant("no standardisation", partial(_em, prepare=_as_they_are)),
        Variant("centred only", partial(_em, prepare=partial(standardise.fit, scale=False))),
        Variant("right pairs known (uses the truth)", partial(_em, iterations=1, knows=True), needs_truth=True),
    ]


def _recipe(
    recipe: Recipe,
    queries: Float32Array,
    references: Float32Array,
    seed: int,
    sequences: FrameSequences | None,
    truth: NDArray[np.int64] | None,
    along: bool = False,
) -> DescriptorTransform:
    # The recipes that follow a gradient map to 2048 dimensions unless told otherwise, which changes nothing but the time.
    config = AdaptConfig(recipe=recipe, dimension=None)
    return adapt(queries, references, config=config, seed=seed, sequences=sequences if along else None)


def _as_they_are(queries: Float32Array, references: Float32Array) -> Standardised:
    return standardise.identity(queries.shape[1])


def _em(
    queries: Float32Array,
    references: Float32Array,
    seed: int,
    sequences: FrameSequences | None,
    truth: NDArray[np.int64] | None,
    choose: Choose | None = None,
    iterations: int = CONFIG.iterations,
    neighbours: int = CONFIG.hubness_neighbours,
    shrinkage: float | None = None,
    prepare: Callable[[Float32Array, Float32Array], Standardised] = standardise.fit,
    knows: bool = False,
) -> DescriptorTransform:
    """`robust.learn` for images on their own, without its self-check, taken apart."""
    statistics = prepare(queries, references)
    z_query, z_reference = statistics.transform_query(queries), statistics.transform_reference(references)
    expectation = MutualNeighbours(CONFIG.model_copy(update={"hubness_neighbours": neighbours}))
    whitened = whitening.identity(queries.shape[1])
    for _ in range(iterations):
        through = whitened.unit_rows(z_query), whitened.unit_rows(z_reference)
        labels = expectation.labels(*through)
        if choose is not None:
            labels = choose(labels, *through)
        chosen = truth if knows and truth is not None else labels.reference
        pairs = np.flatnonzero(chosen != NO_LABEL)
        if len(pairs):
            whitened = _fit(z_query[pairs] - z_reference[chosen[pairs]], chosen[pairs], shrinkage)
    return _Mapped(statistics, whitened.weight)


def _fit(differences: Float32Array, references: NDArray[np.int64], shrinkage: float | None) -> Whitening:
    """The M-step, with the amount of shrinkage given in place of the estimate."""
    if shrinkage is None:
        return whitening.fit(differences, groups=references)
    rows = differences.astype(np.float64)
    covariance = rows.T @ rows / len(rows)
    values, vectors = np.linalg.eigh(covariance)
    relative = 1 + (1 - shrinkage) / shrinkage * np.maximum(values, 0) / values.mean()
    return Whitening(vectors.T, relative**-0.5, shrinkage)


def _mutual(labels: Labels, z_query: Float32Array, z_reference: Float32Array) -> Labels:
    return labels._replace(reference=np.where(labels.mutual, labels.reference, NO_LABEL))


def _every(labels: Labels, z_query: Float32Array, z_reference: Float32Array) -> Labels:
    q, r = torch.from_numpy(z_query), torch.from_numpy(z_reference)
    return labels._replace(reference=hubness.corrected(q, r, CONFIG.hubness_neighbours).argmax(dim=1).numpy())


def _every_by_cosine(labels: Labels, z_query: Float32Array, z_reference: Float32Array) -> Labels:
    return labels._replace(reference=(z_query @ z_reference.T).argmax(axis=1))
