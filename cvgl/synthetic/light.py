"""Seasons, sun and shadow: from what a place is made of to what colour it has at one moment."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cvgl.synthetic.config import Season
from cvgl.synthetic.objects import Colour, Material

if TYPE_CHECKING:
    from cvgl.synthetic.noise import Float32Array
    from cvgl.synthetic.raster import Ground

# Season -> material -> (gain, offset) on the colours of midsummer; what is not named stays as it is.
_SEASONS: dict[Season, dict[Material, tuple[Colour, Colour]]] = {
    Season.SPRING: {
        Material.GRASS: ((0.95, 1.08, 0.9), (0.0, 0.03, 0.0)),
        Material.TREE: ((1.15, 1.3, 1.05), (0.05, 0.06, 0.03)),
        Material.CROP: ((0.5, 0.75, 0.6), (0.10, 0.10, 0.06)),
    },
    Season.SUMMER: {},
    Season.AUTUMN: {
        Material.GRASS: ((1.05, 0.92, 0.85), (0.03, 0.0, 0.0)),
        Material.TREE: ((2.0, 1.05, 0.6), (0.03, -0.02, 0.0)),
        Material.CROP: ((0.7, 0.6, 0.6), (0.10, 0.08, 0.06)),
    },
    Season.WINTER: {
        Material.GRASS: ((0.7, 0.62, 0.7), (0.12, 0.10, 0.07)),
        Material.TREE: ((0.55, 0.4, 0.5), (0.18, 0.16, 0.15)),
        Material.CROP: ((0.35, 0.35, 0.4), (0.20, 0.17, 0.13)),
        Material.WATER: ((0.9, 0.95, 1.05), (0.03, 0.04, 0.06)),
    },
}
SUN_ELEVATION = {Season.SPRING: 46.0, Season.SUMMER: 56.0, Season.AUTUMN: 36.0, Season.WINTER: 24.0}  # degrees, typical


@dataclass(frozen=True, slots=True)
class Light:
    """Sun and sky at one moment.

    Attributes:
        azimuth: where the sun stands, degrees clockwise from north.
        elevation: degrees above the horizon.
        sun: colour and strength of direct light.
        sky: colour and strength of light from everywhere.
    """

    azimuth: float
    elevation: float
    sun: Colour = (0.86, 0.82, 0.74)
    sky: Colour = (0.36, 0.39, 0.44)

    @property
    def direction(self) -> tuple[float, float, float]:
        """Unit vector towards the sun: east, north, up."""
        azimuth, elevation = math.radians(self.azimuth), math.radians(self.elevation)
        return math.sin(azimuth) * math.cos(elevation), math.cos(azimuth) * math.cos(elevation), math.sin(elevation)


@dataclass(frozen=True, eq=False)
class LitGround:
    """A raster under one light in one season.

    Attributes:
        ground: the raster itself.
        colour: (H, W, 3) what is seen from above.
        shadow: (H, W) height in metres up to which the air above a texel is in shadow.
    """

    ground: Ground
    light: Light
    colour: Float32Array
    shadow: Float32Array


def illuminate(ground: Ground, light: Light, season: Season) -> LitGround:
    """Applies a season's colours, casts shadows and shades all surfaces (Lambert)."""
    shadow = shadow_height(ground.height, ground.texel, light)
    east, north, up = light.direction
    length = np.sqrt(1 + ground.slope_x**2 + ground.slope_y**2)
    facing = np.maximum(up - ground.slope_x * np.float32(east) - ground.slope_y * np.float32(north), 0) / length
    # Penumbra and half-transparent crowns: the edge of a shadow is soft.
    lit = 1 - np.clip((shadow - ground.height) / np.float32(0.8), 0, 1)
    direct = (lit * facing / np.float32(max(up, 0.3)))[..., None] * np.asarray(light.sun, np.float32)
    # What stands in a hollow between walls sees less sky.
    open_sky = np.float32(1.0) - 0.22 * np.clip((shadow - ground.height) / np.float32(12), 0, 1)
    diffuse = open_sky[..., None] * np.asarray(light.sky, np.float32)
    colour = seasonal(ground, season) * (direct + diffuse)
    return LitGround(ground, light, np.ascontiguousarray(colour, np.float32), shadow)


def seasonal(ground: Ground, season: Season) -> Float32Array:
    """The raster's colours in a season, (H, W, 3)."""
    changes = _SEASONS[season]
    if not changes:
        return ground.albedo
    gain, offset = np.ones((len(Material), 3), np.float32), np.zeros((len(Material), 3), np.float32)
    for material, (material_gain, material_offset) in changes.items():
        gain[material], offset[material] = material_gain, material_offset
    result: Float32Array = np.clip(ground.albedo * gain[ground.material] + offset[ground.material], 0.02, 0.98)
    return result


def shadow_height(height: Float32Array, texel: float, light: Light) -> Float32Array:
    """How high the shadow reaches above each texel, (H, W) in metres.

    A point at distance s towards the sun shades everything below its height minus s tan(elevation). The maximum over all
    s is taken by doubling: seven shifts cover 128 texels.
    """
    azimuth, slope = math.radians(light.azimuth), math.tan(math.radians(light.elevation))
    step_x, step_y = math.sin(azimuth), math.cos(azimuth)
    shadow = height - np.float32(1e-3)
    reach = 1
    while reach * texel * slope < 45 and reach <= 128:
        columns, rows = round(step_x * reach), round(step_y * reach)
        distance = math.hypot(columns, rows) * texel
        shadow = np.maximum(shadow, _shift(shadow, columns, rows) - np.float32(distance * slope))
        reach *= 2
    result: Float32Array = shadow
    return result


def _shift(values: Float32Array, columns: int, rows: int) -> Float32Array:
    """result[r, c] = values[r + rows, c + columns]; beyond the border nothing stands."""
    result = np.full_like(values, -1e4)
    height, width = values.shape
    if abs(rows) >= height or abs(columns) >= width:
        return result
    to_rows, from_rows = _slices(rows, height)
    to_columns, from_columns = _slices(columns, width)
    result[to_rows, to_columns] = values[from_rows, from_columns]
    return result


def _slices(shift: int, size: int) -> tuple[slice, slice]:
    if shift >= 0:
        return slice(0, size - shift), slice(shift, size)
    return slice(-shift, size), slice(0, size + shift)
