"""Walls seen from the side: colour, rows of windows, light and shadow; and the undersides of trees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cvgl.synthetic.light import LitGround
    from cvgl.synthetic.noise import Float32Array, FloatArray
    from cvgl.synthetic.objects import Part


_GLASS = np.array([0.20, 0.24, 0.29], np.float32)


@dataclass(frozen=True, eq=False)
class WallHits:
    """Points where N rays hit the side of a texel.

    Attributes:
        texel: (N,) flat index of the texel whose side was hit.
        before: (N,) flat index of the texel in front of it, which is in the open.
        x: (N,) metres east.
        y: (N,) metres north.
        z: (N,) metres up.
        direction: (N, 2) horizontal direction of the ray, unit vectors.
        footprint: (N,) size of a ray's footprint in metres; windows smaller than it fade into the wall.
        top_colour: (N, 3) colour of the texel from above, used for trees and cars.
    """

    texel: NDArray[np.int64]
    before: NDArray[np.int64]
    x: FloatArray
    y: FloatArray
    z: FloatArray
    direction: FloatArray
    footprint: FloatArray
    top_colour: Float32Array

    def take(self, rows: NDArray[np.int64]) -> WallHits:
        """Some of the points."""
        return WallHits(*(getattr(self, field.name)[rows] for field in fields(self)))


@dataclass(frozen=True, eq=False)
class _Walls:
    """Of N points, the building part that each lies on, as in `cvgl.synthetic.objects.Part`; (N,), `colour` (N, 3)."""

    x: FloatArray
    y: FloatArray
    cosine: FloatArray
    sine: FloatArray
    half_length: FloatArray
    half_width: FloatArray
    base: FloatArray
    eave: FloatArray
    storey: FloatArray
    window: FloatArray
    glass: FloatArray
    colour: FloatArray

    @classmethod
    def of(cls, parts: Sequence[Part], rows: NDArray[np.integer[Any]]) -> Self:
        """The parts `rows` (N,)."""

        def column(value: Callable[[Part], object]) -> FloatArray:
            values: FloatArray = np.array([value(part) for part in parts], np.float64)[rows]
            return values

        return cls(
            x=column(lambda part: part.x),
            y=column(lambda part: part.y),
            cosine=column(lambda part: np.cos(part.angle)),
            sine=column(lambda part: np.sin(part.angle)),
            half_length=column(lambda part: part.half_length),
            half_width=column(lambda part: part.half_width),
            base=column(lambda part: part.base),
            eave=column(lambda part: part.eave),
            storey=column(lambda part: part.storey),
            window=column(lambda part: part.window),
            glass=column(lambda part: part.glass),
            colour=column(lambda part: part.wall_colour),
        )


def wall_colours(lit: LitGround, hits: WallHits) -> Float32Array:
    """Colours (N, 3) of points on walls."""
    part = lit.ground.part.ravel()[hits.texel]
    shaded = np.clip((lit.shadow.ravel()[hits.before] - hits.z) / 0.8, 0, 1)
    colours = hits.top_colour * (0.8 - 0.25 * shaded)[:, None].astype(np.float32)
    built = np.flatnonzero(part > 0)
    if len(built):
        walls = _Walls.of(lit.ground.parts, part[built] - 1)
        colours[built] = _facade(lit, walls, hits.take(built), shaded[built])
    return colours


def _facade(lit: LitGround, walls: _Walls, hits: WallHits, shaded: FloatArray) -> Float32Array:
    """Colours (N, 3) of points on the walls of buildings."""
    place, normal_x, normal_y = _faces(walls, hits)
    opening = _window_share(walls, hits, place)
    east, north, up = lit.light.direction
    facing = np.maximum(normal_x * east + normal_y * north, 0) / max(up, 0.3)
    # Walls see half of the sky and some light from the ground.
    strength = (facing * (1 - shaded))[:, None] * np.asarray(lit.light.sun) + 0.78 * np.asarray(lit.light.sky)
    wall = walls.colour * strength
    colours: Float32Array = (wall + opening[:, None] * (_GLASS * (0.55 + 0.5 * strength) - wall)).astype(np.float32)
    return colours


def _faces(walls: _Walls, hits: WallHits) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Of the face that each point lies on: the point's place along it in metres, and x and y of its outward normal; (N,)."""
    u = (hits.x - walls.x) * walls.cosine + (hits.y - walls.y) * walls.sine
    v = (hits.y - walls.y) * walls.cosine - (hits.x - walls.x) * walls.sine
    along_u = hits.direction[:, 0] * walls.cosine + hits.direction[:, 1] * walls.sine
    along_v = hits.direction[:, 1] * walls.cosine - hits.direction[:, 0] * walls.sine
    # The nearer pair of faces was hit, unless the ray could not see it.
    end = (walls.half_length - np.abs(u) < walls.half_width - np.abs(v)) & (u * along_u < 0)
    end |= v * along_v >= 0
    normal_x = np.where(end, -np.sign(along_u) * walls.cosine, np.sign(along_v) * walls.sine)
    normal_y = np.where(end, -np.sign(along_u) * walls.sine, -np.sign(along_v) * walls.cosine)
    return np.where(end, v, u), normal_x, normal_y


def _window_share(walls: _Walls, hits: WallHits, place: FloatArray) -> FloatArray:
    """Share of glass (N,) at points `place` metres along their face: panes near by, their mean far away."""
    level = (hits.z - walls.base) / walls.storey
    with np.errstate(divide="ignore", invalid="ignore"):
        column = np.where(walls.window > 0, place / np.maximum(walls.window, 0.1), 0)
    share_across, share_up = column - np.floor(column), level - np.floor(level)
    pane = (
        (np.abs(share_across - 0.5) < walls.glass * 0.5)
        & (np.abs(share_up - 0.55) < 0.28)
        & (hits.z < walls.base + walls.eave - 0.4)
        & (hits.z > walls.base + 0.6)
    )
    detail = np.clip(1.6 - 2.2 * hits.footprint / np.maximum(np.minimum(walls.window, walls.storey), 0.5), 0, 1)
    mean = walls.glass * 0.56 * (hits.z < walls.base + walls.eave)
    return np.where(walls.window > 0, detail * pane + (1 - detail) * mean, 0)
