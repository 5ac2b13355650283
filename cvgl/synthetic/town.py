"""Where things lie: terrain, river, blocks and streets of an endless town, all functions of the seed and a position.

Blocks are the cells of a Voronoi diagram over a jittered lattice, streets run along their borders. Nothing is stored: any
part of the town can be asked for at any time and in any order, and neighbouring parts fit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np

from cvgl.synthetic.noise import scramble, stream

if TYPE_CHECKING:
    from cvgl.synthetic.noise import Float32Array, Float64Array, FloatArray

_JITTER = 0.3  # of the lattice spacing; below 0.5, so that a cell's neighbours lie within two lattice steps
_NEAR = [(i, j) for j in range(-2, 3) for i in range(-2, 3) if (i, j) != (0, 0)]
BRIDGE_HALF_WIDTH = 4.5


class Use(IntEnum):
    """What a block is used for."""

    CENTRE = 0  # closed rows of town houses around a courtyard
    HOUSES = 1  # detached houses in gardens
    TOWERS = 2  # slabs and towers in lawns
    CAMPUS = 3  # one large building with wings, square, lawn
    INDUSTRY = 4  # halls, yards, tanks
    SHOPS = 5  # a flat hall behind a car park
    PARK = 6
    SPORTS = 7
    FIELD = 8
    FOREST = 9
    ORCHARD = 10
    WATER = 11


# Chance of each use from the town's middle (first row) over its edge to the open country (last row).
_CHANCES = np.array(
    [
        [34, 6, 14, 18, 0, 8, 10, 5, 0, 0, 0, 3],
        [14, 19, 14, 15, 9, 9, 8, 7, 2, 1, 1, 3],
        [2, 18, 7, 9, 13, 8, 6, 8, 15, 5, 6, 4],
        [0, 12, 0, 4, 8, 2, 2, 4, 40, 16, 10, 5],
    ],
    float,
)


@dataclass(frozen=True, eq=False)
class Block:
    """One cell of the town: a convex polygon.

    Attributes:
        cell: lattice index.
        x, y: the site, in metres east and north of the town's centre.
        corners: (E, 2) polygon, anticlockwise.
        normals: (E, 2) unit vectors out of the edges; edge e runs from corner e to corner e + 1.
        offsets: (E,) distance of each edge's line from the origin along its normal.
        streets: (E,) half width of the street along each edge, 0 for none.
    """

    cell: tuple[int, int]
    x: float
    y: float
    use: Use
    corners: Float64Array
    normals: Float64Array
    offsets: Float64Array
    streets: Float64Array

    def room(self, x: float, y: float) -> float:
        """Distance from a point to the nearest kerb; negative on the street or outside."""
        return min(offset - east * x - north * y for offset, east, north in self._kerbs)

    @cached_property
    def _kerbs(self) -> list[tuple[float, float, float]]:
        """Plain numbers: `room` is called for every tree, and numpy is slow on six values."""
        offsets = (self.offsets - self.streets).tolist()
        return [(offset, east, north) for offset, (east, north) in zip(offsets, self.normals.tolist(), strict=True)]

    @property
    def angle(self) -> float:
        """Direction of the longest edge, in radians: what buildings align with."""
        along = np.roll(self.corners, -1, axis=0) - self.corners
        longest = along[int(np.argmax(np.hypot(along[:, 0], along[:, 1])))]
        return math.atan2(longest[1], longest[0])


class Town:
    """The plan of the town.

    Args:
        seed: another seed is another town.
        spacing: mean distance between neighbouring blocks in metres.
        radius: distance in metres from the middle to the edge of the built-up area.
    """

    def __init__(self, seed: int, spacing: float, radius: float) -> None:
        self.seed, self.spacing, self.radius = seed, spacing, radius
        rng = stream(seed, 1)
        direction = rng.uniform(0, 2 * np.pi, 5)
        wavelength = rng.uniform(260, 900, 5)
        self._waves = np.stack([np.cos(direction) / wavelength, np.sin(direction) / wavelength]) * 2 * np.pi
        self._phases, self._heights = rng.uniform(0, 2 * np.pi, 5), wavelength * 0.006
        self._river_offset = float(rng.uniform(0.25, 0.5) * radius * rng.choice([-1, 1]))
        self._river_phases: list[float] = rng.uniform(0, 2 * np.pi, 3).tolist()
        self.river_half_width = float(rng.uniform(11, 17))
        # Asked for again and again by neighbouring chunks; bounded, because the town has no end.
        self.block = lru_cache(maxsize=4096)(self._make_block)
        self.site = lru_cache(maxsize=65536)(self._site)
        self.use = lru_cache(maxsize=65536)(self._use)
        self.street = lru_cache(maxsize=65536)(self._street)

    def terrain(self, x: FloatArray, y: FloatArray) -> Float32Array:
        """Height of the bare ground in metres on a grid: x (W,) and y (H,) give (H, W)."""
        height = np.zeros((len(y), len(x)), np.float32)
        for wave, amplitude in enumerate(self._heights):
            # sin(a + b) from the sines of the two axes: no sine a texel.
            east, north = x * self._waves[0, wave] + self._phases[wave], y * self._waves[1, wave]
            rows = (amplitude * np.sin(north)).astype(np.float32), (amplitude * np.cos(north)).astype(np.float32)
            height += rows[0][:, None] * np.cos(east).astype(np.float32)
            height += rows[1][:, None] * np.sin(east).astype(np.float32)
        return height

    def ground(self, x: float, y: float) -> float:
        """Height of the bare ground at one point."""
        waves = zip(
            self._waves[0].tolist(), self._waves[1].tolist(), self._phases.tolist(), self._heights.tolist(), strict=True
        )
        return math.fsum(height * math.sin(x * east + y * north + phase) for east, north, phase, height in waves)

    def river_distance(self, x: FloatArray, y: FloatArray) -> Float64Array:
        """Distance in metres from the river's bank; negative in the water; broadcasts."""
        a, b, c = self._river_phases
        t = np.asarray(x) / 100
        centre = self._river_offset + 60 * np.sin(t / 4.1 + a) + 22 * np.sin(t / 1.7 + b) + 6 * np.sin(t / 0.6 + c)
        slope = 0.146 * np.cos(t / 4.1 + a) + 0.129 * np.cos(t / 1.7 + b) + 0.1 * np.cos(t / 0.6 + c)
        return np.asarray(np.abs(np.asarray(y) - centre) / np.sqrt(1 + slope**2) - self.river_half_width)

    def to_river(self, x: float, y: float) -> float:
        """`river_distance` at one point."""
        a, b, c = self._river_phases
        t = x / 100
        centre = self._river_offset + 60 * math.sin(t / 4.1 + a) + 22 * math.sin(t / 1.7 + b) + 6 * math.sin(t / 0.6 + c)
        slope = 0.146 * math.cos(t / 4.1 + a) + 0.129 * math.cos(t / 1.7 + b) + 0.1 * math.cos(t / 0.6 + c)
        return float(abs(y - centre) / math.sqrt(1 + slope * slope) - self.river_half_width)

    def _site(self, i: int, j: int) -> tuple[float, float]:
        """Position of the site of lattice cell (i, j)."""
        shift = scramble(self.seed + 11, np.array([i, i]), np.array([2 * j, 2 * j + 1]))
        return (
            (i + _JITTER * (2 * float(shift[0]) - 1)) * self.spacing,
            (j + _JITTER * (2 * float(shift[1]) - 1)) * self.spacing,
        )

    def _use(self, i: int, j: int) -> Use:
        """What the block of a cell is used for; denser towards the town's middle."""
        x, y = self.site(i, j)
        wobble = float(scramble(self.seed + 12, np.array(i), np.array(j))) * 0.5 - 0.25
        zone = min(max(3.2 * (math.hypot(x, y) / self.radius + wobble) - 0.3, 0.0), 2.999)
        low, share = int(zone), zone - int(zone)
        chances = np.cumsum((1 - share) * _CHANCES[low] + share * _CHANCES[low + 1])
        draw = float(scramble(self.seed + 13, np.array(i), np.array(j))) * chances[-1]
        return Use(int(np.searchsorted(chances, draw, side="right")))

    def _street(self, a: tuple[int, int], b: tuple[int, int]) -> float:
        """Half the width in metres of the street between two neighbouring blocks; 0 for none."""
        low, high = sorted((a, b))
        key = np.array(low[0] * 4099 + low[1]), np.array(high[0] * 4099 + high[1])
        draw = float(scramble(self.seed + 14, *key))
        rural = sum(self.use(*cell) in (Use.FIELD, Use.FOREST, Use.ORCHARD, Use.WATER) for cell in (a, b))
        if rural == 2:
            return 2.6 if draw < 0.35 else 0.0
        if rural == 1:
            return 2.6 if draw < 0.5 else 3.4 if draw < 0.9 else 0.0
        return 6.5 if draw < 0.25 else 4.2 if draw < 0.9 else 3.2

    def cells_near(self, x: float, y: float, reach: float) -> list[tuple[int, int]]:
        """Cells whose blocks may come within `reach` metres of a point (in both axes)."""
        low_i, high_i = (math.floor((x + sign * reach) / self.spacing + sign * 1.2 + 0.5) for sign in (-1, 1))
        low_j, high_j = (math.floor((y + sign * reach) / self.spacing + sign * 1.2 + 0.5) for sign in (-1, 1))
        return [(i, j) for j in range(low_j, high_j + 1) for i in range(low_i, high_i + 1)]

    def _make_block(self, cell: tuple[int, int]) -> Block:
        i, j = cell
        x, y = self.site(i, j)
        reach = 2.5 * self.spacing
        corners = np.array([[x - reach, y - reach], [x + reach, y - reach], [x + reach, y + reach], [x - reach, y + reach]])
        owners: list[tuple[int, int] | None] = [None] * 4
        for di, dj in _NEAR:
            other = (i + di, j + dj)
            corners, owners = _clip(corners, owners, (x, y), self.site(*other), other)
        along = np.roll(corners, -1, axis=0) - corners
        normals = np.stack([along[:, 1], -along[:, 0]], axis=1) / np.hypot(along[:, 0], along[:, 1])[:, None]
        streets = np.array([0.0 if owner is None else self.street(cell, owner) for owner in owners])
        offsets = normals[:, 0] * corners[:, 0] + normals[:, 1] * corners[:, 1]
        return Block(cell, x, y, self.use(i, j), corners, normals, offsets, streets)


