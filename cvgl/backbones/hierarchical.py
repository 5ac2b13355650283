"""Convolutional and hierarchical models (ResNet, ConvNeXt, Swin, ...): one stage's map, pooled over places."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from cvgl.backbones.pooling import pool
from cvgl.config import Facet, Pooling
from cvgl.errors import ConfigError, ModelError


class StagePooling(nn.Module):
    """A model up to one stage, and the pooling of its map.

    Rows are not normalised before they are averaged: how strongly a place responds is part of what these models say.

    Args:
        model: a timm model, already cut behind `stage`.
        stage: index into the model's feature_info.
    """

    def __init__(self, model: Any, stage: int, pooling: Pooling, gem_p: float) -> None:
        super().__init__()
        self.model, self.layer, self.facet, self.pooling, self.gem_p = model, stage, Facet.TOKEN, pooling, gem_p

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) -> (B, C) float32, not normalised."""
        maps = self.model.forward_intermediates(
            pictures, indices=[self.layer], stop_early=True, intermediates_only=True, output_fmt="NCHW"
        )[0]
        return pool(maps.float().flatten(2).transpose(1, 2), self.pooling, self.gem_p)


def check(model: Any, name: str, facet: Facet, pooling: Pooling) -> None:
    """Refuses what only plain transformers have.

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


def cut(model: Any, layer: int | None, holds: Callable[[set[str]], set[str]]) -> tuple[int, set[str]]:
    """Cuts a model in place behind a stage: the one asked for, or the deepest whose weights are there.

    Args:
        model: a timm model.
        layer: stage, from 0; negative from the end; None for the deepest.
        holds: gives those of some weight names that are there.

    Returns:
        The stage, and the names that are missing for it (empty when it can be used).

    Raises:
        ConfigError: no such stage.
    """
    count = len(model.feature_info)
    if layer is not None:
        stage = layer + count * (layer < 0)
        if not 0 <= stage < count:
            raise ConfigError(
                f"stage {layer} does not exist: the model has stages 0 to {count - 1}", where="backbone.layer", fix="choose one"
            )
        needed = _prune(model, stage)
        return stage, needed - holds(needed)
    deepest_missing: set[str] | None = None
    needed = _prune(model, count - 1)
    for stage in reversed(range(count)):
        missing = needed - holds(needed)
        deepest_missing = missing if deepest_missing is None else deepest_missing
        if not missing:
            return stage, missing
        remaining = _prune(model, stage - 1) if stage else set()
        if holds(needed - remaining):
            break  # some weights of this stage are there and others are not: that is damage, not an earlier cut
        needed = remaining
    return count - 1, deepest_missing or set()


def _prune(model: Any, stage: int) -> set[str]:
    """Removes what is behind a stage; returns the names of the weights that are left."""
    model.prune_intermediate_layers([stage], prune_norm=True, prune_head=True)
    return set(model.state_dict())
