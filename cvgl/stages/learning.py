"""`cvgl.adapt`: descriptors in, adaptation out, with the recipe `auto` as the command has it.

`cvgl.adaptation` learns a recipe that is named, and `cvgl.quality` judges without labels; the former does not know the latter.
This composes them for arrays, as the stage `adapt` does for a lake. No label can be given: there is no parameter for one.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cvgl.config import AdaptConfig, Recipe, SelectConfig
from cvgl.errors import GateRefusal

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
        on_iteration: told the metrics of every EM iteration of the final training.
        checkpoint: a file in which the state is kept, so that the same call after a crash goes on where it stopped. It is
            removed when the training is complete. A choice is made again, and comes out the same.
        sequences: which queries were taken one after the other, and where references lie (the map's own data), made by
            `cvgl.adaptation.FrameSequences.of`.
        rules: of the choice that "auto" makes; default: `SelectConfig()`.

    Returns:
        The adaptation, with `transform_query`, `transform_reference`, `save`, `history` and `choice`.

    Raises:
        GateRefusal: recipe "auto", and the views have nothing to do with one another, or cannot be judged (too few images).
            A recipe that is named is learned all the same.
        ConfigError: no such recipe, settings that do not fit it, the rows or this machine.
        DataError: features that are no finite matrices of one dimension, that are empty, or too few for the recipe.
        LakeError: the checkpoint is damaged, or of another training.
        ModelError: the training diverged.
    """
    from cvgl.adaptation.api import adapt as learn
    from cvgl.adaptation.api import settled

    settings = settled(config or AdaptConfig(), recipe, seed)
    if settings.recipe is not Recipe.AUTO:
        return learn(
            query_features,
            reference_features,
            config=settings,
            on_iteration=on_iteration,
            checkpoint=checkpoint,
            sequences=sequences,
        )
    from cvgl.quality.selection import chosen_settings, select

    selection = select(query_features, reference_features, settings, rules, sequences)
    if selection.refusal:
        raise GateRefusal(
            selection.refusal,
            where="adapt(recipe='auto')",
            fix="give images of one area in both views, enough of each, or name a recipe if you know better",
        )
    learned = learn(
        query_features,
        reference_features,
        config=chosen_settings(settings, selection),
        on_iteration=on_iteration,
        checkpoint=checkpoint,
        sequences=sequences,
    )
    return replace(learned, choice=selection)
