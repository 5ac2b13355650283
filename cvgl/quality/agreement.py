"""How well two views agree, told without labels: what the choice of the alignment goes by.

Images on their own: the share for which two halves of the descriptor, each asked on its own, name the same partner in the
other view. An image of one view and one of the other are mutual neighbours when each is the other's nearest. Their share
alone says little: among similarities drawn at random half of all images have a mutual neighbour, and whitening within
such pairs confirms them. But two halves of the dimensions that err do not err alike. So the dimensions are split at random,
each half finds its pairs and is whitened within them without a look at the other, and what counts are the pairs that both
found (the idea of co-training, Blum and Mitchell 1998, and of split-half reliability).

Images taken in a row, over references of known position: by how much the most probable course explains the images
better than chance does (`cvgl.adaptation.hmm.log_likelihood_gain`). Many frames show one tile and most tiles are never seen,
so few have a mutual neighbour however good the descriptors are; but similarities that know the place agree from frame to
frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cvgl.adaptation.descriptors import unit_rows
from cvgl.adaptation.halves import BLOCK_LENGTH, standard_error
from cvgl.adaptation.sequences import SequenceModel
from cvgl.adaptation.standardise import fit
from cvgl.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cvgl.adaptation.sequences import FrameSequences
    from cvgl.types import Float32Array

IMPLEMENTATION = 3  # raised whenever the same descriptors would get another score
NEIGHBOURS = 10
ROUNDS = 4
SPLITS = 4


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well two views agree.

    Attributes:
        score: of images on their own, the share of the smaller side whose partner both halves of the descriptor name, 0 to 1;
            of images taken in a row, nats an image. Higher is better, and only scores of one kind can be compared.
        standard_error: of the score, over the draw of images.
    """

    score: float
    standard_error: float


def agreement(query_features: Any, reference_features: Any, sequences: FrameSequences | None = None) -> Agreement:
    """Standardises both views, then scores them as above.

    Args:
        query_features: (M, d) descriptors of one view, at least two rows and columns.
        reference_features: (N, d) of the other view, at least two rows.
        sequences: which queries were taken in a row; used when they are usable.

    Raises:
        DataError: fewer than two descriptors on a side, or not finite, or of different dimensions.
    """
    count = min(len(query_features), len(reference_features))
    if count < 2:
        raise DataError(f"agreement needs two images of each view, not {count}", where="descriptors", fix="ingest more images")
    standardised = fit(query_features, reference_features)
    queries = standardised.transform_query(query_features)
    references = standardised.transform_reference(reference_features)
    if sequences is not None and sequences.usable:
        return _along(queries, references, sequences)
    return _of_halves(queries, references)


def _along(queries: Float32Array, references: Float32Array, sequences: FrameSequences) -> Agreement:
    gains = SequenceModel(sequences).gains((queries @ references.T).astype(np.float64))
    in_order = gains[np.concatenate(sequences.rows)]
    return Agreement(float(in_order.mean()), standard_error(in_order, BLOCK_LENGTH))


def _of_halves(queries: Float32Array, references: Float32Array) -> Agreement:
    """Each half is whitened within its own pairs, `ROUNDS` times over; several splits into halves."""
    count = min(len(queries), len(references))
    generator = np.random.default_rng(0)  # a score must not depend on anything but the descriptors
    shared = 0
    for _ in range(SPLITS):
        halves = np.array_split(generator.permutation(queries.shape[1]), 2)
        pairs = [_pairs_after_whitening(unit_rows(queries[:, half]), unit_rows(references[:, half])) for half in halves]
        shared += len(pairs[0] & pairs[1])
    share = shared / SPLITS / count
    # Agresti and Coull's two successes and failures: a share of 0 or 1 from few images is not certain.
    expected = (share * count + 2) / (count + 4)
    return Agreement(share, float(np.sqrt(expected * (1 - expected) / (count + 4))))


def _pairs_after_whitening(queries: Float32Array, references: Float32Array) -> set[tuple[int, int]]:
    """Mutual pairs when differences between mutual pairs have been weighed down, again and again."""
    from cvgl.adaptation import whitening

    pairs = mutual_pairs(queries, references)
    for _ in range(ROUNDS):
        if len(pairs) < 2:
            break
        whitened = whitening.fit(queries[pairs[:, 0]] - references[pairs[:, 1]])
        pairs = mutual_pairs(whitened.unit_rows(queries), whitened.unit_rows(references))
    return {(int(query), int(reference)) for query, reference in pairs}


def mutual_pairs(queries: Float32Array, references: Float32Array) -> NDArray[np.int64]:
    """Pairs (query, reference) that are each other's nearest by similarity corrected for hubs, (P, 2)."""
    import torch

    from cvgl.adaptation.hubness import reciprocal_labels

    neighbours = min(NEIGHBOURS, max(1, min(len(queries), len(references)) // 2))
    labels = reciprocal_labels(torch.from_numpy(queries), torch.from_numpy(references), neighbours)
    mutual = torch.nonzero(labels.mutual).ravel()
    return torch.stack([mutual, labels.reference[mutual]], dim=1).numpy()