def _clip(
    corners: Float64Array,
    owners: list[tuple[int, int] | None],
    site: tuple[float, float],
    other_site: tuple[float, float],
    other: tuple[int, int],
) -> tuple[Float64Array, list[tuple[int, int] | None]]:
    """Cuts a convex polygon by the bisector of two sites (Sutherland and Hodgman 1974), keeping who made each edge."""
    normal = np.array([other_site[0] - site[0], other_site[1] - site[1]])
    middle = np.array([other_site[0] + site[0], other_site[1] + site[1]]) / 2
    side = (corners[:, 0] - middle[0]) * normal[0] + (corners[:, 1] - middle[1]) * normal[1]
    if (side <= 0).all():
        return corners, owners
    clipped: list[Float64Array] = []
    clipped_owners: list[tuple[int, int] | None] = []
    for index in range(len(corners)):
        following = (index + 1) % len(corners)
        here, there = side[index], side[following]
        if here <= 0:
            clipped.append(corners[index])
            clipped_owners.append(owners[index])
        if (here <= 0) != (there <= 0):
            share = here / (here - there)
            clipped.append(corners[index] + share * (corners[following] - corners[index]))
            # Leaving the half plane starts the new edge; entering it goes on along the old one.
            clipped_owners.append(other if here <= 0 else owners[index])
    return np.array(clipped), clipped_owners
