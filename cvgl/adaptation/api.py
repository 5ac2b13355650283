"""`adapt`: descriptors in, adaptation out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cvgl.adaptation.descriptors import checked
from cvgl.config import AdaptConfig
from cvgl.errors import ConfigError

if TYPE_CHECKING:
    from cvgl.adaptation.recipes import OnIteration
    from cvgl.adaptation.sequences import FrameSequences
    from cvgl.adaptation.transforms import Adaptation


def adapt(
    query_features: Any,
    reference_features: Any,
    recipe: str | None = None,
    config: AdaptConfig | None = None,
    seed: int | None = None,
    on_iteration: OnIteration | None = None,
    checkpoint: str | Path | None = None,
    sequences: FrameSequences | None = None,
) -> Adaptation:
    """Learns to compare two views of frozen descriptors, without any label.

    Args:
        query_features: float32 (M, d0), descriptors of the drone or ground view, in any order.
        reference_features: float32 (N, d0), descriptors of the satellite view, in any order of their own.
        recipe: a `cvgl.config.Recipe`, such as "paper"; default: the configuration's. What the configuration leaves to
            the recipe follows this one. "auto" needs a judgement of the others: `cvgl.adapt` takes it.
        config: all settings; default: the recipe's defaults.
        seed: replaces the configuration's seed. One machine gives the same bytes for the same seed, rows and settings.
        on_iteration: told the metrics of every EM iteration.
        checkpoint: a file in which the state is kept, so that the same call after a crash goes on where it stopped. It is
            removed when the training is complete.
        sequences: which queries were taken one after the other, and where references lie (the map's own data), made by
            `FrameSequences.of`. The recipe `robust` then labels a whole flight at once; others take every image on its own.

    Returns:
        The adaptation, with `transform_query`, `transform_reference`, `save` and `history`.

    Raises:
        ConfigError: no such recipe, settings that do not fit it, the rows or this machine.
        DataError: features that are no finite matrices of one dimension, that are empty, or too few for the recipe.
        LakeError: the checkpoint is damaged, or of another training.
        ModelError: the training diverged.
    """
    from cvgl.adaptation.recipes import learn

    settings = settled(config or AdaptConfig(), recipe, seed)
    queries = checked(query_features, "query features")
    references = checked(reference_features, "reference features", queries.shape[1])
    path = None if checkpoint is None else Path(checkpoint)
    if sequences is not None:
        sequences.check(len(queries), len(references))
    adaptation = learn(queries, references, settings, on_iteration, path, sequences=sequences)
    if path is not None:
        path.unlink(missing_ok=True)
    return adaptation


def settled(config: AdaptConfig, recipe: str | None, seed: int | None) -> AdaptConfig:
    """The configuration with the arguments that stand beside it, validated as a whole."""
    from pydantic import ValidationError

    changes = {"recipe": recipe, "seed": seed}
    given = {name: value for name, value in changes.items() if value is not None}
    try:
        # Only what was given: what was filled in for one recipe is not asked for under another.
        return AdaptConfig.model_validate({**config.model_dump(exclude_unset=True), **given})
    except ValidationError as error:
        first = error.errors()[0]
        field = f"{first['loc'][0]} = {first['input']!r}: " if first["loc"] else ""
        raise ConfigError(f"{field}{first['msg']}", where="adapt()", fix="see cvgl.config.AdaptConfig") from error
