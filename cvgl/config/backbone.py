"""The frozen model f0, and the activations that become the descriptor."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from cvgl.config.settings import Settings


class Facet(StrEnum):
    """Which activations of a transformer block are pooled. AUTO: value for plain ViTs (paper), token otherwise."""

    AUTO = "auto"
    TOKEN = "token"
    QUERY = "query"
    KEY = "key"
    VALUE = "value"


class Pooling(StrEnum):
    """How local features become one descriptor. AUTO: GeM over a ViT's facet (paper, Eq. 1), mean otherwise."""

    AUTO = "auto"
    GEM = "gem"
    MEAN = "mean"
    MAX = "max"
    CLS = "cls"
    VLAD = "vlad"


class Preprocess(StrEnum):
    """How an image becomes the model's square input.

    WHOLE: the whole image, squashed, so that cropping is up to the alignment. RELEASED: as the paper's code does,
    shorter side to 256 with a bicubic filter, middle 252 x 252, ImageNet's mean and standard deviation. NATIVE:
    timm's own evaluation of the model (crop_pct and crop_mode).
    """

    WHOLE = "whole"
    RELEASED = "released"
    NATIVE = "native"


class PositionResampling(StrEnum):
    """How learned positions are fitted to another input size.

    BICUBIC: to the exact size, without antialiasing; written down as "timm", its name before timm 1.0 began to antialias.
    TIMM_ANTIALIASED: timm's own way, which antialiases whether the grid shrinks or grows. RELEASED: as DINO and DINOv2 (without
    registers) do, scale (n + 0.1) / N without antialiasing.
    """

    BICUBIC = "bicubic"
    TIMM_ANTIALIASED = "timm-antialiased"
    RELEASED = "released"

    @property
    def stored(self) -> str:
        """The word in records and fingerprints, which must not change."""
        return _FIRST_NAME if self is PositionResampling.BICUBIC else str(self)

    @classmethod
    def _missing_(cls, value: object) -> PositionResampling | None:
        return cls.BICUBIC if value == _FIRST_NAME else None


_FIRST_NAME = "timm"


