"""GeoDTR (Zhang et al. 2023): a ResNet-34 for each view, and masks drawn from the geometric layout of its features.

Released files hold the branches `backbone_grd`, `ge_grd` for panoramas and `backbone_sat`, `ge_sat` for tiles, under
`model_state_dict` beside the optimiser's state. The masks have a fixed number of tokens, which tells whether tiles are
unrolled around their middle (as many as a panorama's) or not. The number of attention heads is in no weight: it is read from
the `*parameter.json` that training leaves in the run's folder, and is 4, as in the released commands, where there is none.

Files of GeoDTR+, its successor, are told by their names and handed on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from cvgl.backbones.checkpoint import read_checkpoint
from cvgl.backbones.released.embedder import Parts
from cvgl.backbones.released.inputs import HALVES, ReleasedInput, Way
from cvgl.backbones.released.weights import count_of, filled, size_of
from cvgl.config import BackboneConfig
from cvgl.errors import ConfigError, ModelError
from cvgl.types import View

_PANORAMA_TOKENS, _SQUARE_TOKENS = 336, 256  # 8 x 42 and 16 x 16, a sixteenth of the input's sides
HEADS, _MASKS, _LAYERS, _HIDDEN = 4, 8, 2, 2048  # of the released commands
_DEPTHS, _WIDTHS = (3, 4, 6, 3), (64, 128, 256, 512)  # of ResNet-34
SIDES = {View.GROUND: "grd", View.SATELLITE: "sat"}
_STEM, _FIRST_STAGE = ("conv1", "bn1"), 3  # the release counts conv1, bn1, relu, then four stages


def build(path: Path, config: BackboneConfig) -> Parts:
    """The model that a released file holds.

    Raises:
        ConfigError: an image size is given: the masks fix it.
        ModelError: the file cannot be read, or is of another model.
    """
    if config.image_size is not None:
        raise ConfigError("GeoDTR's masks fix its input size", where="backbone.image_size", fix="leave it out")
    tensors = read_checkpoint(path)
    if any(name.startswith("GLE_") for name in tensors):
        from cvgl.backbones.released import geodtr_plus  # which stands on this module

        return geodtr_plus.build(tensors, path)
    heads = int(settings_beside(path).get("TR_heads", HEADS))
    with torch.device("meta"):
        branches = {side: build_branch(tensors, side, heads, path) for side in SIDES.values()}
    filled(nn.ModuleDict(branches), tensors, path, "GeoDTR (ResNet-34)", as_saved=_as_saved)
    return Parts(
        networks={view: branches[side] for view, side in SIDES.items()},
        inputs={view: _input(branches[side].layout.tokens, view, path) for view, side in SIDES.items()},
        settings={"heads": heads},
    )


class GeoDtrBranch(nn.Module):
    """One view's features, weighed by masks drawn from their layout."""

    def __init__(self, backbone: Any, layout: LayoutExtractor) -> None:
        super().__init__()
        self.backbone, self.layout = backbone, layout

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) -> (B, 512 masks)."""
        features: torch.Tensor = self.backbone.forward_features(images).flatten(2)
        masks: torch.Tensor = self.layout(features)
        return (features @ masks).flatten(1)


class LayoutExtractor(nn.Module):
    """The layout of a scene, from the strongest channel of each token and its response; one code per mask."""

    def __init__(self, tokens: int, masks: int, heads: int, layers: int, hidden: int) -> None:
        super().__init__()
        self.tokens, size = tokens, tokens // 2
        self.w1, self.b1 = nn.Parameter(torch.empty(tokens, masks, size)), nn.Parameter(torch.empty(1, masks, size))
        self.w2, self.b2 = nn.Parameter(torch.empty(size, masks, tokens)), nn.Parameter(torch.empty(1, masks, tokens))
        self.tr_module = LayoutTransformer(size, masks, heads, layers, hidden) if layers else None

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(B, C, N) -> (B, N, masks) from -1 to 1."""
        strength, channel = features.max(dim=1)
        codes = torch.einsum("bi,idj->bdj", strength, self.w1) + self.b1
        if self.tr_module is not None:
            codes = self.tr_module(codes, channel / features.shape[1])
        masks = torch.einsum("bdj,jdi->bdi", codes, self.w2) + self.b2
        return F.hardtanh(masks.transpose(1, 2))


class LayoutTransformer(nn.Module):
    """Lets the masks' codes see each other, knowing which channels respond."""

    def __init__(self, size: int, masks: int, heads: int, layers: int, hidden: int) -> None:
        super().__init__()
        self.pos_encoder = ChannelEncoding(size, masks)
        layer = nn.TransformerEncoderLayer(size, heads, hidden, activation="gelu", batch_first=True)
        self.transformer_encoder = nn.TransformerEncoder(layer, layers, nn.LayerNorm(size), enable_nested_tensor=False)

    def forward(self, codes: torch.Tensor, channels: torch.Tensor) -> torch.Tensor:
        """(B, masks, size), (B, tokens) -> (B, masks, size)."""
        encoded: torch.Tensor = self.transformer_encoder(self.pos_encoder(codes, channels))
        return encoded


