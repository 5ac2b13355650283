"""Convolutional and hierarchical models (ResNet, ConvNeXt, Swin, ...): the maps of stages, pooled over tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from cvgl.backbones.pooling import Head, LocalFeatures
from cvgl.config import Facet, Pooling
from cvgl.errors import ConfigError, ModelError


class StagePooling(nn.Module):
    """A model up to one stage, and the pooling of its and perhaps earlier maps.

    Rows are not normalised before they are averaged: the strength of a response is informative in these models.

    Args:
        model: a timm model, already cut behind the last stage.
        stages: indices into the model's feature_info, ascending.
    """

    def __init__(self, model: Any, stages: tuple[int, ...], pooling: Pooling, gem_p: float, rings: int = 1) -> None:
        super().__init__()
        self.model, self.layers, self.facet = model, stages, Facet.TOKEN
        self.head = Head(tuple(range(len(stages))), rings, pooling, gem_p)

    def local(self, images: torch.Tensor) -> list[LocalFeatures]:
        """(B, 3, H, W) -> the tokens of each stage, from one pass through the model."""
        maps = self.model.forward_intermediates(
            images, indices=list(self.layers), stop_early=True, intermediates_only=True, output_fmt="NCHW"
        )
        return [LocalFeatures(rows.float().flatten(2).transpose(1, 2), (rows.shape[2], rows.shape[3])) for rows in maps]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) -> (B, d) float32, not normalised."""
        return self.head(self.local(images))


def check(model: Any, name: str, facet: Facet, pooling: Pooling) -> None:
    """Rejects settings that only plain transformers have.

    Raises:
        ConfigError: query, key, value or cls.
        ModelError: the model does not give its intermediate maps.
    """
    if facet is not Facet.TOKEN or pooling is Pooling.CLS:
        setting, value = ("facet", facet) if facet is not Facet.TOKEN else ("pooling", pooling)
        raise ConfigError(
            f"'{name}' is not a plain vision transformer and has no '{value}'",
            where=f"backbone.{setting}",
            fix="leave it out (token, mean), or choose a plain ViT such as vit_base_patch14_dinov2",
        )
    lacking = [
        need for need in ("forward_intermediates", "prune_intermediate_layers", "feature_info") if not hasattr(model, need)
    ]
    if lacking:
        raise ModelError(
            f"'{name}' does not give its intermediate maps ({', '.join(lacking)})",
            where="backbone.name",
            fix="choose another timm model",
        )


def cut(model: Any, layers: tuple[int, ...] | None, holds: Callable[[set[str]], set[str]]) -> tuple[tuple[int, ...], set[str]]:
    """Cuts a model in place behind a stage: the last configured one, or the deepest whose weights are present.

    Args:
        model: a timm model.
        layers: stages, from 0; negative from the end; None for the deepest alone.
        holds: weight names -> those that are present.

    Returns:
        The stages, ascending, and the names that are missing for them (empty when they can be used).

    Raises:
        ConfigError: no such stage, or one twice.
    """
    count = len(model.feature_info)
    if layers is not None:
        stages = resolve_layers(layers, count, "stage")
        needed = _prune(model, stages[-1])
        return stages, needed - holds(needed)
    deepest_missing: set[str] | None = None
    needed = _prune(model, count - 1)
    for stage in reversed(range(count)):
        missing = needed - holds(needed)
        deepest_missing = missing if deepest_missing is None else deepest_missing
        if not missing:
            return (stage,), missing
        remaining = _prune(model, stage - 1) if stage else set()
        if holds(needed - remaining):
            break  # a stage with some of its weights is damage, not an earlier cut
        needed = remaining
    return (count - 1,), deepest_missing or set()


def resolve_layers(layers: tuple[int, ...], count: int, kind: str) -> tuple[int, ...]:
    """Layers counted from 0, ascending.

    Args:
        layers: negative from the end.
        count: how many there are.
        kind: name of a layer, for the message.

    Raises:
        ConfigError: one that does not exist, or one twice.
    """
    resolved = sorted(layer + count * (layer < 0) for layer in layers)
    wrong = next((layer for layer in layers if not -count <= layer < count), None)
    if wrong is not None:
        raise ConfigError(
            f"{kind} {wrong} does not exist: the model has {kind}s 0 to {count - 1}", where="backbone.layer", fix="choose one"
        )
    if len(set(resolved)) < len(resolved):
        raise ConfigError(f"{kind}s {', '.join(map(str, layers))} name one twice", where="backbone.layer", fix="name each once")
    return tuple(resolved)


def _prune(model: Any, stage: int) -> set[str]:
    """Removes everything behind a stage; returns the names of the remaining weights."""
    model.prune_intermediate_layers([stage], prune_norm=True, prune_head=True)
    return set(model.state_dict())
