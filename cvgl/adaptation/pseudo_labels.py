"""The E-step: the reference of each query under the current adapter (Li et al. 2024, Section III-D)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

NO_LABEL = -1


@dataclass(frozen=True, slots=True)
class PseudoLabels:
    """One label per query.

    Attributes:
        reference: int64 (M,), the chosen reference's index, or `NO_LABEL` where the similarity is too low.
        similarity: float32 (M,), of the most similar reference, chosen or not.
        mutual: bool (M,), whether the labelled query is also the best query of its reference among these queries.
    """

    reference: Tensor
    similarity: Tensor
    mutual: Tensor

    @property
    def labelled(self) -> Tensor:
        """Which queries have a label, bool (M,)."""
        return self.reference != NO_LABEL

    def matrix(self, n_references: int) -> Tensor:
        """The matrix s of Eq. 5, bool (M, N): at most one true entry per row, any number per column."""
        columns = torch.arange(n_references, device=self.reference.device)
        return self.reference[:, None] == columns[None, :]


@torch.no_grad()
def estimate(similarities: Tensor, threshold: float) -> PseudoLabels:
    """Assigns each query its most similar reference, if more similar than the threshold (Eq. 5).

    The argmax takes the first of equal references, so the result does not depend on chance.

    Args:
        similarities: float32 (M, N), inner products of adapted unit rows.
        threshold: cosine in [-1, 1] (paper: 0.1).
    """
    similarity, best = similarities.max(dim=1)
    labelled = similarity > threshold
    favourite_query = similarities.argmax(dim=0)
    mutual = labelled & (favourite_query[best] == torch.arange(len(best), device=best.device))
    return PseudoLabels(reference=torch.where(labelled, best, NO_LABEL), similarity=similarity, mutual=mutual)


def mutual_only(labels: PseudoLabels, more_than: int) -> PseudoLabels:
    """Drops the labels that are not mutual, as the published trainer does when enough pairs agree.

    Args:
        labels: of `estimate`.
        more_than: with this many mutual pairs or fewer, all labels stay.
    """
    if int(labels.mutual.sum()) <= more_than:
        return labels
    return replace(labels, reference=torch.where(labels.mutual, labels.reference, NO_LABEL))
