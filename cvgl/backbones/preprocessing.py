"""From a picture to a model's input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL.Image import Resampling

from cvgl.errors import ConfigError

if TYPE_CHECKING:
    from PIL.Image import Image

    from cvgl.types import Float32Array

_RESAMPLING = {
    "nearest": Resampling.NEAREST,
    "bilinear": Resampling.BILINEAR,
    "bicubic": Resampling.BICUBIC,
    "lanczos": Resampling.LANCZOS,
    "box": Resampling.BOX,
    "hamming": Resampling.HAMMING,
}


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """Resizes the whole picture to the input size and normalises its channels.

    Nothing is cut off here: how much of a picture is embedded is the alignment's decision, so timm's crop_pct, which
    stands for an evaluation habit of classification, is not used.

    Attributes:
        height, width: of the input in pixels.
        mean, std: per channel, of values in [0, 1].
        interpolation: Pillow's name of the resampling filter (antialiased when it shrinks).
    """

    height: int
    width: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str = "bicubic"

    def __post_init__(self) -> None:
        if self.interpolation not in _RESAMPLING:
            raise ConfigError(
                f"unknown interpolation '{self.interpolation}'", where="preprocessing", fix=f"use one of {sorted(_RESAMPLING)}"
            )

    def __call__(self, image: Image) -> Float32Array:
        """RGB picture -> float32 (3, height, width)."""
        if image.mode != "RGB":
            image = image.convert("RGB")
        if image.size != (self.width, self.height):
            image = image.resize((self.width, self.height), _RESAMPLING[self.interpolation])
        values = np.asarray(image, dtype=np.float32) / np.float32(255)
        normalised = (values - np.asarray(self.mean, np.float32)) / np.asarray(self.std, np.float32)
        return np.ascontiguousarray(normalised.transpose(2, 0, 1))

    def identity(self) -> dict[str, str | int]:
        return {
            "height": self.height,
            "width": self.width,
            "mean": ",".join(f"{value:g}" for value in self.mean),
            "std": ",".join(f"{value:g}" for value in self.std),
            "interpolation": self.interpolation,
        }
