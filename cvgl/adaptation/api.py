"""`adapt`: descriptors in, adaptation out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cvgl.adaptation.descriptors import checked
from cvgl.config import AdaptConfig
from cvgl.errors import ConfigError

if TYPE_CHECKING:
    from cvgl.adaptation.recipes import OnIteration
    from cvgl.adaptation.transforms import Adaptation


def adapt(
    query_features: Any,
    reference_features: Any,
    recipe: str | None = None,
    config: AdaptConfig | None = None,
    seed: int | None = None,
    on_iteration: OnIteration | None = None,
    checkpoint: str | Path | None = None,
) -> Adaptation:
    """Learns to compare two views of frozen descriptors, without any label.

    Args:
        query_features: float32 (M, d0), descriptors of the drone or ground view, in any order.
        reference_features: float32 (N, d0), descriptors of the satellite view, in any order of their own.
        recipe: a `cvgl.config.Recipe`, such as "paper"; default: the configuration's.
        config: all settings; default: the recipe's defaults.
        seed: replaces the configuration's seed. One machine gives the same bytes for the same seed, rows and settings.
        on_iteration: told the metrics of every EM iteration.
        checkpoint: a file in which the state is kept, so that the same call after a crash goes on where it stopped. It is
            removed when the training is complete.

    Returns:
        The adaptation, with `transform_query`, `transform_reference`, `save` and `history`.

    Raises:
        ConfigError: no such recipe.
        DataError: features that are no finite matrices of one dimension, or that are empty.
        LakeError: the checkpoint is damaged, or of another training.
        ModelError: the training diverged.
    """
    from cvgl.adaptation.recipes import learn

    settings = _settings(config or AdaptConfig(), recipe, seed)
    queries = checked(query_features, "query features")
    references = checked(reference_features, "reference features", queries.shape[1])
    path = None if checkpoint is None else Path(checkpoint)
    adaptation = learn(queries, references, settings, on_iteration, path)
    if path is not None:
        path.unlink(missing_ok=True)
    return adaptation


def _settings(config: AdaptConfig, recipe: str | None, seed: int | None) -> AdaptConfig:
    """The configuration with the arguments that stand beside it, validated as a whole."""
    from pydantic import ValidationError

    changes = {"recipe": recipe, "seed": seed}
    given = {name: value for name, value in changes.items() if value is not None}
    try:
        return AdaptConfig.model_validate({**config.model_dump(), **given})
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{first['loc'][0]} = {first['input']!r}: {first['msg']}", where="adapt()") from error
