"""GeoDTR+ (Zhang et al. 2024): GeoDTR's successor, whose masks see where in the image a feature lies.

Released files hold `backbone_grd`, `GLE_grd` for panoramas and `backbone_sat`, `GLE_sat` for tiles; a backbone is torchvision's
ConvNeXt-T up to its third stage, or the ResNet-34 of GeoDTR. How masks are finished is in no weight: the run's settings tell
it (`normalize`, `orthogonalize`, `bottleneck`), and none of it is done where there are none, as in the released commands.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from cvgl.backbones.released.embedder import Parts
from cvgl.backbones.released.geodtr import HEADS, SIDES, check_heads, resnet, resnet_as_saved, settings_beside
from cvgl.backbones.released.inputs import IMAGENET, ReleasedInput, Way
from cvgl.backbones.released.weights import count_of, filled, size_of
from cvgl.errors import ModelError
from cvgl.types import View

_PANORAMA_TOKENS, _SQUARE_TOKENS = (287, 336), 256  # 7 x 41 of ConvNeXt, 8 x 42 of ResNet; 16 x 16 of both
_DEPTHS, _WIDTHS = (3, 3, 9), (96, 192, 384)  # of ConvNeXt-T's first three stages
_MASKS, _HIDDEN = 8, 512
_OF_BLOCK = {"gamma": "layer_scale", "conv_dw": "block.0", "norm": "block.2", "mlp.fc1": "block.3", "mlp.fc2": "block.5"}


@dataclass(frozen=True, slots=True)
class Finish:
    """Post-processing of masks: two layers over tokens, unit columns, or orthogonal ones."""

    bottleneck: bool
    normalize: bool
    orthogonalize: bool


def build(tensors: Mapping[str, torch.Tensor], path: Path) -> Parts:
    """The model that a released file holds.

    Raises:
        ModelError: it is of another model.
    """
    settings = settings_beside(path)
    heads = int(settings.get("TR_heads", HEADS))
    finish = Finish(*(bool(settings.get(name, False)) for name in ("bottleneck", "normalize", "orthogonalize")))
    tensors = {name: value.flatten() if name.endswith(".layer_scale") else value for name, value in tensors.items()}
    with torch.device("meta"):
        branches = {side: _branch(tensors, side, heads, finish, path) for side in SIDES.values()}
    filled(nn.ModuleDict(branches), tensors, path, "GeoDTR+ (ConvNeXt-T or ResNet-34)", as_saved=_as_saved)
    return Parts(
        networks={view: branches[side] for view, side in SIDES.items()},
        inputs={view: _input(branches[side].masks.tokens, view, path) for view, side in SIDES.items()},
        settings={"heads": heads, "masks": _in_words(finish), "variant": "geodtr+"},
    )


class GeoDtrPlusBranch(nn.Module):
    """One view's features, weighed by masks."""

    def __init__(self, backbone: Any, masks: PlaceMasks) -> None:
        super().__init__()
        self.backbone, self.masks = backbone, masks

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) -> (B, C masks)."""
        features: torch.Tensor = self.backbone.forward_features(images).flatten(2)
        masks: torch.Tensor = self.masks(features)
        return (features @ masks).flatten(1)


class PlaceMasks(nn.Module):
    """A transformer over tokens, and a mask for each of its projections; the names of its parts are those of the release."""

    def __init__(self, tokens: int, width: int, masks: int, heads: int, layers: int, hidden: int, finish: Finish) -> None:
        super().__init__()
        self.tokens, self.finish = tokens, finish
        self.transformer_encoder = None
        if layers:
            layer = nn.TransformerEncoderLayer(width, heads, hidden, activation="gelu", batch_first=True)
            self.transformer_encoder = nn.TransformerEncoder(layer, layers, nn.LayerNorm(width), enable_nested_tensor=False)
            self.pe = nn.ParameterDict({"pe": nn.Parameter(torch.empty(1, tokens, width))})
        self.pointwise = nn.Linear(width, masks)
        size = tokens // 2
        self.w1, self.b1 = nn.Parameter(torch.empty(masks, tokens, size)), nn.Parameter(torch.empty(1, masks, size))
        self.w2, self.b2 = nn.Parameter(torch.empty(masks, size, tokens)), nn.Parameter(torch.empty(1, masks, tokens))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(B, C, N) -> (B, N, masks)."""
        rows = features.transpose(1, 2)
        if self.transformer_encoder is not None:
            rows = self.transformer_encoder(rows + self.pe["pe"])
        masks: torch.Tensor = self.pointwise(rows)
        if self.finish.bottleneck:
            codes = torch.einsum("bdj,jdi->bji", masks, self.w1) + self.b1
            masks = (torch.einsum("bji,jid->bjd", codes, self.w2) + self.b2).transpose(1, 2)
        if not self.finish.normalize:
            return masks.sigmoid()
        if self.finish.orthogonalize:
            orthogonal: torch.Tensor = torch.linalg.qr(masks.float(), mode="reduced")[0]
            return orthogonal
        return F.normalize(masks, dim=1)


