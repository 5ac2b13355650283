"""Making both views show the same ground at any heading, before a descriptor is computed.

A drone sees more ground than the tile of its place shows, and comes from any heading. So the query's middle is embedded,
and the reference's descriptor is the mean over right-angle turns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cvgl.config import AlignmentConfig
from cvgl.types import View

if TYPE_CHECKING:
    from PIL.Image import Image

    from cvgl.types import Float32Array

IMPLEMENTATION = 1  # raised whenever the same picture would get another descriptor


def crop(image: Image, view: View, alignment: AlignmentConfig) -> Image:
    """The part of a picture that is embedded.

    Drone and satellite pictures are cut to the square in their middle, because models take squares and a squeezed picture
    shows ground at two scales. Street pictures keep their shape: a panorama's far ends are as much of its surroundings as
    its middle. `query_crop` then takes the middle share of each side of a drone or street picture.
    """
    width, height = image.size
    if view is not View.GROUND:
        width = height = min(width, height)
    if not view.is_reference:
        width, height = (max(1, round(side * alignment.query_crop)) for side in (width, height))
    if (width, height) == image.size:
        return image
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def turns(view: View, alignment: AlignmentConfig) -> int:
    """How many model inputs one picture of this view becomes."""
    return alignment.reference_rotations if view.is_reference else 1


def turned(prepared: Float32Array, count: int) -> Float32Array:
    """One model input (3, H, W) -> (count, 3, H, W), turned evenly through the full circle.

    Raises:
        ValueError: several turns of an input that is not square (quarter turns would change its shape).
    """
    if count == 1:
        return prepared[None]
    if count == 4 and prepared.shape[1] != prepared.shape[2]:
        raise ValueError(f"quarter turns need a square model input, not {prepared.shape[1]} x {prepared.shape[2]}")
    return np.stack([np.rot90(prepared, index * 4 // count, axes=(1, 2)) for index in range(count)])
