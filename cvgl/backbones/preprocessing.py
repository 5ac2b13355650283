"""From an image to a model's input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL.Image import Resampling

from cvgl.config import Preprocess
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
_WIDEST = 16  # aspect ratio; the ends of a longer image would be resized only to be cut off


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """Resizes an image to the input size and normalises its channels.

    Without `resize` the whole image is squashed and nothing is cut off: how much of an image is embedded is then the
    alignment's decision alone. With it the image is resized first and its middle cut out, pixel by pixel as torchvision's
    Resize and CenterCrop do.

    Attributes:
        height, width: of the input in pixels.
        mean, std: per channel, of values in [0, 1].
        interpolation: Pillow's name of the resampling filter (antialiased when it shrinks).
        style: which of the three ways this is.
        resize: length in pixels that the shorter side gets before the middle is cut out; none for the whole image.
        squashed: both sides get that length.
    """

    height: int
    width: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str = "bicubic"
    style: Preprocess = Preprocess.WHOLE
    resize: int | None = None
    squashed: bool = False

    def __post_init__(self) -> None:
        if self.interpolation not in _RESAMPLING:
            raise ConfigError(
                f"unknown interpolation '{self.interpolation}'", where="preprocessing", fix=f"use one of {sorted(_RESAMPLING)}"
            )
        if self.resize is not None and self.resize < max(self.height, self.width):
            raise ConfigError(
                f"{self.width} x {self.height} pixels cannot be cut out of an image resized to {self.resize}",
                where="backbone.resize",
                fix="use a larger one, or leave it out",
            )

    def __call__(self, image: Image) -> Float32Array:
        """RGB image -> float32 (3, height, width)."""
        if image.mode != "RGB":
            image = image.convert("RGB")
        image = self._scaled(image, (self.width, self.height)) if self.resize is None else self._middle(image, self.resize)
        values = np.asarray(image, dtype=np.float32) / np.float32(255)
        normalised = (values - np.asarray(self.mean, np.float32)) / np.asarray(self.std, np.float32)
        return np.ascontiguousarray(normalised.transpose(2, 0, 1))

    def _scaled(self, image: Image, size: tuple[int, int]) -> Image:
        return image if image.size == size else image.resize(size, _RESAMPLING[self.interpolation])

    def _middle(self, image: Image, resize: int) -> Image:
        """The middle of the resized image; the halves of odd margins go where torchvision leaves them."""
        scaled = self._scaled(image, (resize, resize)) if self.squashed else self._shorter_side(_not_too_long(image), resize)
        left, top = round((scaled.width - self.width) / 2), round((scaled.height - self.height) / 2)
        return scaled.crop((left, top, left + self.width, top + self.height))

    def _shorter_side(self, image: Image, resize: int) -> Image:
        width, height = image.size
        if width <= height:
            return self._scaled(image, (resize, resize * height // width))
        return self._scaled(image, (resize * width // height, resize))

    def identity(self) -> dict[str, str | int]:
        """The settings as part of a fingerprint; the default, the whole image, adds nothing."""
        cut: dict[str, str | int] = {}
        if self.resize is not None:
            cut = {"preprocessing": str(self.style), "resize": self.resize}
        if self.squashed:
            cut["resized_sides"] = "both"
        return {
            "height": self.height,
            "width": self.width,
            "mean": ",".join(f"{value:g}" for value in self.mean),
            "std": ",".join(f"{value:g}" for value in self.std),
            "interpolation": self.interpolation,
            **cut,
        }


def _not_too_long(image: Image) -> Image:
    """An image of one row of pixels would otherwise be blown up to gigabytes."""
    width, height = image.size
    limit = _WIDEST * min(width, height)
    if max(width, height) <= limit:
        return image
    left, top = max(0, (width - limit) // 2), max(0, (height - limit) // 2)
    return image.crop((left, top, left + min(width, limit), top + min(height, limit)))