class ThreeStages(nn.Module):
    """A ConvNeXt up to its third stage, without the normalisation behind it."""

    def __init__(self, stem: nn.Module, stages: nn.Sequential) -> None:
        super().__init__()
        self.stem, self.stages = stem, stages

    def forward_features(self, images: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) -> (B, C, H / 16, W / 16)."""
        features: torch.Tensor = self.stages(self.stem(images))
        return features


def _branch(tensors: Mapping[str, torch.Tensor], side: str, heads: int, finish: Finish, path: Path) -> GeoDtrPlusBranch:
    """A branch of the file's sizes, without values; of the released sizes where the file lacks them."""
    extractor = f"GLE_{side}"
    encoder = f"{extractor}.transformer_encoder.layers."
    width = size_of(tensors, f"{extractor}.pointwise.weight", 1, _WIDTHS[-1])
    layers = count_of(tensors, encoder, 0)
    if layers:
        check_heads(heads, width, path)
    masks = PlaceMasks(
        tokens=size_of(tensors, f"{extractor}.w1", 1, _PANORAMA_TOKENS[0]),
        width=width,
        masks=size_of(tensors, f"{extractor}.w1", 0, _MASKS),
        heads=heads,
        layers=layers,
        hidden=size_of(tensors, f"{encoder}0.linear1.weight", 0, _HIDDEN),
        finish=finish,
    )
    has_resnet = any(name.startswith(f"backbone_{side}.layers.") for name in tensors)
    return GeoDtrPlusBranch(resnet(tensors, side) if has_resnet else _convnext(tensors, side), masks)


def _convnext(tensors: Mapping[str, torch.Tensor], side: str) -> ThreeStages:
    from timm.models.convnext import ConvNeXt

    stages = [f"backbone_{side}.net.{2 * stage + 1}." for stage in range(3)]
    whole = ConvNeXt(
        depths=(*(count_of(tensors, stage, usual) for stage, usual in zip(stages, _DEPTHS, strict=True)), 1),
        dims=(*(size_of(tensors, f"{stage}0.layer_scale", 0, usual) for stage, usual in zip(stages, _WIDTHS, strict=True)), 8),
        num_classes=0,
    )
    return ThreeStages(whole.stem, whole.stages[:3])


def _input(tokens: int, view: View, path: Path) -> ReleasedInput:
    """The input whose features have this many tokens."""
    if tokens in _PANORAMA_TOKENS:
        return ReleasedInput(122, 671, Way.PANORAMA if view is View.GROUND else Way.POLAR, IMAGENET)
    if tokens == _SQUARE_TOKENS and view is View.SATELLITE:
        return ReleasedInput(256, 256, Way.BILINEAR, IMAGENET)
    raise ModelError(
        f"the masks for {view} images have {tokens} tokens, which no input of CVUSA or CVACT has",
        where=path,
        fix="give a checkpoint that was trained on CVUSA or CVACT",
    )


def _as_saved(name: str) -> str:
    """A name here -> the name in the release: grd.backbone.stages.1.blocks.0.norm.x -> backbone_grd.net.3.0.block.2.x."""
    side, part, rest = name.split(".", 2)
    if part == "masks":
        return f"GLE_{side}.{rest}"
    if not rest.startswith(("stem.", "stages.")):
        return f"backbone_{side}.layers.{resnet_as_saved(rest)}"
    if rest.startswith("stem."):
        return f"backbone_{side}.net.0.{rest.removeprefix('stem.')}"
    stage, kind, behind = re.fullmatch(r"stages\.(\d)\.(downsample|blocks)\.(.*)", rest).groups()  # type: ignore[union-attr]
    if kind == "downsample":
        return f"backbone_{side}.net.{2 * int(stage)}.{behind}"
    block, _, layer = behind.partition(".")
    own = next(own for own in _OF_BLOCK if layer == own or layer.startswith(f"{own}."))
    return f"backbone_{side}.net.{2 * int(stage) + 1}.{block}.{_OF_BLOCK[own]}{layer.removeprefix(own)}"


def _in_words(finish: Finish) -> str:
    last = ("orthogonal" if finish.orthogonalize else "unit") if finish.normalize else "sigmoid"
    return f"bottleneck, {last}" if finish.bottleneck else last
