"""The frozen model f0 and what of it becomes the descriptor."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import Field, model_validator

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


class BackboneConfig(Settings):
    """The frozen model f0."""

    name: str = Field("gist", min_length=1, description="'gist' (needs no weights), or any timm model name")
    checkpoint: str | None = Field(None, description="local weights (.safetensors, .pt, .pth); default: timm's hub weights")
    layers: tuple[int, ...] | None = Field(
        None,
        min_length=1,
        description="blocks (ViT) or stages (hierarchical model) whose descriptors are joined, from 0, negative from the end; "
        "default: block at 31/40 of a ViT's depth (the paper's layer 31 of ViT-g), or the last stage that the checkpoint holds",
    )
    facet: Facet = Facet.AUTO
    pooling: Pooling = Pooling.AUTO
    gem_p: float = Field(3.0, gt=0, le=64, description="GeM exponent (paper: 3)")
    rings: int = Field(
        1,
        ge=1,
        le=16,
        description="from 2 on: that many concentric square rings are pooled besides the whole picture, and joined "
        "(square-ring partition, Wang et al. 2021)",
    )
    image_size: int | None = Field(None, ge=16, le=4096, description="input side in pixels; default: the model's own")

    @model_validator(mode="before")
    @classmethod
    def _one_layer(cls, values: Any) -> Any:
        """Records and settings from before several layers could be named have one of them, called `layer`."""
        if not isinstance(values, dict) or "layer" not in values:
            return values
        if "layers" in values:
            raise ValueError("give layers or layer, not both")
        rest = {name: value for name, value in values.items() if name != "layer"}
        return rest if values["layer"] is None else {**rest, "layers": (values["layer"],)}
