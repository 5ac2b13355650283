"""One step of Algorithm 1 over references whose adapted features do not fit into memory: the same labels, losses, gradients.

The references are processed in blocks of rows, in two passes. The first, without gradient, computes the E-step and the
denominators of Eq. 6. The second computes each block's part of the losses and its gradient at once, so only one block's
activations are in memory. It is exact because all terms split over references:

- Eq. 8 is a sum over rows.
- Eq. 6 from references to queries is a mean over references, each against all queries.
- Eq. 6 from queries to references needs l_i = log sum_j exp(<z_i, z_j> / tau) over all references. With l_ib the same sum over
  block b, dl_i = sum_b exp(l_ib - l_i) dl_ib: given l_i of the first pass, each block knows its share of the gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from cvgl.adaptation import losses
from cvgl.adaptation.adapter import unit_rows
from cvgl.adaptation.losses import LossTerms
from cvgl.adaptation.pseudo_labels import NO_LABEL, PseudoLabels

if TYPE_CHECKING:
    from cvgl.config import AdaptConfig

BLOCK_BYTES = 2**26
"""Size of a block's adapted rows, reverted rows and similarities together; a step holds a few times as much."""

RowMap = Callable[[Tensor], Tensor]
"""(n, inputs) -> (n, outputs), each row by itself."""


class Expectation(NamedTuple):
    """Result of the first pass.

    Attributes:
        labels: the E-step's.
        log_sums: float (M,), of each query log sum_j exp(<z_i, z_j> / tau) over all references.
    """

    labels: PseudoLabels
    log_sums: Tensor


