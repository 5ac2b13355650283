"""FSRA (Dai et al. 2022): a ViT whose tokens are segmented by how strongly they respond, and a bottleneck for each segment.

Released files hold `two_view_net`, one network for drone and satellite images under `model_1.`, or `three_view_net`, with a
second one for street images under `model_2.`. As in the released evaluation, an image and its mirror image are added up.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from cvgl.backbones.checkpoint import read_checkpoint
from cvgl.backbones.released.embedder import Parts
from cvgl.backbones.released.inputs import ReleasedInput, Way
from cvgl.backbones.released.weights import count_of, filled, size_of
from cvgl.config import BackboneConfig
from cvgl.errors import ConfigError, ModelError
from cvgl.types import View

_HEADS = 8
_PATCH, _TOKENS, _SEGMENTS = 16, 256, 3
_WIDTH, _DEPTH, _HIDDEN, _BOTTLENECK = 768, 8, 2304, 512  # of the released "small" transformer
_OF_TRAINING = re.compile(r"model_\d\.(transformer\.fc|.*\.classifier)\.")  # classes of ImageNet, and buildings


def build(path: Path, config: BackboneConfig) -> Parts:
    """The model that a released file holds.

    Raises:
        ConfigError: another image size than that of its positions.
        ModelError: the file cannot be read, or is of another model.
    """
    tensors = {name: value for name, value in read_checkpoint(path).items() if not _OF_TRAINING.match(name)}
    names = ("model_1", "model_2") if any(name.startswith("model_2.") for name in tensors) else ("model_1",)
    with torch.device("meta"):
        models = {name: build_network(tensors, f"{name}.", path) for name in names}
    filled(nn.ModuleDict(models), tensors, path, "FSRA (two_view_net or three_view_net)")
    for model in models.values():
        _use_released_scale(model)
    side = math.isqrt(size_of(tensors, "model_1.transformer.pos_embed", 1, _TOKENS + 1) - 1) * _PATCH
    if config.image_size not in (None, side):
        raise ConfigError(
            f"this FSRA has positions for {side} pixels, not for {config.image_size}",
            where="backbone.image_size",
            fix="leave it out",
        )
    views = {View.DRONE: "model_1", View.SATELLITE: "model_1", **({View.GROUND: "model_2"} if "model_2" in models else {})}
    return Parts(
        networks={view: models[name] for view, name in views.items()},
        inputs=dict.fromkeys(views, ReleasedInput(side, side, Way.BICUBIC)),
        settings={"segments": models["model_1"].segments, "mirrored": "added"},
    )


class Fsra(nn.Module):
    """A transformer and a bottleneck for the class token and each segment; the names of its parts are those of the release."""

    def __init__(self, transformer: Any, width: int, bottleneck: int, segments: int) -> None:
        super().__init__()
        self.transformer, self.segments = transformer, segments
        self.classifier1 = Bottleneck(width, bottleneck)
        for index in range(segments):
            self.add_module(f"classifier_heat{index + 1}", Bottleneck(width, bottleneck))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) -> (B, 512 (segments + 1)), each part of the same length; (B, 512) for a model with one segment."""
        parts = self.parts(images) + self.parts(images.flip(3))
        return F.normalize(parts, dim=1).flatten(1)

    def parts(self, images: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) -> (B, 512, segments + 1), the class token's last; that alone for a model with one segment."""
        tokens = self.transformer.forward_features(images)
        whole = self.classifier1(tokens[:, 0])
        if self.segments == 1:  # whose bottleneck is in the file but is not used
            return torch.stack([whole], dim=2)
        means = segment_means(tokens[:, 1:], self.segments)
        heads = [self.get_submodule(f"classifier_heat{index + 1}") for index in range(self.segments)]
        return torch.stack([*(head(mean) for head, mean in zip(heads, means, strict=True)), whole], dim=2)


class Bottleneck(nn.Module):
    """(B, C) -> (B, 512)."""

    def __init__(self, width: int, bottleneck: int) -> None:
        super().__init__()
        self.add_block = nn.Sequential(nn.Linear(width, bottleneck), nn.BatchNorm1d(bottleneck))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(B, width) -> (B, bottleneck)."""
        reduced: torch.Tensor = self.add_block(features)
        return reduced


def segment_means(tokens: torch.Tensor, segments: int) -> list[torch.Tensor]:
    """Means over equally many tokens each, from those that respond most to those that do least.

    Args:
        tokens: (B, N, C); a token responds by the mean of its channels.
        segments: number of segments; the last one takes the remainder.

    Returns:
        (B, C) each.
    """
    order = tokens.mean(dim=2).argsort(dim=1, descending=True, stable=True)
    ordered = tokens.gather(1, order[:, :, None].expand_as(tokens))
    count = tokens.shape[1]
    share = count // segments
    ends = [*(share * (index + 1) for index in range(segments - 1)), count]
    return [ordered[:, share * index : end].mean(dim=1) for index, end in enumerate(ends)]


def build_network(tensors: Mapping[str, torch.Tensor], prefix: str, path: Path) -> Fsra:
    """The model of the file's sizes, without values; of the released sizes where the file lacks them."""
    from timm.models.vision_transformer import VisionTransformer

    width = size_of(tensors, f"{prefix}transformer.cls_token", 2, _WIDTH)
    if width % _HEADS:
        raise ModelError(
            f"{_HEADS} attention heads cannot share tokens of {width} numbers ({prefix}transformer.cls_token)",
            where=path,
            fix="give the file that the authors released for this model",
        )
    tokens = size_of(tensors, f"{prefix}transformer.pos_embed", 1, _TOKENS + 1) - 1
    transformer = VisionTransformer(
        img_size=max(1, math.isqrt(tokens)) * _PATCH,
        patch_size=_PATCH,
        num_classes=0,
        global_pool="token",
        embed_dim=width,
        depth=count_of(tensors, f"{prefix}transformer.blocks.", _DEPTH),
        num_heads=_HEADS,
        mlp_ratio=size_of(tensors, f"{prefix}transformer.blocks.0.mlp.fc1.weight", 0, _HIDDEN) / width,
        qkv_bias=False,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
    )
    bottleneck = size_of(tensors, f"{prefix}classifier1.add_block.0.weight", 0, _BOTTLENECK)
    return Fsra(transformer, width, bottleneck, count_of(tensors, f"{prefix}classifier_heat", _SEGMENTS, first=1))


def _use_released_scale(model: Fsra) -> None:
    """FSRA divides queries times keys by the root of the whole width, not of a head's; queries take the difference."""
    blocks: Any = model.transformer.blocks
    with torch.no_grad():
        for block in blocks:
            width = block.attn.qkv.weight.shape[1]
            block.attn.qkv.weight[:width] *= _HEADS**-0.5
