"""`cvgl.adapt`: descriptors in, adaptation out, with the recipe `auto` as the command has it.

`cvgl.adaptation` learns a named recipe and `cvgl.quality` compares recipes without labels; neither knows the stages. This
composes them for arrays, as the stage `adapt` does for a lake. There is no parameter for a label.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from cvgl.config import AdaptConfig, Recipe, SelectConfig
from cvgl.errors import ConfigError, GateRefusal

if TYPE_CHECKING:
    from cvgl.adaptation import Adaptation, FrameSequences
    from cvgl.adaptation.recipes import OnIteration


def adapt(
    query_features: Any,
    reference_features: Any,
    recipe: str | None = None,
    config: AdaptConfig | None = None,
    seed: int | None = None,
    on_iteration: OnIteration | None = None,
    checkpoint: str | Path | None = None,
    sequences: FrameSequences | None = None,
    rules: SelectConfig | None = None,
) -> Adaptation:
    """Learns to compare two views of frozen descriptors, without any label.

    Args:
        query_features: float32 (M, d0), descriptors of the drone or ground view, in any order.
        reference_features: float32 (N, d0), descriptors of the satellite view, in any order of their own.
        recipe: a `cvgl.config.Recipe`, such as "robust"; default: the configuration's, which is "robust" unless it says
            otherwise. "auto" chooses among the recipes by held-out rows, without labels; the evidence is the result's `choice`,
            and `save` writes it beside the adapter.
        config: all settings; default: the recipe's defaults.
        seed: replaces the configuration's seed. One machine gives the same bytes for the same seed, rows and settings.
        on_iteration: called with the metrics of every EM iteration of the final training.
        checkpoint: file of the training state, so that the same call after a crash resumes. It is removed when the training is
            complete. A choice is repeated, with the same outcome.
        sequences: image sequences of the queries and positions of the references (the map's own data), made by
            `cvgl.adaptation.FrameSequences.of`. The recipe `robust` then labels a whole sequence at once; others treat every
            image separately.
        rules: of the choice that "auto" makes; default: `SelectConfig()`.

    Returns:
        The adaptation, with `transform_query`, `transform_reference`, `save`, `history` and `choice`.

    Raises:
        GateRefusal: recipe "auto", and the views are unrelated, or too few images to tell. A named recipe is learned all the
            same.
        ConfigError: no such recipe, settings that do not fit it, the rows or this machine.
        DataError: features that are no finite matrices of one dimension, that are empty, or too few for the recipe.
        LakeError: the checkpoint is damaged, or of another training.
        ModelError: the training diverged.
    """
    from cvgl.adaptation import learn

    settings = _with_arguments(config or AdaptConfig(), recipe, seed)
    selection = None
    if settings.recipe is Recipe.AUTO:
        from cvgl.quality.selection import chosen_settings, select

        selection = select(query_features, reference_features, settings, rules, sequences)
        if selection.refusal:
            raise GateRefusal(
                selection.refusal,
                where="adapt(recipe='auto')",
                fix="give images of one area in both views, enough of each, or name a recipe if you know better",
            )
        settings = chosen_settings(settings, selection)
    adaptation = learn(query_features, reference_features, settings, on_iteration, checkpoint, sequences=sequences)
    return adaptation if selection is None else replace(adaptation, choice=selection)


def _with_arguments(config: AdaptConfig, recipe: str | None, seed: int | None) -> AdaptConfig:
    """The configuration with the arguments beside it, validated as a whole."""
    arguments = {name: value for name, value in (("recipe", recipe), ("seed", seed)) if value is not None}
    try:
        # Without the defaults of the configuration's recipe, which may not be those of the argument's.
        return AdaptConfig.model_validate({**config.model_dump(exclude_unset=True), **arguments})
    except ValidationError as error:
        first = error.errors()[0]
        field = f"{first['loc'][0]} = {first['input']!r}: " if first["loc"] else ""
        raise ConfigError(f"{field}{first['msg']}", where="adapt()", fix="see cvgl.config.AdaptConfig") from error
