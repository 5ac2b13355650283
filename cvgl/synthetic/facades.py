"""Walls seen from the side: colour, rows of windows, light and shadow; and the undersides of trees."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cvgl.synthetic.light import LitGround
    from cvgl.synthetic.noise import Float32Array, FloatArray


_GLASS = np.array([0.20, 0.24, 0.29], np.float32)


def wall_colours(
    lit: LitGround,
    texel: NDArray[np.int64],
    before: NDArray[np.int64],
    x: FloatArray,
    y: FloatArray,
    z: FloatArray,
    direction: FloatArray,
    footprint: FloatArray,
    top_colour: Float32Array,
) -> Float32Array:
    """Colours of points on walls.

    Args:
        lit: the raster and its light.
        texel: (N,) flat index of the texel whose side was hit.
        before: (N,) flat index of the texel in front of it, which is in the open.
        x, y, z: (N,) where the ray hit.
        direction: (2, N) horizontal direction of the ray, unit vectors.
        footprint: (N,) size of a ray's footprint in metres; windows smaller than it fade into the wall.
        top_colour: (N, 3) colour of the texel from above, used for trees and cars.

    Returns:
        (N, 3).
    """
    part = lit.ground.part.ravel()[texel]
    shaded = np.clip((lit.shadow.ravel()[before] - z) / 0.8, 0, 1)
    result = top_colour * (0.8 - 0.25 * shaded)[:, None].astype(np.float32)
    built = np.flatnonzero(part > 0)
    if len(built):
        table = _table(lit)[part[built] - 1]
        result[built] = _facade(lit, table, x[built], y[built], z[built], direction[:, built], footprint[built], shaded[built])
    return result


def _table(lit: LitGround) -> FloatArray:
    """The parts as rows: x, y, cos, sin, half length, half width, base, eave, storey, window, glass, red, green, blue."""
    rows = [
        (
            p.x,
            p.y,
            np.cos(p.angle),
            np.sin(p.angle),
            p.half_length,
            p.half_width,
            p.base,
            p.eave,
            p.storey,
            p.window,
            p.glass,
            *p.wall_colour,
        )
        for p in lit.ground.parts
    ]
    return np.array(rows)


def _facade(
    lit: LitGround,
    table: FloatArray,
    x: FloatArray,
    y: FloatArray,
    z: FloatArray,
    direction: FloatArray,
    footprint: FloatArray,
    shaded: FloatArray,
) -> Float32Array:
    """Colours (N, 3) of points on the walls of buildings."""
    middle_x, middle_y, cosine, sine, half_length, half_width, base, eave, storey, window, glass = table.T[:11]
    u = (x - middle_x) * cosine + (y - middle_y) * sine
    v = (y - middle_y) * cosine - (x - middle_x) * sine
    along_u = direction[0] * cosine + direction[1] * sine
    along_v = direction[1] * cosine - direction[0] * sine
    # The nearer pair of faces was hit, unless the ray could not see it.
    end = (half_length - np.abs(u) < half_width - np.abs(v)) & (u * along_u < 0)
    end |= v * along_v >= 0
    normal_x = np.where(end, -np.sign(along_u) * cosine, np.sign(along_v) * sine)
    normal_y = np.where(end, -np.sign(along_u) * sine, -np.sign(along_v) * cosine)
    place = np.where(end, v, u)
    level = (z - base) / storey
    with np.errstate(divide="ignore", invalid="ignore"):
        column = np.where(window > 0, place / np.maximum(window, 0.1), 0)
    share_across, share_up = column - np.floor(column), level - np.floor(level)
    pane = (
        (np.abs(share_across - 0.5) < glass * 0.5)
        & (np.abs(share_up - 0.55) < 0.28)
        & (z < base + eave - 0.4)
        & (z > base + 0.6)
    )
    detail = np.clip(1.6 - 2.2 * footprint / np.maximum(np.minimum(window, storey), 0.5), 0, 1)
    mean = glass * 0.56 * (z < base + eave)
    opening = np.where(window > 0, detail * pane + (1 - detail) * mean, 0)
    east, north, up = lit.light.direction
    facing = np.maximum(normal_x * east + normal_y * north, 0) / max(up, 0.3)
    # Walls see half of the sky and some light from the ground.
    strength = (facing * (1 - shaded))[:, None] * np.asarray(lit.light.sun) + 0.78 * np.asarray(lit.light.sky)
    wall = table[:, 11:14] * strength
    result: Float32Array = (wall + opening[:, None] * (_GLASS * (0.55 + 0.5 * strength) - wall)).astype(np.float32)
    return result
