"""Sample4Geo (Deuser et al. 2023): one ConvNeXt for all views, whose pooled features are the descriptor.

Released files hold timm's ConvNeXt-base under `model.` and a learned temperature. Tiles and drone images are squares;
panoramas (CVUSA, CVACT) are squeezed to twice that width, in CVUSA's proportions.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from cvgl.backbones.checkpoint import read_checkpoint
from cvgl.backbones.released.embedder import Parts
from cvgl.backbones.released.inputs import ReleasedInput, Way
from cvgl.backbones.released.weights import count_of, filled, size_of
from cvgl.config import BackboneConfig
from cvgl.types import View

_SIDE = 384
_CVUSA_PANORAMA = (224, 1232)  # height and width in pixels
_BASE_DEPTHS, _BASE_WIDTHS = (3, 3, 27, 3), (128, 256, 512, 1024)  # of ConvNeXt-base
_PREFIX = "model."
_TEMPERATURES = ("logit_scale", "logit_scale1", "logit_scale2")


def build(path: Path, config: BackboneConfig) -> Parts:
    """The model that a released file holds, at any size of ConvNeXt.

    Raises:
        ModelError: the file cannot be read, or is of another model.
    """
    tensors = {name: value for name, value in read_checkpoint(path).items() if name not in _TEMPERATURES}
    network = build_network(tensors)
    filled(network, tensors, path, "Sample4Geo (ConvNeXt)", as_saved=lambda name: _PREFIX + name)
    side = config.image_size or _SIDE
    square = ReleasedInput(side, side, Way.OPENCV_LINEAR)
    height, width = _CVUSA_PANORAMA
    panorama = ReleasedInput(round(height / width * 2 * side), 2 * side, Way.OPENCV_LINEAR)
    return Parts(
        networks=dict.fromkeys(View, network),
        inputs={View.DRONE: square, View.GROUND: panorama, View.SATELLITE: square},
        settings={},
    )


def build_network(tensors: Mapping[str, torch.Tensor]) -> torch.nn.Module:
    """A ConvNeXt of the file's depths and widths, without values; of ConvNeXt-base's where the file lacks them."""
    from timm.models.convnext import ConvNeXt

    stages = [f"{_PREFIX}stages.{stage}.blocks." for stage in range(4)]
    depths = tuple(count_of(tensors, stage, usual) for stage, usual in zip(stages, _BASE_DEPTHS, strict=True))
    widths = tuple(
        size_of(tensors, f"{stage}0.conv_dw.weight", 0, usual) for stage, usual in zip(stages, _BASE_WIDTHS, strict=True)
    )
    with torch.device("meta"):
        network: torch.nn.Module = ConvNeXt(depths=depths, dims=widths, num_classes=0)
    return network
