"""The losses: one function per equation of Li et al. 2024, and those of its published trainer where they differ."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class LossTerms(NamedTuple):
    """The four scalars that Algorithm 1 adds up, unweighted."""

    contrast_query_to_reference: Tensor  # L_EM(Z^Q, Z^R, s)
    contrast_reference_to_query: Tensor  # L_EM(Z^R, Z^Q, s^T)
    reconstruction_query: Tensor  # L_re(X^Q, X^Q reverted)
    reconstruction_reference: Tensor  # L_re(X^R, X^R reverted)

    def contrast(self) -> Tensor:
        """L of Algorithm 1."""
        return self.contrast_query_to_reference + self.contrast_reference_to_query

    def reconstruction(self) -> Tensor:
        """C of Algorithm 1."""
        return self.reconstruction_query + self.reconstruction_reference


def pseudo_label_contrast(similarities: Tensor, positives: Tensor, temperature: float) -> Tensor:
    """InfoNCE against pseudo-labels, L_EM of Eq. 6.

    -1/M sum_i log( sum_j s_ij exp(<z_i, z_j> / tau) / sum_j exp(<z_i, z_j> / tau) )

    A row without a positive (a query below the threshold; a reference that no query chose) has no logarithm and is left
    out; M counts the rows that remain. Several queries may choose one reference: the sum over j in the numerator then holds
    all of them. Rows and columns exchange roles for the reverse direction, L_EM(Z^R, Z^Q, s^T).

    Args:
        similarities: float (M, N), inner products of unit rows.
        positives: bool (M, N), s.
        temperature: tau.

    Returns:
        A scalar; 0 with zero gradient when no row has a positive.
    """
    rows = positives.any(dim=1)
    logits = similarities[rows] / temperature
    if logits.shape[0] == 0:
        return similarities.sum() * 0.0
    numerator = torch.logsumexp(logits.masked_fill(~positives[rows], -torch.inf), dim=1)
    return (torch.logsumexp(logits, dim=1) - numerator).mean()


def reconstruction(initial: Tensor, reverted: Tensor) -> Tensor:
    """Squared L2 distance between the initial features and their reconstruction, L_re of Eq. 8, summed over samples.

    Algorithm 1 prints L_re(Z, X^); the dimensions (d against d0) only fit Eq. 8's L_re(X, X^), which is meant.

    Args:
        initial: float (n, d0), X.
        reverted: float (n, d0), f_phi(f_theta(X)).
    """
    return (initial - reverted).square().sum()


def smoothed_contrast(logits: Tensor, rows: Tensor, columns: Tensor, smoothing: float) -> Tensor:
    """InfoNCE of the published trainer: the mean cross-entropy of pairs, each against its row's every column.

    A row in several pairs counts once for each. The target of a pair is 1 - smoothing on its column, plus smoothing spread
    evenly over all columns.

    Args:
        logits: float (A, B), inner products of unit rows over the temperature.
        rows: int64 (K,), one side of the pairs.
        columns: int64 (K,), the other side.
        smoothing: in [0, 1).

    Returns:
        A scalar; 0 with zero gradient when there is no pair.
    """
    if len(rows) == 0:
        return logits.sum() * 0.0
    return F.cross_entropy(logits[rows], columns, label_smoothing=smoothing)


def mean_absolute_difference(initial: Tensor, reverted: Tensor) -> Tensor:
    """L1 distance of the published trainer between the initial unit rows and their reconstruction's, a mean over all entries.

    Args:
        initial: float (n, d0).
        reverted: float (n, d0), unit rows, too.
    """
    return F.l1_loss(reverted, initial)
