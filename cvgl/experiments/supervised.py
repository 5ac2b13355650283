"""The supervised upper bound of Table VI: the paper's adapter, trained with true pairs in the place of pseudo-labels.

It answers what labels would be worth, and is nothing to use: the result cannot be saved, has no record and is no
`Adaptation`, so neither the registry nor localisation can take it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F

from cvgl.adaptation import standardise
from cvgl.adaptation.adapter import initial_maps
from cvgl.adaptation.descriptors import in_blocks, unit_rows
from cvgl.adaptation.losses import pseudo_label_contrast
from cvgl.config import Recipe
from cvgl.errors import ConfigError, DataError, ModelError

if TYPE_CHECKING:
    from cvgl.adaptation.standardise import Standardised, Statistics
    from cvgl.config import AdaptConfig
    from cvgl.experiments.material import TrainingPlaces, TrainingSet
    from cvgl.types import Float32Array

_NORMALISATIONS = {Recipe.PAPER: None, Recipe.PAPER_CENTRED: False, Recipe.PAPER_STANDARDISED: True}


@dataclass(frozen=True, slots=True)
class SupervisedBound:
    """What true pairs lead to. A `cvgl.adaptation.DescriptorTransform`, and no more.

    Attributes:
        weight: float32 (d0, d).
        statistics: what each view's descriptors go through first.
        losses: the contrast of every iteration.
    """

    weight: Float32Array
    statistics: Standardised
    losses: tuple[float, ...]

    def transform_query(self, features: Any) -> Float32Array:
        """(n, d0) descriptors of the drone or ground view -> float32 (n, d) unit rows."""
        return self._transform(features, "query features", self.statistics.query)

    def transform_reference(self, features: Any) -> Float32Array:
        """(n, d0) descriptors of the satellite view -> float32 (n, d) unit rows."""
        return self._transform(features, "reference features", self.statistics.reference)

    def _transform(self, features: Any, name: str, statistics: Statistics) -> Float32Array:
        d0, d = self.weight.shape
        return in_blocks(features, name, d0, d, lambda block: unit_rows(statistics.standardise(block) @ self.weight))


def fit_bound(training: TrainingSet, places: TrainingPlaces, config: AdaptConfig) -> SupervisedBound:
    """Trains on true pairs, with the start, draws, loss, optimiser and iterations that the settings give EMPL.

    Everything is as in Algorithm 1 but for Eq. 5: s_ij is 1 where query i and reference j show one place. A place may have
    several images on either side; Eq. 6 sums over all that are right. Without the consistency module: Table VI turns the
    modules on one by one, and supervision stands there without AIC, which the paper brings in against wrong pseudo-labels.

    Args:
        training: what EMPL learns from.
        places: ground truth of those images.
        config: a recipe of the paper's family; the seed counts.

    Raises:
        ConfigError: a recipe that is not of the paper's family, or a module that the bound does not have.
        DataError: no training query has its place among the references.
        ModelError: the training diverged.
    """
    _check(config)
    query_places, reference_places = (torch.from_numpy(codes) for codes in places.codes())
    known_references = reference_places[reference_places >= 0]
    if not torch.isin(query_places, known_references).any():
        raise DataError(
            "no training query has its place among the training references, so nothing can be supervised",
            where="ground truth of the training images",
            fix="put the training images of both views into folders named by their place",
        )
    statistics = _statistics(training, config.recipe)
    queries = torch.from_numpy(statistics.transform_query(training.queries))
    references = torch.from_numpy(statistics.transform_reference(training.references))
    generator = torch.Generator().manual_seed(config.seed)
    adapter, _ = initial_maps(queries.shape[1], config.dimension or queries.shape[1], generator)
    optimizer = torch.optim.Adam(adapter.parameters(), lr=config.learning_rate)
    losses: list[float] = []
    for _ in range(config.iterations):
        drawn = torch.randperm(len(queries), generator=generator)[: config.query_samples]
        z_query, z_reference = (F.normalize(adapter(rows), dim=1) for rows in (queries[drawn], references))
        similarities = z_query @ z_reference.T
        right = (query_places[drawn, None] == reference_places) & (reference_places >= 0)
        loss = pseudo_label_contrast(similarities, right, config.temperature)
        loss = loss + pseudo_label_contrast(similarities.T, right.T, config.temperature)
        _step(optimizer, loss, len(losses) + 1)
        losses.append(loss.item())
    return SupervisedBound(adapter.weight.detach().numpy().copy(), statistics, tuple(losses))


def _check(config: AdaptConfig) -> None:
    if config.recipe not in _NORMALISATIONS:
        raise ConfigError(
            f"the supervised bound follows the paper's trainer, not '{config.recipe}'", where="recipe", fix="use a paper recipe"
        )
    if config.reconstruction_weight or config.residual:
        raise ConfigError(
            "the supervised bound has neither the consistency module nor a residual connection",
            where="reconstruction_weight, residual",
            fix="set reconstruction_weight to 0 and leave residual off",
        )


def _step(optimizer: torch.optim.Adam, loss: torch.Tensor, iteration: int) -> None:
    if not torch.isfinite(loss):
        raise ModelError(
            f"the loss is {loss.item()} in iteration {iteration}",
            where="the supervised bound",
            fix="lower the learning rate or raise the temperature",
        )
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves Tensor.backward untyped
    optimizer.step()


def _statistics(training: TrainingSet, recipe: Recipe) -> Standardised:
    scale = _NORMALISATIONS[recipe]
    if scale is None:
        return standardise.identity(training.queries.shape[1])
    return standardise.fit(training.queries, training.references, scale=scale)
