"""Whether two views have anything to do with one another: the question before every other one.

Descriptors of unrelated images agree, too: dark images prefer dark ones, and both halves of a descriptor know what is dark.
So both views are brought into common principal components that all weigh the same (`similarity.decorrelated`). There, halves
of the dimensions are uncorrelated within a view, and what they find in common can only come from between the views.

Images on their own: how strongly the similarities that stand out in one half stand out in the other,

    T = sum over pairs of  max(z1 - 1.5, 0)^2 max(z2 - 1.5, 0)^2

with z1, z2 the CSLS of a pair in both halves, in deviations of the query's. The null distribution keeps everything about either
view (hubs, several images of one place, how many there are) and breaks what is between them: the signs of the references'
components are drawn at random, which leaves all of their own inner products as they are.

Images taken in a row over references of known position: the gain of a course (`cvgl.adaptation.hmm.log_likelihood_gain`)
against the same with the positions dealt out anew. Neighbouring frames look alike over any map; only on the right one do they
move to neighbouring tiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from cvgl.adaptation.descriptors import unit_rows
from cvgl.adaptation.standardise import fit
from cvgl.config import Settings
from cvgl.quality.similarity import DescriptorPair, corrected, decorrelated, descriptor_pair, similarities

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cvgl.adaptation.sequences import FrameSequences
    from cvgl.types import Float32Array

THRESHOLD, CERTAIN = 1.0, 3.5
"""Deviations of the null distribution above its mean: below the first, views count as unrelated; between the two it is
doubtful, and nothing is learned from what may be chance. Unrelated real pairs stay below 0.5, see
docs/lab-notebook/judgement.md. Along a course, where
the null distribution is one of shuffles and centred, there is no doubtful zone."""

COMPONENTS = (32, 64)
SPLITS, FLIPS, DEALS = 6, 24, 24
OUTLIER_STD = 1.5
MOST_QUERIES, MOST_REFERENCES = 512, 1024

Parts = list[tuple["NDArray[np.int64]", "NDArray[np.int64]"]]


class Dependence(Settings):
    """What the test came to."""

    test: Literal["pairs", "course"]
    strength: float = Field(description="deviations of the null distribution above its mean")
    threshold: float
    related: bool

    @property
    def is_certain(self) -> bool:
        """Whether what the views have in common is beyond doubt."""
        return self.strength >= CERTAIN


def dependence_test(query_features: Any, reference_features: Any, sequences: FrameSequences | None = None) -> Dependence:
    """Tests two views of frozen descriptors.

    Args:
        query_features: (M, d) descriptors of one view.
        reference_features: (N, d) of the other.
        sequences: which queries were taken in a row; decides the test when it is usable.

    Raises:
        DataError: see `similarity.descriptor_pair`.
    """
    if sequences is not None and sequences.usable:
        strength = _course_strength(query_features, reference_features, sequences)
        return Dependence(test="course", strength=strength, threshold=CERTAIN, related=strength >= CERTAIN)
    views = descriptor_pair(query_features, reference_features, most=(MOST_QUERIES, MOST_REFERENCES))
    strength = float(np.mean([_pair_strength(views, count) for count in COMPONENTS]))
    return Dependence(test="pairs", strength=strength, threshold=THRESHOLD, related=strength >= THRESHOLD)


def _pair_strength(views: DescriptorPair, components: int) -> float:
    mapped = decorrelated(views, components)
    generator = np.random.default_rng(0)
    dimension = mapped.queries.shape[1]
    if dimension < 4:
        return 0.0
    parts: Parts = []
    for _ in range(SPLITS):
        first, second = np.array_split(generator.permutation(dimension), 2)
        parts.append((first, second))
    shares = _common(mapped.queries, mapped.references, parts)
    signs = generator.choice(np.array([-1, 1], np.float32), size=(FLIPS, dimension))
    return _above([_common(mapped.queries, mapped.references * flip, parts) for flip in signs], shares)


def _common(queries: Float32Array, references: Float32Array, parts: Parts) -> float:
    total = 0.0
    for halves in parts:
        out = [_outstanding(similarities(queries[:, half], references[:, half])) for half in halves]
        total += float(np.vdot(out[0], out[1]))
    return total


def _outstanding(cosines: Float32Array) -> Float32Array:
    scores = corrected(cosines)
    deviation = scores.std(axis=1, keepdims=True)
    standard = (scores - scores.mean(axis=1, keepdims=True)) / np.where(deviation > 0, deviation, 1)
    return np.asarray(np.square(np.maximum(standard - OUTLIER_STD, 0)))


def _course_strength(query_features: Any, reference_features: Any, sequences: FrameSequences) -> float:
    from cvgl.adaptation.hmm import log_likelihood_gain, transition_matrix
    from cvgl.adaptation.map_cells import map_cells_of

    standardised = fit(query_features, reference_features)
    queries = unit_rows(standardised.transform_query(query_features))
    references = unit_rows(standardised.transform_reference(reference_features))
    places = map_cells_of(sequences.positions)
    cosines = places.max_similarity((queries @ references.T).astype(np.float64))

    def gain(positions: NDArray[np.float64]) -> float:
        moves = transition_matrix(positions)
        return float(np.concatenate([log_likelihood_gain(cosines[run], moves) for run in sequences.rows]).mean())

    generator = np.random.default_rng(0)
    positions = places.centres
    dealt = [gain(positions[generator.permutation(len(positions))]) for _ in range(DEALS)]
    return _above(dealt, gain(positions))


def _above(null: Sequence[float], observed: float) -> float:
    deviation = float(np.std(null, ddof=1))
    return (observed - float(np.mean(null))) / deviation if deviation > 0 else 0.0