class ChannelEncoding(nn.Module):
    """Adds an encoding of the tokens' strongest channels to the codes."""

    def __init__(self, size: int, masks: int) -> None:
        super().__init__()
        self.linear = nn.Parameter(torch.empty(2 * size, masks, size))
        self.embedding_parameter = nn.Parameter(torch.empty(1, masks, size))

    def forward(self, codes: torch.Tensor, channels: torch.Tensor) -> torch.Tensor:
        """(B, masks, size), (B, tokens) from 0 to 1 -> (B, masks, size)."""
        encoding = torch.einsum("bi,idj->bdj", channels, self.linear) + self.embedding_parameter
        return codes + F.hardtanh(encoding)


def build_branch(tensors: Mapping[str, torch.Tensor], side: str, heads: int, path: Path) -> GeoDtrBranch:
    """A branch of the file's sizes, without values; of the released sizes where the file lacks them."""
    encoder = f"ge_{side}.tr_module.transformer_encoder.layers."
    has_encoder = any(name.startswith(f"ge_{side}.tr_module.") for name in tensors) or f"ge_{side}.w1" not in tensors
    tokens = size_of(tensors, f"ge_{side}.w1", 0, _PANORAMA_TOKENS)
    if has_encoder:
        check_heads(heads, tokens // 2, path)
    layout = LayoutExtractor(
        tokens=tokens,
        masks=size_of(tensors, f"ge_{side}.w1", 1, _MASKS),
        heads=heads,
        layers=count_of(tensors, encoder, _LAYERS) if has_encoder else 0,
        hidden=size_of(tensors, f"{encoder}0.linear1.weight", 0, _HIDDEN),
    )
    return GeoDtrBranch(resnet(tensors, side), layout)


def check_heads(heads: int, size: int, path: Path) -> None:
    """Raises ModelError: so many attention heads cannot share codes of this size."""
    if size < heads or size % heads:
        raise ModelError(
            f"{heads} attention heads cannot share codes of {size} numbers",
            where=path,
            fix="give the released file, with the *parameter.json that training left beside it (its TR_heads counts)",
        )


def resnet(tensors: Mapping[str, torch.Tensor], side: str) -> Any:
    """A side's ResNet without values; without max pooling, so that its grid is twice as fine."""
    from timm.models.resnet import BasicBlock, ResNet

    stages = [f"backbone_{side}.layers.{_FIRST_STAGE + stage}." for stage in range(4)]
    backbone = ResNet(
        BasicBlock,
        tuple(count_of(tensors, stage, usual) for stage, usual in zip(stages, _DEPTHS, strict=True)),
        channels=tuple(
            size_of(tensors, f"{stage}0.conv1.weight", 0, usual) for stage, usual in zip(stages, _WIDTHS, strict=True)
        ),
        num_classes=0,
    )
    backbone.maxpool = nn.Identity()
    return backbone


def _input(tokens: int, view: View, path: Path) -> ReleasedInput:
    """The input whose features have this many tokens."""
    if tokens == _PANORAMA_TOKENS:
        return ReleasedInput(122, 671, Way.PANORAMA if view is View.GROUND else Way.POLAR, HALVES)
    if tokens == _SQUARE_TOKENS and view is View.SATELLITE:
        return ReleasedInput(256, 256, Way.BILINEAR, HALVES)
    raise ModelError(
        f"the masks for {view} images have {tokens} tokens; known are {_PANORAMA_TOKENS} (panoramas, unrolled tiles) "
        f"and {_SQUARE_TOKENS} (square tiles)",
        where=path,
        fix="give a checkpoint that was trained on CVUSA or CVACT",
    )


def settings_beside(path: Path) -> Mapping[str, Any]:
    """Settings that training wrote to the parent of the weights' folder; empty where there are none.

    Raises:
        ModelError: the file is not JSON, or lacks the number of attention heads.
    """
    for folder in (path.parent, path.parent.parent):
        for file in sorted(folder.glob("*parameter.json")):
            try:
                settings: dict[str, Any] = json.loads(file.read_text())
                heads = settings["TR_heads"]
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise ModelError(
                    "the settings beside the checkpoint do not tell the number of attention heads (TR_heads)",
                    where=file,
                    fix=f"bring the released file back, or remove it for the released commands' {HEADS}",
                ) from error
            if not isinstance(heads, int) or heads < 1:
                raise ModelError(f"TR_heads is {heads!r}, not a number of heads", where=file, fix="bring the file back")
            return settings
    return {}


def _as_saved(name: str) -> str:
    """A name here -> the name in the release: grd.backbone.layer1.0.x -> backbone_grd.layers.3.0.x."""
    side, part, rest = name.split(".", 2)
    return f"ge_{side}.{rest}" if part == "layout" else f"backbone_{side}.layers.{resnet_as_saved(rest)}"


def resnet_as_saved(name: str) -> str:
    """layer1.0.x -> 3.0.x, conv1.weight -> 0.weight."""
    first, _, behind = name.partition(".")
    index = _STEM.index(first) if first in _STEM else _FIRST_STAGE - 1 + int(first.removeprefix("layer"))
    return f"{index}.{behind}"
