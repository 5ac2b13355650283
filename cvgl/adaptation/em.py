"""Algorithm 1 of Li et al. 2024: query sampling, E-step, M-step, T times.

The random draws, the order of every sum and the optimiser are fixed by the settings and the rows, so one machine gives the
same bytes each time, whether the loop was interrupted or not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cvgl.adaptation import losses, pseudo_labels
from cvgl.adaptation.adapter import LinearMap, initial_maps, unit_rows
from cvgl.adaptation.losses import LossTerms
from cvgl.adaptation.pseudo_labels import PseudoLabels
from cvgl.adaptation.record import IterationMetrics
from cvgl.errors import ModelError

if TYPE_CHECKING:
    from cvgl.adaptation.standardise import DescriptorTransform
    from cvgl.config import AdaptConfig
    from cvgl.types import Float32Array

NEVER_DRAWN = -2


@dataclass
class TrainingState:
    """Everything that the next iteration depends on, besides the rows and the settings.

    Attributes:
        adapter: f_theta.
        reverter: f_phi.
        optimizer: Adam over both.
        generator: source of the query samples.
        last_labels: int64 (queries,), each query's latest pseudo-label, or `NEVER_DRAWN`.
        history: one entry per finished iteration.
    """

    adapter: LinearMap
    reverter: LinearMap
    optimizer: torch.optim.Adam
    generator: torch.Generator
    last_labels: Tensor
    history: list[IterationMetrics] = field(default_factory=list)

    @property
    def iteration(self) -> int:
        """Iterations finished."""
        return len(self.history)


def start(n_queries: int, d0: int, config: AdaptConfig) -> TrainingState:
    """The state before the first iteration."""
    generator = torch.Generator().manual_seed(config.seed)
    adapter, reverter = initial_maps(d0, config.dimension or d0, generator)
    optimizer = torch.optim.Adam([adapter.weight, reverter.weight], lr=config.learning_rate)
    return TrainingState(
        adapter=adapter,
        reverter=reverter,
        optimizer=optimizer,
        generator=generator,
        last_labels=torch.full((n_queries,), NEVER_DRAWN, dtype=torch.int64),
    )


def run(
    state: TrainingState,
    queries: Float32Array,
    references: Float32Array,
    normalisation: DescriptorTransform,
    config: AdaptConfig,
    after_iteration: Callable[[TrainingState], None],
) -> None:
    """Brings `state` to `config.iterations` iterations.

    Args:
        state: changed in place.
        queries: float32 (M_0, d0), X^{Q_0}.
        references: float32 (N, d0), X^R.
        normalisation: what both go through first; to unit rows.
        config: the settings.
        after_iteration: called with the state when each iteration is complete.

    Raises:
        ModelError: the loss is no longer finite.
    """
    all_references = torch.from_numpy(normalisation.transform_reference(references))
    while state.iteration < config.iterations:
        drawn = sample(len(queries), config.query_samples, state.generator)
        drawn_queries = torch.from_numpy(normalisation.transform_query(queries[drawn.numpy()]))
        metrics = _iterate(state, drawn_queries, all_references, drawn, config)
        state.history.append(metrics)
        after_iteration(state)


def sample(n_queries: int, count: int, generator: torch.Generator) -> Tensor:
    """Draws `count` different queries uniformly, without knowing anything about them; all of them when there are fewer."""
    return torch.randperm(n_queries, generator=generator)[:count]


def _iterate(state: TrainingState, queries: Tensor, references: Tensor, drawn: Tensor, config: AdaptConfig) -> IterationMetrics:
    """One E-step and one M-step on unit rows (m, d0) and (N, d0)."""
    projected = state.adapter(torch.cat([queries, references]))
    z_query, z_reference = torch.split(unit_rows(projected), [len(queries), len(references)])
    similarities = z_query @ z_reference.T
    labels = pseudo_labels.estimate(similarities.detach(), config.threshold)
    terms = loss_terms(state.reverter, projected, queries, references, similarities, labels, config)
    total = config.em_weight * terms.contrast() + config.reconstruction_weight * terms.reconstruction()
    if not torch.isfinite(total):
        raise ModelError(
            f"the loss is {total.item()} in iteration {state.iteration + 1}",
            where="adaptation",
            fix=f"lower the learning rate ({config.learning_rate:g}) or raise the temperature ({config.temperature:g})",
        )
    state.optimizer.zero_grad()
    # The reverter has no part in L, so one backward pass gives phi the gradient of C and theta that of L + C.
    total.backward()  # type: ignore[no-untyped-call]  # torch leaves Tensor.backward untyped
    state.optimizer.step()
    metrics = _measure(state, labels, drawn, len(references), terms, total)
    state.last_labels[drawn] = labels.reference
    return metrics


def loss_terms(
    reverter: LinearMap,
    projected: Tensor,
    queries: Tensor,
    references: Tensor,
    similarities: Tensor,
    labels: PseudoLabels,
    config: AdaptConfig,
) -> LossTerms:
    """The terms of L and C in Algorithm 1; a module whose weight is 0 is not computed.

    Args:
        reverter: f_phi.
        projected: float32 (m + N, d), adapter outputs of queries, then references, before L2 normalisation.
        queries: float32 (m, d0), unit rows.
        references: float32 (N, d0), unit rows.
        similarities: float32 (m, N), cosines of the adapted rows.
        labels: the E-step's.
        config: weights and temperature.
    """
    forward = backward = reconstruct_query = reconstruct_reference = similarities.new_zeros(())
    if config.em_weight > 0:
        positives = labels.matrix(len(references))
        forward = losses.pseudo_label_contrast(similarities, positives, config.temperature)
        backward = losses.pseudo_label_contrast(similarities.T, positives.T, config.temperature)
    if config.reconstruction_weight > 0:
        reverted_query, reverted_reference = torch.split(reverter(projected), [len(queries), len(references)])
        reconstruct_query = losses.reconstruction(queries, reverted_query)
        reconstruct_reference = losses.reconstruction(references, reverted_reference)
    return LossTerms(forward, backward, reconstruct_query, reconstruct_reference)


def _measure(
    state: TrainingState, labels: PseudoLabels, drawn: Tensor, n_references: int, terms: LossTerms, total: Tensor
) -> IterationMetrics:
    previous = state.last_labels[drawn]
    known = previous != NEVER_DRAWN
    changed = (previous != labels.reference)[known]
    chosen = torch.unique(labels.reference[labels.labelled])
    return IterationMetrics(
        iteration=state.iteration + 1,
        losses={**{name: value.item() for name, value in terms._asdict().items()}, "total": total.item()},
        labelled_share=_share(labels.labelled),
        mutual_share=_share(labels.mutual),
        chosen_share=len(chosen) / n_references,
        mean_top_similarity=labels.similarity.double().mean().item(),
        changed_share=_share(changed) if len(changed) else None,
    )


def _share(flags: Tensor) -> float:
    return int(flags.sum()) / len(flags)
