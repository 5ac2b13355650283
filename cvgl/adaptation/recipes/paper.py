"""The recipes "paper" and "paper-...": Algorithm 1 of Li et al. 2024 as printed, one E-step and the gradient of one M-step."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cvgl.adaptation import blocked, losses, pseudo_labels, standardise
from cvgl.adaptation.adapter import LinearMap, ResidualMap, initial_maps, unit_rows
from cvgl.adaptation.affine import Affine
from cvgl.adaptation.losses import LossTerms
from cvgl.adaptation.recipes import gradient
from cvgl.adaptation.recipes.base import Learned, Learner, TrainingInputs
from cvgl.adaptation.training import GradientLearner, Outcome
from cvgl.config import Recipe
from cvgl.errors import ConfigError

if TYPE_CHECKING:
    from cvgl.adaptation.pseudo_labels import PseudoLabels
    from cvgl.adaptation.standardise import Standardised
    from cvgl.config import AdaptConfig


class PaperLearner(GradientLearner):
    """Adapter and reverter as bare matrices, updated by Adam.

    Args:
        d0: dimension of the frozen features.
        config: the settings. With `residual` the adapter is x + x W, and the reverter, which is off, the identity.
        generator: source of the initial weights.

    Raises:
        ConfigError: a residual adapter of another dimension.
    """

    def __init__(self, d0: int, config: AdaptConfig, generator: torch.Generator) -> None:
        super().__init__(config)
        if config.residual and config.dimension not in (None, d0):
            raise ConfigError(
                f"residual adds the adapter's output to its input, and {config.dimension} dimensions do not add to {d0}",
                where="AdaptConfig.dimension",
                fix="leave the dimension out",
            )
        self.adapter: LinearMap
        self.reverter: LinearMap
        if config.residual:
            self.adapter, self.reverter = ResidualMap(d0), LinearMap(torch.eye(d0))
        else:
            self.adapter, self.reverter = initial_maps(d0, config.dimension or d0, generator)

    def optimizer(self) -> torch.optim.Optimizer:
        """Adam over both maps."""
        return torch.optim.Adam([self.adapter.weight, self.reverter.weight], lr=self.config.learning_rate)

    def accumulate(self, queries: Tensor, references: Tensor, iteration: int) -> Outcome:
        """One E-step, and the gradient of the weighted L + C; in blocks where the references do not fit into memory."""
        rows = blocked.block_rows(len(queries), *self.adapter.weight.shape)
        if rows < len(references):
            # The same result, but every reference is projected twice.
            labels, terms = blocked.accumulate_gradients(self.adapter, self.reverter, queries, references, self.config, rows)
        else:
            labels, terms = self._accumulate_at_once(queries, references)
        total = weighted(terms, self.config).item()
        return Outcome(labels, {name: value.item() for name, value in terms._asdict().items()}, total)

    def _accumulate_at_once(self, queries: Tensor, references: Tensor) -> tuple[PseudoLabels, LossTerms]:
        projected = self.adapter(torch.cat([queries, references]))
        z_query, z_reference = torch.split(unit_rows(projected), [len(queries), len(references)])
        similarities = z_query @ z_reference.T
        labels = pseudo_labels.estimate(similarities.detach(), self.config.threshold)
        terms = loss_terms(self.reverter, projected, queries, references, similarities, labels, self.config)
        # L does not depend on the reverter, so one backward pass gives phi the gradient of C and theta that of L + C.
        weighted(terms, self.config).backward()  # type: ignore[no-untyped-call]  # torch leaves Tensor.backward untyped
        return labels, terms

    def maps(self) -> tuple[Affine, Affine]:
        """Adapter and reverter as they stand."""
        return self.adapter.affine(), self.reverter.affine()


def weighted(terms: LossTerms, config: AdaptConfig) -> Tensor:
    """The objective of Algorithm 1: L + C, each with its weight."""
    return config.em_weight * terms.contrast() + config.reconstruction_weight * terms.reconstruction()


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


def learn(inputs: TrainingInputs, statistics: Callable[[TrainingInputs], Standardised]) -> Learned:
    """Algorithm 1 on descriptors that are normalised by `statistics` first."""
    return gradient.learn(inputs, PaperLearner, statistics(inputs))


def _as_printed(inputs: TrainingInputs) -> Standardised:
    return standardise.identity(inputs.d0)


def _centred(inputs: TrainingInputs) -> Standardised:
    return standardise.fit(inputs.queries, inputs.references, scale=False)


def _standardised(inputs: TrainingInputs) -> Standardised:
    return standardise.fit(inputs.queries, inputs.references)


LEARNERS = {
    recipe: Learner(partial(learn, statistics=statistics))
    for recipe, statistics in (
        (Recipe.PAPER, _as_printed),
        (Recipe.PAPER_CENTRED, _centred),
        (Recipe.PAPER_STANDARDISED, _standardised),
    )
}
