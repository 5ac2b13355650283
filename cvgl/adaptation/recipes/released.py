"""The recipe "released": the published trainer of Li et al. 2024, which differs from the paper (docs/concepts/adaptation.md).

It is written from the trainer's behaviour, and tested against a record of 30 of its steps. Two properties are reproduced
though they look unintended: the first step has a learning rate of zero, and the running statistics of both batch
normalisations include rows that enter no loss, see `ReleasedLearner._observe_cycle`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cvgl.adaptation import losses, pseudo_labels, standardise
from cvgl.adaptation.adapter import unit_rows
from cvgl.adaptation.affine import Affine
from cvgl.adaptation.losses import LossTerms
from cvgl.adaptation.recipes import gradient
from cvgl.adaptation.recipes.base import Learned, Learner, TrainingInputs
from cvgl.adaptation.training import GradientLearner, Outcome
from cvgl.config import Recipe
from cvgl.errors import ConfigError, DataError

if TYPE_CHECKING:
    from cvgl.adaptation.pseudo_labels import PseudoLabels
    from cvgl.config import AdaptConfig

WARM_UP = 1
"""Iterations of linear warm-up from zero."""
CLIP = 100.0
"""Largest magnitude of an entry of a gradient."""
MUTUAL_ABOVE = 10
"""With more mutual pairs than this, all other labels are dropped."""
MOMENTUM = 0.1
"""Share of a batch in the running statistics, torch's default."""
SETTLING = 40
"""Last iterations, in which running statistics are updated: the adapter's by four batches in each, so that earlier values would
remain with a weight of 0.9^160 = 5e-8, which float32 does not resolve."""


class NormalisedMap(nn.Module):
    """x -> batch normalisation of x W.

    The published layers have a bias before the normalisation. It is left out: subtracting the batch's mean cancels it, its
    gradient is rounding noise, and AdamW amplifies that noise to full steps.

    Args:
        inputs: dimension of the rows.
        outputs: dimension of the result.
        generator: source of the initial weights, distributed as torch's for a linear layer.
    """

    running_mean: Tensor
    running_variance: Tensor

    def __init__(self, inputs: int, outputs: int, generator: torch.Generator) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(inputs, outputs).uniform_(-bound, bound, generator=generator))
        self.scale = nn.Parameter(torch.ones(outputs))
        self.shift = nn.Parameter(torch.zeros(outputs))
        self.register_buffer("running_mean", torch.zeros(outputs))
        self.register_buffer("running_variance", torch.ones(outputs))

    def forward(self, rows: Tensor, observed: int = 0) -> Tensor:
        """Maps a batch, normalised by its own statistics.

        Args:
            rows: float32 (n, inputs), n at least 2.
            observed: number of updates of the running statistics by the batch.
        """
        mean, variance = (self.running_mean, self.running_variance) if observed else (None, None)
        # k updates in a row equal one update with this momentum.
        momentum = 1 - (1 - MOMENTUM) ** observed
        return F.batch_norm(rows @ self.weight, mean, variance, self.scale, self.shift, training=True, momentum=momentum)

    def affine(self) -> Affine:
        """The map for new rows, normalised by the running statistics."""
        weight, scale, shift, mean, variance = (
            tensor.detach().cpu().double()
            for tensor in (self.weight, self.scale, self.shift, self.running_mean, self.running_variance)
        )
        factor = scale / torch.sqrt(variance + 1e-5)
        return Affine((weight * factor).float().numpy(), (shift - mean * factor).float().numpy())