class BackboneConfig(Settings):
    """The frozen model f0.

    The name of a preset (`cvgl.config.PRESETS`) fills the fields that are not given, and is replaced by
    timm's name of the model.
    """

    name: str = Field(
        "gist",
        min_length=1,
        description="'gist' (needs no weights), a preset (`cvgl backbones` lists them), any timm model, or a released model "
        "(sample4geo, fsra, geodtr) with its checkpoint",
    )
    checkpoint: str | None = Field(None, description="local weights (.safetensors, .pt, .pth); default: timm's hub weights")
    layers: tuple[int, ...] | None = Field(
        None,
        min_length=1,
        description="blocks (ViT) or stages (hierarchical model) whose descriptors are joined, from 0, negative from the end; "
        "default: block at 31/40 of a ViT's depth (the paper's layer 31 of ViT-g), or the last stage that the checkpoint holds",
    )
    facet: Facet = Field(
        Facet.AUTO, description="activations of a transformer block; auto: value of a plain ViT (paper), token otherwise"
    )
    pooling: Pooling = Field(
        Pooling.AUTO, description="of local features; auto: GeM over a ViT's facet (paper, Eq. 1), mean otherwise"
    )
    gem_p: float = Field(3.0, gt=0, le=64, description="GeM exponent (paper: 3)")
    rings: int = Field(
        1,
        ge=1,
        le=16,
        description="from 2 on: that many concentric square rings are pooled besides the whole image, and joined "
        "(square-ring partition, Wang et al. 2021)",
    )
    cells: int = Field(
        1,
        ge=1,
        le=16,
        description="from 2 on: pooled over the cells of a grid of so many rows and columns, tokens of unit length: tells "
        "apart what lies where, for views that are turned alike (docs/lab-notebook/robust.md)",
    )
    image_size: int | None = Field(None, ge=16, le=4096, description="input side in pixels; default: the model's own")
    preprocessing: Preprocess = Field(
        Preprocess.WHOLE,
        description="whole: the whole image squashed; released: shorter side to 256, middle 252 (the paper's code); "
        "native: timm's evaluation of the model",
    )
    resize: int | None = Field(
        None,
        ge=16,
        le=8192,
        description="side in pixels that released and native resize to before they cut the middle out; "
        "default: image_size x 256/252 (released), image_size / crop_pct (native)",
    )
    position_resampling: PositionResampling = Field(
        PositionResampling.BICUBIC, description="of a ViT's learned positions, at another size than it was trained at"
    )
    final_norm: bool = Field(
        False, description="tokens of a ViT pass the model's last normalisation, as before its own head (facet token)"
    )
    clusters: int = Field(
        32, ge=1, le=4096, description="visual words of pooling vlad (AnyLoc: 32); the descriptor is that often as long"
    )
    vocabulary: str | None = Field(
        None,
        description="visual words for pooling vlad: a file, or their name in the lake; default: learned from training images",
    )
    vocabulary_seed: int = Field(0, ge=0, lt=2**31, description="of the images and tokens that visual words are learned from")
    vocabulary_pictures: int = Field(
        1024, ge=1, description="training images, of both views, to learn visual words from at most"
    )
    vocabulary_rows: int = Field(
        65_536, ge=1, description="local descriptors to learn visual words from at most: what it needs of memory"
    )

    # Of the model, not of the field: pydantic writes fields that have a serializer even where defaults are left out.
    @model_serializer(mode="wrap")
    def _by_first_names(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Stored words of values, so that digests of settings stay valid."""
        values: dict[str, Any] = write(self)
        if "position_resampling" in values:
            values["position_resampling"] = self.position_resampling.stored
        return values

    @model_validator(mode="before")
    @classmethod
    def _completed(cls, values: Any) -> Any:
        return _with_preset(_with_layers(values)) if isinstance(values, dict) else values

    @model_validator(mode="after")
    def _cells_or_rings(self) -> BackboneConfig:
        if self.cells > 1 and (self.rings > 1 or self.pooling in (Pooling.CLS, Pooling.VLAD)):
            raise ValueError(
                "cells go without rings, and with pooling auto, gem, mean or max: the others have no tokens to divide"
            )
        return self

    @model_validator(mode="after")
    def _words_for_vlad(self) -> BackboneConfig:
        if self.vocabulary is not None and self.pooling is not Pooling.VLAD:
            raise ValueError("a vocabulary goes with pooling vlad: nothing else looks at it")
        return self

    @model_validator(mode="after")
    def _something_to_resize(self) -> BackboneConfig:
        if self.resize is not None and self.preprocessing is Preprocess.WHOLE:
            raise ValueError("resize goes with preprocessing released or native: the whole image has no middle to cut out")
        if self.resize is not None and self.image_size is not None and self.resize < self.image_size:
            raise ValueError(f"resize {self.resize} is smaller than image_size {self.image_size}, which is cut out of it")
        return self


def _with_layers(values: dict[str, Any]) -> dict[str, Any]:
    """Accepts the older field `layer` of stored records and settings, a single one of `layers`."""
    if "layer" not in values:
        return values
    if "layers" in values:
        raise ValueError("give layers or layer, not both")
    rest = {name: value for name, value in values.items() if name != "layer"}
    return rest if values["layer"] is None else {**rest, "layers": (values["layer"],)}


def _with_preset(values: dict[str, Any]) -> dict[str, Any]:
    """Fills fields from a preset, which then count as given; fields given beside the preset's name take precedence."""
    from cvgl.config.presets import PRESETS  # which is made of the types above

    name = values.get("name")
    preset = PRESETS.get(name) if isinstance(name, str) else None
    if preset is None:
        return values
    return {**preset.settings, **{key: value for key, value in values.items() if key != "name" and value is not None}}
