"""Scores of mapped descriptors that no label is needed for. Each is a rank, a share or a standardised margin: free of scale.

None of them is a measure of quality alone. Pseudo-labels can agree and be wrong; so the shares that chance explains are taken
off where they can be told, and `cvgl.quality.prediction` weighs the scores together, as it was calibrated to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from cvgl.config import Settings
from cvgl.quality.similarity import NEIGHBOURS, Answers, DescriptorPair, answers, corrected, decorrelated, similarities

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cvgl.types import Float32Array

IMPLEMENTATION = 1  # raised whenever the same descriptors would get other scores
SPLITS = 6
DROPPED = 0.2
COMPONENTS = 64


class Scores(Settings):
    """What two views say about themselves. Shares are fractions; `stability_...` are 0 at chance and 1 at full agreement."""

    n_queries: int
    n_references: int
    dimension: int
    reciprocity: float = Field(description="queries whose first answer has them as its own first")
    reciprocity_corrected: float = Field(description="the same, hubness-corrected (CSLS, k = 10)")
    reciprocity_reverse: float = Field(description="references whose favourite query has them as its first answer, corrected")
    reciprocity_near: float = Field(description="queries among the 3 best of their own first answer, corrected")
    reciprocity_far: float = Field(description="queries among the 10 best of their own first answer, corrected")
    cycle_consistency: float = Field(description="queries that lie among the 10 nearest of where the way there and back ends")
    stability_halves: float = Field(description="two halves of the descriptor name the same first answer, beyond chance")
    stability_halves_corrected: float = Field(description="the same, hubness-corrected")
    stability_quarters: float = Field(description="two quarters of the descriptor, beyond chance")
    stability_decorrelated: float = Field(
        description="two halves of the leading principal components, each weighed alike, name the same first answer, beyond "
        "chance: what is left when the coarse look of a place counts no more than any other direction"
    )
    stability_dropped: float = Field(description="the first answer stays when a fifth of the descriptor is left out")
    correction_agreement: float = Field(description="queries whose first answer is the same hubness-corrected")
    neighbour_agreement: float = Field(description="queries whose nearest query has the same first answer, beyond chance")
    hubness_skew: float = Field(description="skewness of how often a reference is among the 10 best of a query")
    largest_hub: float = Field(description="queries whose first answer is the most frequent one")
    coverage: float = Field(description="references that are some query's first answer, of as many as there could be")
    margin: float = Field(description="first minus second similarity, in deviations of the query's similarities; mean")
    standout: float = Field(description="first similarity, in deviations above the mean of the query's similarities; mean")


def score(views: DescriptorPair) -> Scores:
    """Scores two views as they are compared. Deterministic: the splits are drawn from a fixed seed."""
    cosines = similarities(views.queries, views.references)
    scaled_cosines = corrected(cosines)
    plain, scaled = answers(cosines), answers(scaled_cosines)
    n_queries, n_references = views.size
    margin, standout = _margins(cosines)
    halves = Halves(views, parts=2)
    counts = np.bincount(plain.of_queries, minlength=n_references)
    return Scores(
        n_queries=n_queries,
        n_references=n_references,
        dimension=views.queries.shape[1],
        reciprocity=float(plain.mutual.mean()),
        reciprocity_corrected=float(scaled.mutual.mean()),
        reciprocity_reverse=float((scaled.of_queries[scaled.of_references] == np.arange(n_references)).mean()),
        reciprocity_near=_among_best(scaled_cosines, scaled, 3),
        reciprocity_far=_among_best(scaled_cosines, scaled, 10),
        cycle_consistency=_cycles(views, scaled),
        stability_halves=halves.stability(hubs=True),
        stability_halves_corrected=halves.stability(hubs=False),
        stability_quarters=Halves(views, parts=4).stability(hubs=True),
        stability_decorrelated=Halves(decorrelated(views, COMPONENTS), parts=2).stability(hubs=False),
        stability_dropped=_stability_dropped(views, plain),
        correction_agreement=float((plain.of_queries == scaled.of_queries).mean()),
        neighbour_agreement=_neighbour_agreement(views, plain),
        hubness_skew=_hubness_skew(cosines),
        largest_hub=float(counts.max() / n_queries),
        coverage=float((counts > 0).sum() / min(n_queries, n_references)),
        margin=margin,
        standout=standout,
    )


class Halves:
    """First answers of disjoint parts of the descriptor, over several random splits.

    Args:
        views: what is compared.
        parts: into how many the dimensions are split; the first two are used.
    """

    def __init__(self, views: DescriptorPair, parts: int) -> None:
        generator = np.random.default_rng(0)  # a score must not depend on anything but the descriptors
        self._count = views.size[1]
        self._plain: list[tuple[Answers, Answers]] = []
        self._scaled: list[tuple[Answers, Answers]] = []
        dimension = views.queries.shape[1]
        for _ in range(SPLITS if dimension >= parts else 0):
            first, second = np.array_split(generator.permutation(dimension), parts)[:2]
            half_similarities = [similarities(views.queries[:, part], views.references[:, part]) for part in (first, second)]
            self._plain.append((answers(half_similarities[0]), answers(half_similarities[1])))
            self._scaled.append((answers(corrected(half_similarities[0])), answers(corrected(half_similarities[1]))))

    def stability(self, *, hubs: bool) -> float:
        """Share of queries for which both parts name the same reference, beyond chance.

        Args:
            hubs: by cosine, hubs and all; else hubness-corrected.
        """
        splits = self._plain if hubs else self._scaled
        if not splits:
            return 0.0
        return float(np.mean([beyond_chance(a.of_queries, b.of_queries, self._count) for a, b in splits]))

    def credit(self) -> NDArray[np.float64]:
        """float64 (M,): for each query, in how many splits both parts agree, hubness-corrected; 0 without a split."""
        same = [a.of_queries == b.of_queries for a, b in self._scaled]
        return np.mean(same, axis=0) if same else np.zeros(0)

    def pairs(self) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """First answers of both parts, by cosine, for every split."""
        return [(a.of_queries, b.of_queries) for a, b in self._plain]


def beyond_chance(first: NDArray[np.int64], second: NDArray[np.int64], count: int) -> float:
    """Agreement of two lists of answers out of `count`, less what their frequencies alone explain (Cohen's kappa)."""
    shares = [np.bincount(answers, minlength=count) / len(answers) for answers in (first, second)]
    expected = float(shares[0] @ shares[1])
    observed = float((first == second).mean())
    return (observed - expected) / (1 - expected) if expected < 1 else 0.0


def _among_best(scores: Float32Array, answers: Answers, count: int) -> float:
    """Several images may show one place, so that being the very best of it is a matter of luck."""
    best = np.partition(scores, -min(count, len(scores)), axis=0)[-min(count, len(scores))]
    first = answers.of_queries
    return float((scores[np.arange(len(first)), first] >= best[first]).mean())


def _cycles(views: DescriptorPair, scaled: Answers) -> float:
    """From a query to its answer, and to that answer's query: does the way end near where it began?"""
    back = scaled.of_references[scaled.of_queries]
    own = views.queries @ views.queries.T
    np.fill_diagonal(own, -np.inf)
    count = min(NEIGHBOURS, max(1, len(own) // 10))
    least = np.partition(own, -count, axis=1)[:, -count]
    rows = np.arange(len(own))
    return float(((back == rows) | (own[rows, back] >= least)).mean())


def _stability_dropped(views: DescriptorPair, plain: Answers) -> float:
    """The cheap stand-in for images augmented: what remains when some of the descriptor is missing."""
    generator = np.random.default_rng(1)
    dimension = views.queries.shape[1]
    n_columns = max(1, round(dimension * (1 - DROPPED)))
    same = []
    for _ in range(SPLITS):
        part = generator.permutation(dimension)[:n_columns]
        dropped = similarities(views.queries[:, part], views.references[:, part])
        same.append(float((dropped.argmax(axis=1) == plain.of_queries).mean()))
    return float(np.mean(same))


def _neighbour_agreement(views: DescriptorPair, plain: Answers) -> float:
    """Clusters of the query view should choose one reference: here a cluster is a query and its nearest."""
    own = views.queries @ views.queries.T
    np.fill_diagonal(own, -np.inf)
    nearest = own.argmax(axis=1)
    return beyond_chance(plain.of_queries, plain.of_queries[nearest], views.size[1])


def _hubness_skew(cosines: Float32Array) -> float:
    """Third standardised moment of the k-occurrences (Radovanovic et al. 2010); 0 when all occur equally often."""
    count = min(NEIGHBOURS, cosines.shape[1])
    best = np.argpartition(cosines, -count, axis=1)[:, -count:]
    occurrences = np.bincount(best.ravel(), minlength=cosines.shape[1]).astype(np.float64)
    deviation = occurrences.std()
    return float((((occurrences - occurrences.mean()) / deviation) ** 3).mean()) if deviation > 0 else 0.0


def _margins(cosines: Float32Array) -> tuple[float, float]:
    values = cosines.astype(np.float64)
    deviation = values.std(axis=1)
    varying = deviation > 1e-9  # where all references look alike, none stands out
    if not varying.any():
        return 0.0, 0.0
    top = np.partition(values[varying], -2, axis=1)[:, -2:]
    margin, standout = top[:, 1] - top[:, 0], top[:, 1] - values[varying].mean(axis=1)
    weight = varying.mean()
    return float((margin / deviation[varying]).mean() * weight), float((standout / deviation[varying]).mean() * weight)
