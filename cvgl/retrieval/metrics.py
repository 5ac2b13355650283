"""Ranks, average precision and recall. Everything works on many queries at once.

With 0-based ranks r_1 < r_2 < ... of a query's P right answers (wrong answers first among equal scores):

    AP standard  = mean_i  i / (r_i + 1)
    AP trapezoid = mean_i  ((i - 1) / r_i + i / (r_i + 1)) / 2,     the first quotient being 1 for r_i = 0

With one right answer, AP standard = 2 AP trapezoid - R@1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

# Comparing a block with one threshold after the other is faster than a binary search for each score up to about here.
_FEW = 8


def positive_ranks(scores: torch.Tensor, positives: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Ranks of the right answers of each query, ties broken against them.

    Only right answers are sorted; wrong ones are counted, which needs no full ranking of the gallery.

    Args:
        scores: float (B, N), finite.
        positives: int64 (B, P), columns of the right answers; anything in 0..N-1 where not valid.
        valid: bool (B, P), which entries of `positives` count.

    Returns:
        int64 (B, P): 0-based ranks, rising; the valid ones come first in each row, N stands in the rest.
    """
    import torch

    thresholds = scores.gather(1, positives).masked_fill(~valid, float("inf"))
    thresholds = thresholds.sort(dim=1).values  # rising; what is not valid goes last
    above = _count_at_least(scores, thresholds)
    right_above = _count_at_least(thresholds.masked_fill(thresholds.isinf(), float("-inf")), thresholds)
    n_valid = valid.sum(1, keepdim=True)
    column = torch.arange(thresholds.shape[1])
    # In rising order, the right answer in column c is preceded by n_valid - 1 - c other right answers.
    ranks = n_valid - 1 - column + above - right_above
    ranks = ranks.masked_fill(column >= n_valid, scores.shape[1])
    return ranks.sort(dim=1).values


def _count_at_least(scores: torch.Tensor, thresholds: torch.Tensor) -> torch.Tensor:
    """How many scores of a row are at least each of its thresholds (B, P), which rise along the row."""
    import torch

    if thresholds.shape[1] <= _FEW:
        return torch.stack([(scores >= column[:, None]).sum(1) for column in thresholds.unbind(1)], dim=1)
    # passed[b, n]: how many thresholds score n reaches; those reaching more than c of them reach threshold c.
    passed = torch.searchsorted(thresholds.contiguous(), scores.contiguous(), right=True)
    width = thresholds.shape[1] + 1
    flat = passed + torch.arange(len(scores))[:, None] * width
    histogram = torch.bincount(flat.flatten(), minlength=len(scores) * width).view(len(scores), width)
    return histogram.flip(1).cumsum(1).flip(1)[:, 1:]


def average_precision_trapezoid(ranks: torch.Tensor, n_positives: torch.Tensor) -> torch.Tensor:
    """Average precision by trapezoids, as the University-1652 baseline integrates it.

    Args:
        ranks: int64 (B, P), 0-based, rising, as `positive_ranks` gives them.
        n_positives: int64 (B,), how many of them count.

    Returns:
        float64 (B,); 0 for a query without a right answer.
    """
    import torch

    before = torch.arange(ranks.shape[1], dtype=torch.float64)
    rank = ranks.double()
    precision = (before + 1) / (rank + 1)
    previous = torch.where(ranks > 0, before / rank.clamp(min=1), 1.0)
    return _mean_of_first((previous + precision) / 2, n_positives)


def average_precision_standard(ranks: torch.Tensor, n_positives: torch.Tensor) -> torch.Tensor:
    """Average precision as the mean of the precisions at the right answers; arguments as above."""
    import torch

    found = torch.arange(1, ranks.shape[1] + 1, dtype=torch.float64)
    return _mean_of_first(found / (ranks.double() + 1), n_positives)


def _mean_of_first(values: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    import torch

    kept = torch.where(torch.arange(values.shape[1]) < count[:, None], values, 0.0)
    return kept.sum(1) / count.clamp(min=1)


def recall_at_k(ranks: NDArray[np.int64], k: int) -> float:
    """Share of the queries with a right answer among the first k.

    Args:
        ranks: int64 (Q,), 1-based rank of the first right answer, 0 where the gallery has none; Q > 0.
        k: how many answers are looked at; 0 gives 0.
    """
    return float(np.mean((ranks > 0) & (ranks <= k)))
