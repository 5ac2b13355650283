"""Task-specific models that their authors have released: Sample4Geo, FSRA, GeoDTR (Li et al. 2024, Tables IV and V).

Unlike a foundation model they were trained on labelled pairs, and each brings its own preprocessing. Here they are frozen
models like any other, whose descriptors an adapter may start from.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from cvgl.config import BackboneConfig, Device, Facet, Pooling, PositionResampling, Precision, Preprocess
from cvgl.errors import ConfigError

if TYPE_CHECKING:
    from cvgl.backbones.released.embedder import ReleasedEmbedder


class Release(NamedTuple):
    """A released model, before its file is at hand."""

    summary: str
    source: str


RELEASED: Mapping[str, Release] = MappingProxyType(
    {
        "fsra": Release("FSRA, ViT with segments, trained on University-1652", "github.com/Dmmm1997/FSRA"),
        "geodtr": Release("GeoDTR and GeoDTR+, trained on CVUSA or CVACT", "github.com/zxh009123/GeoDTR"),
        "sample4geo": Release("Sample4Geo, ConvNeXt-B, a file for each data set", "github.com/Skyy93/Sample4Geo"),
    }
)
"""Every released model by its name."""


def load_released(config: BackboneConfig, device: Device, precision: Precision) -> ReleasedEmbedder:
    """Builds a released model around its checkpoint.

    Args:
        config: `name` is one of `RELEASED`, `checkpoint` the released file.
        device: see `cvgl.backbones.load`.
        precision: likewise.

    Raises:
        ConfigError: no checkpoint, or settings that these models have not.
        ModelError: the checkpoint cannot be read, or is of another model; missing and unexpected names are listed.
    """
    _check(config)
    from cvgl.backbones.released import fsra, geodtr, sample4geo
    from cvgl.backbones.released.embedder import assembled

    path = Path(str(config.checkpoint)).expanduser()
    build = {"fsra": fsra.build, "geodtr": geodtr.build, "sample4geo": sample4geo.build}[config.name]
    return assembled(config.name, build(path, config), path, device, precision)


def _check(config: BackboneConfig) -> None:
    if config.checkpoint is None:
        raise ConfigError(
            f"'{config.name}' needs the weights that its authors released",
            where="backbone.checkpoint",
            fix=f"download them ({RELEASED[config.name].source}) and give the file with --checkpoint",
        )
    is_set = {
        "layer": config.layers is not None,
        "facet": config.facet is not Facet.AUTO,
        "pooling": config.pooling is not Pooling.AUTO,
        "rings": config.rings != 1,
        "cells": config.cells != 1,
        "preprocessing": config.preprocessing is not Preprocess.WHOLE,
        "position_resampling": config.position_resampling is not PositionResampling.BICUBIC,
        "final_norm": config.final_norm,
    }
    unsupported = [name for name, set_by_user in is_set.items() if set_by_user]
    if unsupported:
        raise ConfigError(
            f"the released model '{config.name}' comes with its own head and input; it has no {', '.join(unsupported)}",
            where="backbone",
            fix="leave the setting out, or name a timm model",
        )
