"""Training by gradient: its state, and the loop of query sampling, E-step and M-step, T times.

The random draws, the order of every sum and the optimiser are fixed by the settings and the rows, so one machine gives the
same bytes each time, whether the loop was interrupted or not.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from cvgl.adaptation.affine import Affine
from cvgl.adaptation.compute import computing
from cvgl.adaptation.pseudo_labels import PseudoLabels
from cvgl.adaptation.record import IterationMetrics
from cvgl.errors import ModelError

if TYPE_CHECKING:
    from cvgl.adaptation.standardise import DescriptorTransform
    from cvgl.config import AdaptConfig
    from cvgl.types import Float32Array

NEVER_DRAWN = -2

Draws = Callable[[torch.Generator, int], Tensor]
"""Query rows of the next iteration: (generator, number of references) -> int64 (m,), on the CPU."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """E-step and losses of one iteration; the gradient itself is left in the parameters.

    Attributes:
        labels: the E-step's, for the drawn queries.
        losses: the unweighted terms by name.
        total: their weighted sum, of which the gradient was taken.
        temperature: tau as it stood, where it is learned.
    """

    labels: PseudoLabels
    losses: dict[str, float]
    total: float
    temperature: float | None = None


class GradientLearner(nn.Module, ABC):
    """The maps that a recipe trains, with their losses and optimiser; `state_dict` holds all learned values and buffers.

    Args:
        config: the settings.
    """

    def __init__(self, config: AdaptConfig) -> None:
        super().__init__()
        self.config = config

    @abstractmethod
    def optimizer(self) -> torch.optim.Optimizer:
        """A fresh optimiser over the parameters."""

    @abstractmethod
    def accumulate(self, queries: Tensor, references: Tensor, iteration: int) -> Outcome:
        """One E-step, and the gradient of the M-step's loss added to every parameter's `grad`.

        Args:
            queries: float32 (m, d0), the drawn unit rows.
            references: float32 (N, d0), unit rows.
            iteration: 0 for the first.
        """

    @abstractmethod
    def maps(self) -> tuple[Affine, Affine]:
        """Adapter and reverter as used on new descriptors, with everything between them and the output folded in."""

    def learning_rate(self, iteration: int) -> float:
        """Learning rate of an iteration, 0 being the first; constant unless overridden."""
        return self.config.learning_rate

    def limit_gradient(self) -> None:
        """Clips the gradient before the optimiser's step; does nothing unless overridden."""
        return


@dataclass
class TrainingState:
    """State that the next iteration depends on, besides the rows and the settings.

    Attributes:
        learner: the maps.
        optimizer: over their parameters.
        generator: source of the query samples.
        last_labels: int64 (queries,), each query's latest pseudo-label, or `NEVER_DRAWN`.
        history: one entry per finished iteration.
    """

    learner: GradientLearner
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    last_labels: Tensor
    history: list[IterationMetrics] = field(default_factory=list)

    @property
    def iteration(self) -> int:
        """Iterations finished."""
        return len(self.history)


def start(learner: GradientLearner, n_queries: int, generator: torch.Generator, device: torch.device) -> TrainingState:
    """The state before the first iteration.

    Args:
        learner: with initial weights; moved to the device.
        n_queries: rows that can be drawn.
        generator: on the CPU for every device, so that draws do not depend on the device.
        device: of the iterations.
    """
    learner.to(device)
    last_labels = torch.full((n_queries,), NEVER_DRAWN, dtype=torch.int64)
    return TrainingState(learner, learner.optimizer(), generator, last_labels)


def run(
    state: TrainingState,
    queries: Float32Array,
    references: Float32Array,
    normalisation: DescriptorTransform,
    after_iteration: Callable[[TrainingState], None],
    draws: Draws | None = None,
) -> None:
    """Runs the remaining iterations.

    Args:
        state: changed in place.
        queries: float32 (M_0, d0), X^{Q_0}.
        references: float32 (N, d0), X^R.
        normalisation: of both views, to unit rows.
        after_iteration: called with the state when each iteration is complete.
        draws: query rows of an iteration; default: `sample` of the configured size.

    Raises:
        ModelError: the loss is no longer finite.
    """
    config = state.learner.config
    device = next(state.learner.parameters()).device
    draw = draws or uniform(len(queries), config.query_samples)
    all_references = torch.from_numpy(normalisation.transform_reference(references)).to(device)
    while state.iteration < config.iterations:
        drawn = draw(state.generator, len(references))
        drawn_queries = torch.from_numpy(normalisation.transform_query(queries[drawn.numpy()])).to(device)
        with computing(device, config.precision):
            outcome = _step(state, drawn_queries, all_references)
        state.history.append(_measure(state, outcome, drawn, len(references)))
        state.last_labels[drawn] = outcome.labels.reference.cpu()
        after_iteration(state)


def uniform(n_queries: int, count: int | None) -> Draws:
    """Uniform draws of `count` queries per iteration, or as many as there are references."""
    return lambda generator, n_references: sample(n_queries, count or n_references, generator)


def sample(n_queries: int, count: int, generator: torch.Generator) -> Tensor:
    """Draws `count` different queries uniformly; all of them when there are fewer."""
    return torch.randperm(n_queries, generator=generator)[:count]


def _step(state: TrainingState, queries: Tensor, references: Tensor) -> Outcome:
    """One E-step and one M-step."""
    learner, config = state.learner, state.learner.config
    state.optimizer.zero_grad()
    outcome = learner.accumulate(queries, references, state.iteration)
    if not math.isfinite(outcome.total):
        raise ModelError(
            f"the loss is {outcome.total} in iteration {state.iteration + 1}",
            where="adaptation",
            fix=f"lower the learning rate ({config.learning_rate:g}) or raise the temperature ({config.temperature:g})",
        )
    learner.limit_gradient()
    for group in state.optimizer.param_groups:
        group["lr"] = learner.learning_rate(state.iteration)
    state.optimizer.step()
    return outcome


def _measure(state: TrainingState, outcome: Outcome, drawn: Tensor, n_references: int) -> IterationMetrics:
    labels, reference = outcome.labels, outcome.labels.reference.cpu()
    previous = state.last_labels[drawn]
    drawn_before = previous != NEVER_DRAWN
    changed = (previous != reference)[drawn_before]
    chosen = torch.unique(labels.reference[labels.labelled])
    return IterationMetrics(
        iteration=state.iteration + 1,
        losses={**outcome.losses, "total": outcome.total},
        labelled_share=_share(labels.labelled),
        mutual_share=_share(labels.mutual),
        chosen_share=len(chosen) / n_references,
        mean_top_similarity=labels.similarity.double().mean().item(),
        changed_share=_share(changed) if len(changed) else None,
        temperature=outcome.temperature,
    )


def _share(flags: Tensor) -> float:
    return int(flags.sum()) / len(flags)
