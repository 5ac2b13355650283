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


def ranks_of(scores: torch.Tensor, wrong_above: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Ranks of the right answers of each query, ties broken against them.

    Only right answers are sorted; wrong ones are counted, which needs no full ranking of the gallery.

    Args:
        scores: float (B, P), of the right answers.
        wrong_above: int64 (B, P), how many wrong answers score at least as much as each of them.
        valid: bool (B, P), which of the entries count.

    Returns:
        int64 (B, P): 0-based ranks, rising; the valid ones come first in each row, what follows means nothing.
    """
    import torch

    order = scores.masked_fill(~valid, -torch.inf).argsort(dim=1, descending=True)
    return wrong_above.gather(1, order) + torch.arange(scores.shape[1], device=scores.device)


def average_precision_trapezoid(ranks: torch.Tensor, n_positives: torch.Tensor) -> torch.Tensor:
    """Average precision by trapezoids, as the University-1652 baseline integrates it.

    Args:
        ranks: int64 (B, P), 0-based, rising, as `ranks_of` gives them.
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

    n_retrieved = torch.arange(1, ranks.shape[1] + 1, dtype=torch.float64)
    return _mean_of_first(n_retrieved / (ranks.double() + 1), n_positives)


def _mean_of_first(values: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    # One after the other, so that the sum does not depend on how many entries other queries of the block have.
    sums = values.cumsum(1).gather(1, (count - 1).clamp(min=0)[:, None])[:, 0]
    return sums.where(count > 0, 0.0) / count.clamp(min=1)


AVERAGE_PRECISION = {"trapezoid": average_precision_trapezoid, "standard": average_precision_standard}
"""By the name of the rule, `cvgl.retrieval.protocols.Protocol.average_precision`."""


def recall_at_k(ranks: NDArray[np.int64], k: int) -> float:
    """Share of the queries with a right answer among the first k.

    Args:
        ranks: int64 (Q,), 1-based rank of the first right answer, 0 where the gallery has none; Q > 0.
        k: how many answers are looked at; 0 gives 0.
    """
    return float(np.mean((ranks > 0) & (ranks <= k)))