class ReleasedLearner(GradientLearner):
    """Adapter and reverter with batch normalisation and a learned temperature, updated by AdamW.

    Each view is normalised by its own batch, the references first; the running statistics are those of both.

    Args:
        d0: dimension of the frozen features.
        config: the settings.
        generator: source of the initial weights.
    """

    def __init__(self, d0: int, config: AdaptConfig, generator: torch.Generator) -> None:
        super().__init__(config)
        d = config.dimension or d0
        self.adapter = NormalisedMap(d0, d, generator)
        self.reverter = NormalisedMap(d, d0, generator)
        self.log_scale = nn.Parameter(torch.tensor(-math.log(config.temperature)))

    def optimizer(self) -> torch.optim.Optimizer:
        # The log-temperature has weight decay, too: the temperature is drawn towards 1.
        """AdamW over both maps and the temperature."""
        return torch.optim.AdamW(self.parameters(), lr=self.config.learning_rate, weight_decay=self.config.weight_decay)

    def learning_rate(self, iteration: int) -> float:
        """Linear from zero, then half a cosine that would reach zero after the last iteration."""
        if iteration < WARM_UP:
            return self.config.learning_rate * iteration / WARM_UP
        progress = (iteration - WARM_UP) / max(1, self.config.iterations - WARM_UP)
        return self.config.learning_rate * (1 + math.cos(math.pi * progress)) / 2

    def limit_gradient(self) -> None:
        """Clips every entry to `CLIP`."""
        nn.utils.clip_grad_value_(self.parameters(), CLIP)

    def accumulate(self, queries: Tensor, references: Tensor, iteration: int) -> Outcome:
        """One E-step with mutual labels, and the gradient of the weighted losses."""
        observed = int(iteration >= self.config.iterations - SETTLING)
        projected = self.adapter(references, observed), self.adapter(queries, observed)
        z_reference, z_query = (unit_rows(rows) for rows in projected)
        similarities = z_query @ z_reference.T
        labels = pseudo_labels.estimate(similarities.detach(), self.config.threshold)
        labels = pseudo_labels.mutual_only(labels, MUTUAL_ABOVE)
        terms = LossTerms(
            *self._contrast(similarities, labels), *self._reconstruction(queries, references, projected, observed)
        )
        # Published and printed loss differ here: the two directions of the contrast are averaged.
        total = self.config.em_weight * terms.contrast() / 2 + self.config.reconstruction_weight * terms.reconstruction()
        total.backward()  # type: ignore[no-untyped-call]  # torch leaves Tensor.backward untyped
        temperature = math.exp(-self.log_scale.item())
        return Outcome(labels, {name: value.item() for name, value in terms._asdict().items()}, total.item(), temperature)

    def maps(self) -> tuple[Affine, Affine]:
        """Adapter and reverter, normalised by their running statistics."""
        return self.adapter.affine(), self.reverter.affine()

    def _contrast(self, similarities: Tensor, labels: PseudoLabels) -> tuple[Tensor, Tensor]:
        """Both directions; every row of the other view is a negative, labelled or not."""
        if self.config.em_weight == 0:
            return similarities.new_zeros(()), similarities.new_zeros(())
        (query,) = torch.nonzero(labels.labelled, as_tuple=True)
        reference = labels.reference[query]
        logits = similarities * self.log_scale.exp()
        forward = losses.smoothed_contrast(logits, query, reference, self.config.smoothing)
        return forward, losses.smoothed_contrast(logits.T, reference, query, self.config.smoothing)

    def _reconstruction(
        self, queries: Tensor, references: Tensor, projected: tuple[Tensor, Tensor], observed: int
    ) -> tuple[Tensor, Tensor]:
        """Of queries and references, from the adapter's outputs of references and queries."""
        if self.config.reconstruction_weight == 0:
            return queries.new_zeros(()), queries.new_zeros(())
        # The published trainer reverts each view twice, to itself and to the other view, which is the same with shared maps.
        reverted = [self.reverter(rows, 2 * observed) for rows in projected]
        if observed:
            self._observe_cycle(reverted)
        reference, query = (unit_rows(rows) for rows in reverted)
        return losses.mean_absolute_difference(queries, query), losses.mean_absolute_difference(references, reference)

    @torch.no_grad()
    def _observe_cycle(self, reverted: list[Tensor]) -> None:
        """Updates the running statistics with the rows that the published trainer maps without a loss.

        It adapts and reverts the reconstructions again, so half of the running statistics, which normalise new descriptors, are
        those of reconstructions. The result depends on it.
        """
        cycled = [self.adapter(rows, 1) for rows in reverted]
        for rows in cycled:
            self.reverter(rows, 1)


def learn(inputs: TrainingInputs) -> Learned:
    """The published trainer on L2-normalised descriptors.

    Raises:
        ConfigError: a single query is drawn per iteration.
        DataError: a view has a single row.
    """
    n_queries, n_references = len(inputs.queries), len(inputs.references)
    if inputs.config.query_samples == 1:
        raise ConfigError(
            "the recipe 'released' normalises over the drawn queries, which a single one does not allow",
            where="AdaptConfig.query_samples",
            fix="draw at least 2",
        )
    if min(n_queries, n_references) < 2:
        raise DataError(
            f"the recipe 'released' normalises over the rows of a view: {n_queries} query and {n_references} reference rows",
            fix="give at least 2 of each, or use a recipe of the paper's",
        )
    return gradient.learn(inputs, ReleasedLearner, standardise.identity(inputs.d0))


LEARNERS = {Recipe.RELEASED: Learner(learn)}
