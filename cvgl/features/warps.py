"""Geometric warps of an image, as pure functions.

All of them keep the centre of the image.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

HORIZON_MARGIN = 10.0
"""Degrees below the horizon down to which ground is not used: a pixel there covers too much of it."""


def middle(image: Image, width: int, height: int) -> Image:
    """The part of this size around the middle."""
    if (width, height) == image.size:
        return image
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def turned_middle(image: Image, side: int, degrees: float) -> Image:
    """A square around the middle of the image after it is turned counter-clockwise; the scale stays.

    Beyond its edges the image is mirrored. A square with sides of up to 0.7 of the image's does not reach them.
    """
    from PIL import Image as Images

    margin = math.ceil(side * (math.sqrt(2) - 1) / 2) + 1
    left, top = (image.width - side) // 2 - margin, (image.height - side) // 2 - margin
    missing = max(0, -left, -top)
    if missing:
        padding = ((missing, missing), (missing, missing), (0, 0))
        image = Images.fromarray(np.pad(np.asarray(image.convert("RGB")), padding, mode="symmetric"))
    left, top, window = left + missing, top + missing, side + 2 * margin
    square = image.crop((left, top, left + window, top + window))
    return middle(square.rotate(degrees, Images.Resampling.BICUBIC), side, side)


def to_nadir(image: Image, tilt: float, field_of_view: float) -> Image:
    """Rectifies an oblique image to a view straight down, for flat ground.

    The camera is a pinhole that looks `tilt` degrees away from straight down, with the top of its image farthest away. The
    result is the largest square of ground that the image shows completely around the point in its middle, no part of it
    nearer to the horizon than `HORIZON_MARGIN`; its top is what was farthest away.

    Args:
        image: the image.
        tilt: degrees from straight down; 0 gives the square in the image's middle.
        field_of_view: of the image's height, in degrees.

    Returns:
        A square image with sides as long as the shorter of the original's.
    """
    from PIL import Image as Images

    if tilt == 0:
        return middle(image, min(image.size), min(image.size))
    side = min(image.size)
    ground = _pixels_to_ground(side, _half_side(image.size, tilt, field_of_view), tilt)
    coefficients = _camera(image.size, tilt, field_of_view) @ ground
    coefficients /= coefficients[2, 2]
    return image.transform(
        (side, side), Images.Transform.PERSPECTIVE, tuple(coefficients.ravel()[:8].tolist()), Images.Resampling.BICUBIC
    )


def to_polar(image: Image) -> Image:
    """The image unrolled around its middle, as a panorama taken there shows the ground (Shi et al. 2019).

    Columns are azimuths, clockwise from the image's top (north); the top row is farthest from the middle.

    Returns:
        An image of twice the width and half the height of the square in the image's middle.
    """
    from PIL import Image as Images

    side = min(image.size)
    values = np.asarray(middle(image, side, side).convert("RGB"), np.float32)
    width, height = max(4, 2 * side), max(1, side // 2)
    azimuth = (np.arange(width) + 0.5) * 2 * np.pi / width
    radius = (height - np.arange(height) - 0.5)[:, None] * (side / 2 / height)
    across, down = side / 2 + radius * np.sin(azimuth), side / 2 - radius * np.cos(azimuth)
    return Images.fromarray(_sampled(values, down - 0.5, across - 0.5).round().clip(0, 255).astype(np.uint8))


def _half_side(size: tuple[int, int], tilt: float, field_of_view: float) -> float:
    """Half the side of the ground square of `to_nadir`, in units of the camera's height."""
    width, height = size
    angle, half = math.radians(tilt), math.radians(field_of_view) / 2
    up = math.tan(half)
    across = up * width / height
    far = math.tan(min(angle + half, math.radians(90 - HORIZON_MARGIN)))
    # The near edge is the narrowest: |x| <= across * depth there.
    narrow = across / math.cos(angle) / (1 + across * math.sin(angle))
    return min(math.tan(angle) - math.tan(angle - half), far - math.tan(angle), narrow)


def _pixels_to_ground(side: int, half_side: float, tilt: float) -> NDArray[np.float64]:
    """Homography: pixel of the square, from its top left, to ground (right, forward) in units of the camera's height."""
    step = 2 * half_side / side
    middle_of_ground = math.tan(math.radians(tilt))
    return np.array([[step, 0, -half_side], [0, -step, middle_of_ground + half_side], [0, 0, 1]])


def _camera(size: tuple[int, int], tilt: float, field_of_view: float) -> NDArray[np.float64]:
    """Homography: ground to pixel of the oblique image."""
    width, height = size
    focal = height / 2 / math.tan(math.radians(field_of_view) / 2)
    sine, cosine = math.sin(math.radians(tilt)), math.cos(math.radians(tilt))
    # A point of the ground at (x, y), one unit below: right, down and depth as the camera sees it.
    to_camera = np.array([[1, 0, 0], [0, -cosine, sine], [0, sine, cosine]])
    pixels = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
    return np.asarray(pixels @ to_camera, dtype=np.float64)


def _sampled(values: NDArray[np.float32], down: NDArray[Any], across: NDArray[Any]) -> NDArray[np.float32]:
    """Bilinear values (H, W, 3) at fractional places; beyond the edge the edge counts."""
    height, width = values.shape[:2]
    down, across = down.clip(0, height - 1), across.clip(0, width - 1)
    top, left = np.floor(down).astype(np.intp), np.floor(across).astype(np.intp)
    bottom, right = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    below, beside = (down - top)[..., None], (across - left)[..., None]
    upper = values[top, left] * (1 - beside) + values[top, right] * beside
    lower = values[bottom, left] * (1 - beside) + values[bottom, right] * beside
    sampled: NDArray[np.float32] = (upper * (1 - below) + lower * below).astype(np.float32)
    return sampled
