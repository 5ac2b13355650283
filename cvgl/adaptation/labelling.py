"""The E-steps of the recipe `robust`: pseudo-labels of single images, or of image sequences, and their label-free scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import torch

from cvgl.adaptation import hubness
from cvgl.adaptation.compute import computing, training_device
from cvgl.adaptation.halves import BLOCK_LENGTH
from cvgl.adaptation.sequences import FrameSequences, SequenceModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cvgl.config import AdaptConfig
    from cvgl.types import Float32Array


class Labels(NamedTuple):
    """One pseudo-label per query.

    Attributes:
        reference: int64 (M,), or `NO_LABEL`.
        weight: float64 (M,), confidence in the label, in [0, 1].
        similarity: float64 (M,), of the chosen reference, hubness-corrected.
        mutual: bool (M,), whether the query is also the best one of its reference.
    """

    reference: NDArray[np.int64]
    weight: NDArray[np.float64]
    similarity: NDArray[np.float64]
    mutual: NDArray[np.bool_]


class EStep(Protocol):
    """An E-step, and a label-free measure of a map.

    Attributes:
        measure: name of the measure, for the record.
        block_length: consecutive queries whose errors are correlated.
    """

    measure: str
    block_length: int

    def labels(self, z_query: Float32Array, z_reference: Float32Array) -> Labels:
        """Pseudo-labels from unit rows (M, d) and (N, d)."""
        ...

    def scores(self, z_query: Float32Array, z_reference: Float32Array) -> NDArray[np.float64]:
        """Label-free score of each query, float64 (M,); larger means are better."""
        ...


def e_step(config: AdaptConfig, sequences: FrameSequences | None) -> EStep:
    """The E-step for these queries.

    Args:
        config: hubness_neighbours, precision and device are used.
        sequences: usable ones, or None for single images.
    """
    return MutualNeighbours(config) if sequences is None else SequenceLabels(config, sequences)


class MutualNeighbours:
    """The E-step for single images: mutual nearest neighbours under CSLS. `scores` are 1 for queries that have one.

    Args:
        config: hubness_neighbours, precision and device are used.
    """

    measure = "mutual_share"
    block_length = 1

    def __init__(self, config: AdaptConfig) -> None:
        self._neighbours, self._precision, self._device = config.hubness_neighbours, config.precision, training_device(config)

    def labels(self, z_query: Float32Array, z_reference: Float32Array) -> Labels:
        """Pairs that prefer each other, from unit rows (M, d) and (N, d)."""
        with computing(self._device, self._precision):
            q, r = (torch.from_numpy(rows).to(self._device) for rows in (z_query, z_reference))
            pairs = hubness.reciprocal_labels(q, r, self._neighbours)
        similarity = pairs.similarity.double().cpu().numpy()
        return Labels(pairs.reference.cpu().numpy(), np.ones(len(z_query)), similarity, pairs.mutual.cpu().numpy())

    def scores(self, z_query: Float32Array, z_reference: Float32Array) -> NDArray[np.float64]:
        """float64 (M,), 0 or 1."""
        return self.labels(z_query, z_reference).mutual.astype(np.float64)


class SequenceLabels:
    """The E-step for image sequences: posteriors of a hidden Markov chain. `scores` are `hmm.log_likelihood_gain`.

    Args:
        config: hubness_neighbours, precision and device are used.
        sequences: usable ones.
    """

    measure = "course_gain"
    block_length = BLOCK_LENGTH

    def __init__(self, config: AdaptConfig, sequences: FrameSequences) -> None:
        self._config, self._device, self._model = config, training_device(config), SequenceModel(sequences)

    def labels(self, z_query: Float32Array, z_reference: Float32Array) -> Labels:
        """The most probable map cell of each query by its best crop, from unit rows (M, d) and (N, d)."""
        similarities = self._similarities(z_query, z_reference, corrected=True)
        reference, probability = self._model.most_probable_references(similarities)
        rows = np.arange(len(similarities))
        mutual = similarities.argmax(axis=0)[reference] == rows
        return Labels(reference, probability, similarities[rows, reference], mutual)

    def scores(self, z_query: Float32Array, z_reference: Float32Array) -> NDArray[np.float64]:
        """float64 (M,), in nats."""
        return self._model.gains(self._similarities(z_query, z_reference, corrected=False))

    def _similarities(self, z_query: Float32Array, z_reference: Float32Array, *, corrected: bool) -> NDArray[np.float64]:
        with computing(self._device, self._config.precision):
            q, r = (torch.from_numpy(rows).to(self._device) for rows in (z_query, z_reference))
            similarities = hubness.corrected(q, r, self._config.hubness_neighbours) if corrected else q @ r.T
            return np.asarray(similarities.double().cpu().numpy())