def block_rows(n_queries: int, d0: int, d: int) -> int:
    """References per block. It depends on the shapes alone, since sums in another order differ in their last digits.

    Args:
        n_queries: M, queries of a step.
        d0: dimension of the frozen features.
        d: dimension of the adapted features.
    """
    return max(1, BLOCK_BYTES // (4 * (n_queries + d0 + d)))


@torch.no_grad()
def estimate(adapter: RowMap, z_query: Tensor, references: Tensor, config: AdaptConfig, rows: int) -> Expectation:
    """The E-step (Eq. 5) and the denominators of Eq. 6; labels are those of `pseudo_labels.estimate` over all references.

    Args:
        adapter: f_theta.
        z_query: float (M, d), adapted unit rows.
        references: float (N, d0), unit rows.
        config: threshold and temperature.
        rows: references per block.
    """
    similarity = z_query.new_full((len(z_query),), -torch.inf)
    log_sums = similarity.clone()
    reference = torch.zeros_like(similarity, dtype=torch.int64)
    favourite_query = torch.zeros_like(reference)
    for start, block in _blocks(references, rows):
        similarities = _similarities(z_query, adapter(block))
        highest, column = similarities.max(dim=1)
        better = highest > similarity  # of equals, the first
        reference = torch.where(better, start + column, reference)
        favourite_query = torch.where(better, similarities.argmax(dim=0)[column], favourite_query)
        similarity = torch.maximum(similarity, highest)  # passes NaN on, unlike the comparison
        log_sums = torch.logaddexp(log_sums, torch.logsumexp(similarities / config.temperature, dim=1))
    labelled = similarity > config.threshold
    mutual = labelled & (favourite_query == torch.arange(len(z_query), device=z_query.device))
    labels = PseudoLabels(torch.where(labelled, reference, NO_LABEL), similarity, mutual)
    return Expectation(labels, log_sums)


def accumulate_gradients(
    adapter: RowMap, reverter: RowMap, queries: Tensor, references: Tensor, config: AdaptConfig, rows: int
) -> tuple[PseudoLabels, LossTerms]:
    """Adds the gradient of em_weight * L + reconstruction_weight * C to the parameters' `grad`.

    Memory beyond the arguments does not grow with the number of references.

    Args:
        adapter: f_theta; maps each row by itself, or blocks would not add up.
        reverter: f_phi; likewise.
        queries: float (M, d0), unit rows.
        references: float (N, d0), unit rows.
        config: threshold, temperature and weights; a module whose weight is 0 is not computed.
        rows: references per block, see `block_rows`.

    Returns:
        The pseudo-labels, and the loss terms, which carry no gradient any more.
    """
    projected = adapter(queries).to(queries.dtype)  # gradients of many blocks add up here, so not in bfloat16
    z_query = unit_rows(projected)
    # A detached copy accumulates the blocks' gradients; the queries' graph is differentiated once, at the end.
    gathered = z_query.detach().requires_grad_()
    expectation = estimate(adapter, gathered, references, config, rows)
    backward, reconstruct_reference = _backward_blocks(adapter, reverter, gathered, references, expectation, config, rows)
    reconstruct_query = queries.new_zeros(())
    if config.reconstruction_weight > 0:
        reconstruct_query = losses.reconstruction(queries, reverter(projected))
    gradient = torch.zeros_like(gathered) if gathered.grad is None else gathered.grad
    outputs = (z_query * gradient).sum() + config.reconstruction_weight * reconstruct_query
    outputs.backward()  # type: ignore[no-untyped-call]  # torch leaves Tensor.backward untyped
    forward = _contrast_of_queries(expectation, config) if config.em_weight > 0 else queries.new_zeros(())
    return expectation.labels, LossTerms(forward, backward, reconstruct_query.detach(), reconstruct_reference)


def _backward_blocks(
    adapter: RowMap,
    reverter: RowMap,
    z_query: Tensor,
    references: Tensor,
    expectation: Expectation,
    config: AdaptConfig,
    rows: int,
) -> tuple[Tensor, Tensor]:
    """The second pass; returns the two terms that are sums over references: reverse contrast and reconstruction."""
    chosen = torch.unique(expectation.labels.reference[expectation.labels.labelled])
    contrasts = config.em_weight > 0 and len(chosen) > 0
    backward, reconstruct = (references.new_zeros((), dtype=torch.float64) for _ in range(2))
    if not contrasts and config.reconstruction_weight == 0:
        return backward, reconstruct
    for start, block in _blocks(references, rows):
        projected = adapter(block)
        total = projected.new_zeros(())
        if contrasts:
            similarities = _similarities(z_query, projected)
            part = _reverse_contrast(similarities, expectation.labels, chosen, start, config.temperature)
            total = config.em_weight * (part + _contrast_share(similarities, expectation, start, config.temperature))
            backward += part.detach()
        if config.reconstruction_weight > 0:
            distance = losses.reconstruction(block, reverter(projected))
            total = total + config.reconstruction_weight * distance
            reconstruct += distance.detach()
        total.backward()  # type: ignore[no-untyped-call]  # torch leaves Tensor.backward untyped
    return backward, reconstruct


def _similarities(z_query: Tensor, projected: Tensor) -> Tensor:
    """Cosines of the queries and a block's adapted rows, in the queries' precision even where products are computed in less."""
    return (z_query @ unit_rows(projected.to(z_query.dtype)).T).to(z_query.dtype)


def _contrast_of_queries(expectation: Expectation, config: AdaptConfig) -> Tensor:
    """L_EM(Z^Q, Z^R, s): each labelled query has one positive, its most similar reference."""
    labels, log_sums = expectation
    if not labels.labelled.any():
        return labels.similarity.sum() * 0.0  # NaN stays NaN
    return (log_sums - labels.similarity / config.temperature)[labels.labelled].mean()


def _contrast_share(similarities: Tensor, expectation: Expectation, start: int, temperature: float) -> Tensor:
    """A scalar whose gradient is the block's part of that of L_EM(Z^Q, Z^R, s); its value means nothing.

    Args:
        similarities: float (M, B), of the block's references.
        expectation: of all references.
        start: the block's first reference.
        temperature: tau.
    """
    labelled = expectation.labels.labelled
    logits = similarities[labelled] / temperature
    log_sums = torch.logsumexp(logits, dim=1)
    weights = torch.exp(log_sums.detach() - expectation.log_sums[labelled])
    column = expectation.labels.reference[labelled] - start
    (in_block,) = torch.nonzero((column >= 0) & (column < similarities.shape[1]), as_tuple=True)
    return ((weights * log_sums).sum() - logits[in_block, column[in_block]].sum()) / len(logits)


def _reverse_contrast(similarities: Tensor, labels: PseudoLabels, chosen: Tensor, start: int, temperature: float) -> Tensor:
    """The block's part of L_EM(Z^R, Z^Q, s^T): only chosen references have a positive.

    Args:
        similarities: float (M, B), of the block's references.
        labels: over all references.
        chosen: int64 (K,), the references that any query chose.
        start: the block's first reference.
        temperature: tau.
    """
    in_block = chosen[(chosen >= start) & (chosen < start + similarities.shape[1])]
    positives = in_block[:, None] == labels.reference[None, :]
    mean = losses.pseudo_label_contrast(similarities.T[in_block - start], positives, temperature)
    return mean * (len(in_block) / len(chosen))


def _blocks(references: Tensor, rows: int) -> Iterator[tuple[int, Tensor]]:
    for start in range(0, len(references), rows):
        yield start, references[start : start + rows]
