"""Hubness-corrected similarities (CSLS), and mutual nearest neighbours under them.

In high-dimensional spaces a few points, the hubs, are among the nearest neighbours of most others (Radovanovic et al. 2010).
Cross-domain similarity local scaling (Conneau et al. 2018, Section 2.3) subtracts from each cosine the mean similarity of
both rows to their neighbours:

    CSLS(q, r) = 2 cos(q, r) - mean of q's k largest cosines - mean of r's k largest cosines
"""

from __future__ import annotations

import torch
from torch import Tensor

from cvgl.adaptation.pseudo_labels import NO_LABEL, PseudoLabels

BLOCK_SCORES = 2**23
"""Similarities in memory at once: 32 MiB. The last digits of an adapter depend on it; see `record.ALGORITHM_VERSION`."""


@torch.no_grad()
def reciprocal_labels(z_query: Tensor, z_reference: Tensor, neighbours: int) -> PseudoLabels:
    """Pairs that prefer each other under CSLS.

    A query is labelled with its best reference if it is among the ceil(M / N) best queries of that reference, the number of
    queries per reference under an even spread; for M <= N the single best one. So locations with many queries get many labels,
    and a query whose location has no reference gets none, since other queries fit its best reference better.

    Memory: blocks of the M x N similarities, computed twice, never all of them.

    Args:
        z_query: float32 (M, d), unit rows.
        z_reference: float32 (N, d), unit rows.
        neighbours: k of CSLS.

    Returns:
        One label per query; `similarity` is corrected, and `mutual` marks the single best query of a reference (the first of
        equal ones).
    """
    query_hubness, reference_hubness = hubness(z_query, z_reference, neighbours)
    count = -(-len(z_query) // len(z_reference))
    best_values = z_query.new_full((len(z_reference), min(count, len(z_query))), -torch.inf)
    favourite = torch.zeros(len(z_reference), dtype=torch.int64, device=z_query.device)
    similarity, reference = z_query.new_empty(len(z_query)), torch.empty(len(z_query), dtype=torch.int64, device=z_query.device)
    for block in _blocks(len(z_query), len(z_reference)):
        scores = 2 * (z_query[block] @ z_reference.T) - query_hubness[block, None] - reference_hubness
        similarity[block], reference[block] = scores.max(dim=1)
        highest, of_block = scores.max(dim=0)
        favourite = torch.where(highest > best_values[:, 0], of_block + block.start, favourite)
        best_values = _largest(torch.cat([best_values, scores.T], dim=1), best_values.shape[1])
    reciprocal = similarity >= best_values[reference, -1]
    mutual = favourite[reference] == torch.arange(len(z_query), device=z_query.device)
    return PseudoLabels(torch.where(reciprocal, reference, NO_LABEL), similarity, mutual)


@torch.no_grad()
def corrected(z_query: Tensor, z_reference: Tensor, neighbours: int) -> Tensor:
    """CSLS of all pairs at once, float32 (M, N), from unit rows (M, d) and (N, d)."""
    of_query, of_reference = hubness(z_query, z_reference, neighbours)
    return 2 * (z_query @ z_reference.T) - of_query[:, None] - of_reference


@torch.no_grad()
def hubness(z_query: Tensor, z_reference: Tensor, neighbours: int) -> tuple[Tensor, Tensor]:
    """How similar each row is to its neighbours in the other view: the mean of its k largest cosines.

    Args:
        z_query: float32 (M, d), unit rows.
        z_reference: float32 (N, d), unit rows.
        neighbours: k; all rows of the other view where it has fewer.

    Returns:
        float32 (M,) and (N,).
    """
    of_query = z_query.new_empty(len(z_query))
    largest = z_query.new_full((len(z_reference), min(neighbours, len(z_query))), -torch.inf)
    for block in _blocks(len(z_query), len(z_reference)):
        similarities = z_query[block] @ z_reference.T
        of_query[block] = _largest(similarities, min(neighbours, len(z_reference))).mean(dim=1)
        largest = _largest(torch.cat([largest, similarities.T], dim=1), largest.shape[1])
    return of_query, largest.mean(dim=1)


def _largest(values: Tensor, count: int) -> Tensor:
    """The `count` largest of each row, falling."""
    return torch.topk(values, count, dim=1).values


def _blocks(n_queries: int, n_references: int) -> list[slice]:
    rows = max(1, BLOCK_SCORES // n_references)
    return [slice(start, min(start + rows, n_queries)) for start in range(0, n_queries, rows)]
