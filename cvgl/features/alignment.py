"""Alignment of the views before a descriptor is computed: scale, viewing angle and heading.

A drone image covers more ground than the tile of its location (or less), at an angle, and at any heading. So a part of each
image is embedded, rectified to a view from above, and descriptors are averaged over rotations. An image becomes a set of
passes: each is one input of the model, and the descriptor is the mean over them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from cvgl.config import AlignmentConfig
from cvgl.features.warps import middle, to_nadir, to_polar, turned_middle
from cvgl.types import View

if TYPE_CHECKING:
    from PIL.Image import Image

    from cvgl.types import Float32Array

IMPLEMENTATION = 1  # raised whenever the same image would get another descriptor
_EIGHTHS = 8
_QUERY_ONLY = ("query_crop", "query_rotations", "tilt", "field_of_view")
_REFERENCE_ONLY = ("reference_crop", "reference_rotations", "polar", "reference_scales")
_AVERAGED = ("query_rotations", "reference_rotations", "flips", "reference_scales")
_FIRST_SETTINGS = ("query_crop", "reference_rotations")


@dataclass(frozen=True, slots=True, order=True)
class Pass:
    """One model input made of an image.

    Attributes:
        scale: central share of each side of the crop.
        eighths: rotation counter-clockwise, in eighths of the full circle.
        mirrored: left and right are exchanged.
    """

    scale: float = 1.0
    eighths: int = 0
    mirrored: bool = False


def passes(view: View, alignment: AlignmentConfig) -> tuple[Pass, ...]:
    """The model inputs that an image of this view becomes; their number is its cost."""
    rotations = alignment.reference_rotations if view.is_reference else alignment.query_rotations
    scales = alignment.reference_scales if view.is_reference else (1.0,)
    eighths = range(0, _EIGHTHS, _EIGHTHS // rotations)
    mirrored = (False, True) if alignment.flips else (False,)
    return tuple(Pass(*settings) for settings in product(scales, eighths, mirrored))


def shared_by_passes(view: View, alignment: AlignmentConfig) -> AlignmentConfig:
    """The settings that all passes of this view share; the rest at its defaults."""
    other = _QUERY_ONLY if view.is_reference else _REFERENCE_ONLY
    drone_only = () if view is View.DRONE and alignment.tilt else ("tilt", "field_of_view")
    left_out = {*other, *_AVERAGED, *drone_only}
    return AlignmentConfig(**{name: value for name, value in alignment.model_dump().items() if name not in left_out})


def identity(alignment: AlignmentConfig) -> dict[str, Any]:
    """The settings as part of a fingerprint.

    Settings added after the first release count only where they differ from their default, so that stored descriptors keep
    their names.
    """
    values, default = alignment.model_dump(mode="json"), AlignmentConfig().model_dump(mode="json")
    if not alignment.tilt:
        values["field_of_view"] = default["field_of_view"]
    return {name: value for name, value in values.items() if name in _FIRST_SETTINGS or value != default[name]}


def crop(image: Image, view: View, alignment: AlignmentConfig) -> Image:
    """The part of an image that is embedded.

    Drone and satellite images are cut to the square in their middle, because models take squares and a squeezed image
    shows ground at two scales. Street images keep their shape: a panorama's far ends are as much of its surroundings as
    its middle. `query_crop` and `reference_crop` then take the middle share of each side.
    """
    return middle(image, *_cropped_size(image, view, alignment, 1.0))


def prepared_bases(image: Image, view: View, alignment: AlignmentConfig, image_passes: Sequence[Pass]) -> list[Image]:
    """The base images of the passes, before quarter turns and mirroring, in the order of `bases`."""
    if view is View.DRONE and alignment.tilt:
        image = to_nadir(image, alignment.tilt, alignment.field_of_view)
    return [_base(image, view, alignment, scale, diagonal) for scale, diagonal in bases(view, alignment, image_passes)]


def bases(view: View, alignment: AlignmentConfig, image_passes: Sequence[Pass]) -> tuple[tuple[float, bool], ...]:
    """(scale, whether turned by an eighth) of the images that the passes are made of, each once."""
    return tuple(dict.fromkeys(_base_of(image_pass, view, alignment) for image_pass in image_passes))


def model_inputs(prepared: Float32Array, view: View, alignment: AlignmentConfig, image_passes: Sequence[Pass]) -> Float32Array:
    """Prepared bases (b, 3, H, W) -> the passes' model inputs (k, 3, H, W).

    Raises:
        ValueError: quarter turns of an input that is not square (they would change its shape).
    """
    base_index = {base: index for index, base in enumerate(bases(view, alignment, image_passes))}
    inputs = []
    for image_pass in image_passes:
        values = prepared[base_index[_base_of(image_pass, view, alignment)]]
        inputs.append(_turned(values, image_pass.eighths, is_panorama=_is_panorama(view, alignment)))
        if image_pass.mirrored:
            inputs[-1] = inputs[-1][:, :, ::-1]
    return np.stack(inputs)


def _base(image: Image, view: View, alignment: AlignmentConfig, scale: float, diagonal: bool) -> Image:
    width, height = _cropped_size(image, view, alignment, scale)
    if diagonal:
        return turned_middle(image, width, 360 / _EIGHTHS)
    cut = middle(image, width, height)
    return to_polar(cut) if view.is_reference and alignment.polar else cut


def _cropped_size(image: Image, view: View, alignment: AlignmentConfig, scale: float) -> tuple[int, int]:
    width, height = image.size
    if view is not View.GROUND:
        width = height = min(width, height)
    share = scale * (alignment.reference_crop if view.is_reference else alignment.query_crop)
    return max(1, round(width * share)), max(1, round(height * share))


def _base_of(image_pass: Pass, view: View, alignment: AlignmentConfig) -> tuple[float, bool]:
    return image_pass.scale, image_pass.eighths % 2 == 1 and not _is_panorama(view, alignment)


def _is_panorama(view: View, alignment: AlignmentConfig) -> bool:
    """Whether columns are azimuths, so that turning is shifting."""
    return view is View.GROUND or (view.is_reference and alignment.polar)


def _turned(values: Float32Array, eighths: int, *, is_panorama: bool) -> Float32Array:
    """A model input (3, H, W), turned counter-clockwise; an odd eighth is already in the base."""
    height, width = values.shape[1:]
    if is_panorama:
        return np.roll(values, -round(eighths * width / _EIGHTHS), axis=2)
    if eighths // 2 % 2 and height != width:
        raise ValueError(f"quarter turns need a square model input, not {height} x {width}")
    return np.rot90(values, eighths // 2, axes=(1, 2))
