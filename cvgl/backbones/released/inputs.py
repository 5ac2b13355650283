"""From an image to a released model's input, step by step as the code that it was trained with does it.

Panoramas, tiles and drone images each have their own way; all of it is part of a model's identity.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from PIL.Image import Resampling

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

    from cvgl.types import Float32Array

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALVES = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
_FULL_SPHERE = 2.5  # a panorama no longer than this many times its height shows sky and ground: the full sphere is 2 : 1


class Way(StrEnum):
    """How an image gets the input's size.

    BICUBIC, BILINEAR: with Pillow, antialiased when it shrinks, as torchvision's Resize does. OPENCV_LINEAR: from the four
    nearest pixels alone, however much it shrinks. PANORAMA: bilinear, but of a full sphere the middle half of its height, by
    area (the preparation of CVACT's panoramas). POLAR: a tile unrolled around its middle, south to south by west, the top far
    (Shi et al. 2019, "Spatial-aware feature aggregation").
    """

    BICUBIC = "bicubic"
    BILINEAR = "bilinear"
    OPENCV_LINEAR = "opencv-linear"
    PANORAMA = "panorama"
    POLAR = "polar"


@dataclass(frozen=True, slots=True)
class ReleasedInput:
    """Makes a model input of an RGB image.

    Attributes:
        height, width: in pixels.
        way: how the image gets that size.
        colours: mean and standard deviation of the channels, of values in [0, 1].
    """

    height: int
    width: int
    way: Way
    colours: tuple[tuple[float, float, float], tuple[float, float, float]] = IMAGENET

    def __call__(self, image: Image) -> Float32Array:
        """RGB image -> float32 (3, height, width)."""
        if image.mode != "RGB":
            image = image.convert("RGB")
        values = self._sized(image).astype(np.float32) / np.float32(255)
        mean, deviation = (np.asarray(colour, np.float32) for colour in self.colours)
        return np.ascontiguousarray(((values - mean) / deviation).transpose(2, 0, 1))

    def identity(self) -> dict[str, str | int]:
        """The settings as part of a fingerprint."""
        mean, deviation = (",".join(f"{value:g}" for value in colour) for colour in self.colours)
        return {"height": self.height, "width": self.width, "mean": mean, "std": deviation, "interpolation": str(self.way)}

    def _sized(self, image: Image) -> NDArray[np.uint8]:
        size = (self.width, self.height)
        match self.way:
            case Way.OPENCV_LINEAR:
                return resized_linearly(np.asarray(image), self.height, self.width)
            case Way.POLAR:
                return unrolled(np.asarray(image), self.height, self.width)
            case Way.BICUBIC:
                return np.asarray(image.resize(size, Resampling.BICUBIC))
            case Way.PANORAMA if image.width < _FULL_SPHERE * image.height:
                top = image.height // 4
                return np.asarray(image.crop((0, top, image.width, top + image.height // 2)).resize(size, Resampling.BOX))
        return np.asarray(image.resize(size, Resampling.BILINEAR))


def resized_linearly(values: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """(H, W, 3) -> (height, width, 3), from the four nearest pixels: OpenCV's INTER_LINEAR, which never antialiases."""
    if values.shape[:2] == (height, width):
        return values
    rows, columns = (_neighbours(old, new) for old, new in zip(values.shape[:2], (height, width), strict=True))
    source = values.astype(np.float32)
    down = _between(source[rows[0]], source[rows[1]], rows[2][:, None, None])
    across = _between(down[:, columns[0]], down[:, columns[1]], columns[2][None, :, None])
    rounded: NDArray[np.uint8] = np.floor(across + np.float32(0.5)).astype(np.uint8)
    return rounded


def _neighbours(old: int, new: int) -> tuple[NDArray[np.intp], NDArray[np.intp], Float32Array]:
    """For each new place the two old ones beside it, and the share of the second; pixels are squares, not points."""
    places = np.clip((np.arange(new) + 0.5) * (old / new) - 0.5, 0, old - 1)
    first = np.floor(places).astype(np.intp)
    return first, np.minimum(first + 1, old - 1), (places - first).astype(np.float32)


def _between(first: Float32Array, second: Float32Array, share: Float32Array) -> Float32Array:
    mixed: Float32Array = first + (second - first) * share
    return mixed


def unrolled(values: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """A tile (S, S, 3) -> (height, width, 3): columns are azimuths from south by west, the top row is the farthest.

    Values are truncated to integers, and pixels outside the tile are black, as in the released preparation.
    """
    rows, columns = _polar_grid(*values.shape[:2], height, width)
    top, left = rows.astype(np.intp), columns.astype(np.intp)
    share_down, share_across = (rows - top)[..., None], (columns - left)[..., None]
    padded = np.zeros((values.shape[0] + 1, values.shape[1] + 1, 3), np.float64)
    padded[:-1, :-1] = values
    upper = padded[top, left] * (1 - share_down) + padded[top + 1, left] * share_down
    lower = padded[top, left + 1] * (1 - share_down) + padded[top + 1, left + 1] * share_down
    return (upper * (1 - share_across) + lower * share_across).astype(np.uint8)


@lru_cache(maxsize=8)
def _polar_grid(rows: int, columns: int, height: int, width: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where in a tile each place of the unrolled image comes from."""
    far = (height - 1 - np.arange(height))[:, None] / height
    azimuth = (2 * np.pi * np.arange(width) / width)[None]
    return rows / 2 * (1 + far * np.cos(azimuth)), columns / 2 * (1 - far * np.sin(azimuth))
