"""Similarities of two views, hubness-corrected similarities, and what both sides answer: the ground that scores stand on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cvgl.adaptation.descriptors import checked, unit_rows
from cvgl.adaptation.standardise import fit
from cvgl.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cvgl.types import Float32Array

NEIGHBOURS = 10
MOST_QUERIES, MOST_REFERENCES = 1024, 4096
"""Rows that are looked at; of more, a seeded sample."""


@dataclass(frozen=True, slots=True)
class DescriptorPair:
    """Descriptors of two views in the space in which they are compared. There is no place for a label.

    Attributes:
        queries: float32 (M, d), unit rows.
        references: float32 (N, d), unit rows.
        positions: float64 (N, 2), metres east and north of the references; none where unknown.
    """

    queries: Float32Array
    references: Float32Array
    positions: NDArray[np.float64] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """M and N."""
        return len(self.queries), len(self.references)


@dataclass(frozen=True, slots=True)
class Answers:
    """First answers of both sides.

    Attributes:
        of_queries: int64 (M,), the reference that each query prefers.
        of_references: int64 (N,), the query that each reference prefers.
    """

    of_queries: NDArray[np.int64]
    of_references: NDArray[np.int64]

    @property
    def mutual(self) -> NDArray[np.bool_]:
        """Boolean (M,): the query's answer prefers the query, too."""
        return np.asarray(self.of_references[self.of_queries] == np.arange(len(self.of_queries)))


def descriptor_pair(
    queries: Any,
    references: Any,
    positions: NDArray[np.float64] | None = None,
    seed: int = 0,
    most: tuple[int, int] = (MOST_QUERIES, MOST_REFERENCES),
) -> DescriptorPair:
    """Checks descriptors, brings them to unit length, and takes a seeded sample of too many.

    Args:
        queries: (M, d), mapped as they are compared.
        references: (N, d), likewise.
        positions: float64 (N, 2), metres.
        seed: of the sample.
        most: rows of either view that are kept.

    Raises:
        DataError: no finite matrices of one dimension, or fewer than two rows of a view.
    """
    query_rows = checked(queries, "query features")
    reference_rows = checked(references, "reference features", query_rows.shape[1])
    if min(len(query_rows), len(reference_rows)) < 2:
        raise DataError(
            f"a judgement needs two images of each view, not {len(query_rows)} and {len(reference_rows)}",
            where="descriptors",
            fix="ingest more images",
        )
    chosen = _sample(len(query_rows), most[0], seed), _sample(len(reference_rows), most[1], seed + 1)
    places = None if positions is None else np.asarray(positions, np.float64)[chosen[1]]
    return DescriptorPair(unit_rows(query_rows[chosen[0]]), unit_rows(reference_rows[chosen[1]]), places)


def _sample(count: int, most: int, seed: int) -> NDArray[np.int64]:
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).permutation(count)[:most])


def similarities(queries: Float32Array, references: Float32Array) -> Float32Array:
    """Cosines, float32 (M, N); a row of zeros is similar to nothing."""
    return np.asarray(unit_rows(queries) @ unit_rows(references).T)


def corrected(cosines: Float32Array, neighbours: int = NEIGHBOURS) -> Float32Array:
    """Cross-domain similarity local scaling (Conneau et al. 2018) of a whole matrix of cosines, float32 (M, N)."""
    of_queries = _largest_mean(cosines, neighbours)
    of_references = _largest_mean(cosines.T, neighbours)
    return np.asarray(2 * cosines - of_queries[:, None] - of_references)


def _largest_mean(cosines: Float32Array, neighbours: int) -> Float32Array:
    count = min(neighbours, cosines.shape[1])
    return np.asarray(np.partition(cosines, -count, axis=1)[:, -count:].mean(axis=1))


def answers(scores: Float32Array) -> Answers:
    """First answers, the first of equals."""
    return Answers(scores.argmax(axis=1), scores.argmax(axis=0))


def decorrelated(views: DescriptorPair, components: int) -> DescriptorPair:
    """Both views standardised, in the principal components of the two together, each with the same variance.

    Both views weigh alike, whatever their number of rows. Halves of these dimensions are uncorrelated within a view, so that
    they can agree by what relates the views alone (`cvgl.quality.dependence`).

    Args:
        views: what is compared.
        components: how many are kept, fewer where there are fewer dimensions or rows.
    """
    standardised = fit(views.queries, views.references)
    queries = standardised.transform_query(views.queries).astype(np.float64)
    references = standardised.transform_reference(views.references).astype(np.float64)
    # Rows weighed so that the scatter of all is the mean of the views' covariances; its axes without forming a d x d matrix.
    weighed = np.concatenate([queries / np.sqrt(2 * len(queries)), references / np.sqrt(2 * len(references))])
    n_components = min(components, weighed.shape[1], max(2, min(views.size) - 1))
    lengths, directions = np.linalg.svd(weighed, full_matrices=False)[1:]
    whitening = directions[:n_components].T / np.maximum(lengths[:n_components], 1e-6)
    mapped = [np.asarray(rows @ whitening, np.float32) for rows in (queries, references)]
    return DescriptorPair(unit_rows(mapped[0]), unit_rows(mapped[1]), views.positions)
