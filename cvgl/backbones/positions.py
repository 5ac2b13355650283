"""Learned positions of a plain vision transformer, fitted from the size that it was trained at to the size of its input."""

from __future__ import annotations

from collections.abc import Mapping
from math import isqrt
from typing import Any

import torch
import torch.nn.functional as F

from cvgl.config import PositionResampling
from cvgl.errors import ConfigError

_OFFSET = 0.1  # added by DINO and DINOv2 to the number of tokens, against rounding down


def has_learned_positions(model: Any) -> bool:
    """Whether a model has a position for each token, (1, N, C), and a settable input size."""
    learned = getattr(model, "pos_embed", None)
    return isinstance(learned, torch.Tensor) and learned.ndim == 3 and hasattr(model, "set_input_size")


def match_checkpoint(model: Any, tensors: Mapping[str, torch.Tensor]) -> None:
    """Gives a model the input size that a checkpoint's positions are for, so that they are loaded as they are.

    Does nothing where the checkpoint's names do not determine the size, which leaves positions to timm.
    """
    if not has_learned_positions(model):
        return
    embeddings = [tensor for name, tensor in tensors.items() if name.endswith(("pos_embed", "positional_embedding"))]
    if len(embeddings) != 1:
        return
    # Files name the class token's position with the others, or not at all.
    counts = {embeddings[0].shape[-2] - prefix for prefix in (0, 1, int(model.num_prefix_tokens))}
    sides = [isqrt(count) for count in sorted(counts) if count > 0 and isqrt(count) ** 2 == count]
    if len(sides) == 1 and tuple(model.patch_embed.grid_size) != (sides[0], sides[0]):
        height, width = model.patch_embed.patch_size
        model.set_input_size(img_size=(sides[0] * height, sides[0] * width))


def fit_positions(model: Any, size: tuple[int, int], how: PositionResampling) -> PositionResampling | None:
    """Sets the input size of a plain transformer with learned positions, whose weights are loaded.

    Args:
        model: changed in place.
        size: height and width in pixels, multiples of the patch.
        how: method of resampling learned positions.

    Returns:
        `how`; None where no learned position had to be resampled.

    Raises:
        ConfigError: a method is set and the model has no learned positions.
    """
    if not has_learned_positions(model):
        if how is not PositionResampling.BICUBIC:
            raise no_positions(how)
        return None
    before, learned = tuple(model.patch_embed.grid_size), model.pos_embed.detach()
    model.set_input_size(img_size=size)
    after = tuple(model.patch_embed.grid_size)
    if before == after:
        return None
    tokens = before[0] * before[1]
    whole, grid = learned[:, :-tokens], learned[:, -tokens:]
    resampled = resample(grid.unflatten(1, before).permute(0, 3, 1, 2).float(), after, how)
    model.pos_embed = torch.nn.Parameter(torch.cat([whole, resampled.flatten(2).transpose(1, 2).to(learned.dtype)], dim=1))
    return how


def resample(positions: torch.Tensor, grid: tuple[int, ...], how: PositionResampling) -> torch.Tensor:
    """(1, C, H, W) -> (1, C, *grid), bicubic; see `PositionResampling`."""
    if how is not PositionResampling.RELEASED:
        return F.interpolate(positions, size=grid, mode="bicubic", antialias=how is PositionResampling.TIMM_ANTIALIASED)
    scales = [(count + _OFFSET) / old for count, old in zip(grid, positions.shape[-2:], strict=True)]
    return F.interpolate(positions, scale_factor=scales, mode="bicubic", antialias=False)


def no_positions(how: PositionResampling) -> ConfigError:
    """The error for a method of resampling in a model without learned positions."""
    return ConfigError(
        f"the model has no learned positions that '{how}' could resample",
        where="backbone.position_resampling",
        fix="leave it out",
    )
