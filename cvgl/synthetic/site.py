"""A block while it is being filled: palettes, what room is left, and the things that many uses share."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from cvgl.synthetic.buildings import Style, build, pick
from cvgl.synthetic.noise import stream
from cvgl.synthetic.objects import BlockContent, Car, Colour, Material, Patch, Pattern, Tree
from cvgl.synthetic.town import Block, Town

if TYPE_CHECKING:
    from collections.abc import Sequence

LAWN: Colour = (0.36, 0.44, 0.22)
ASPHALT: Colour = (0.37, 0.37, 0.38)
PAVED: Colour = (0.60, 0.57, 0.52)
GRAVEL: Colour = (0.64, 0.58, 0.48)
POND: Colour = (0.16, 0.25, 0.26)
POOL: Colour = (0.25, 0.62, 0.70)
SAND: Colour = (0.74, 0.66, 0.48)
LEAVES: tuple[Colour, ...] = (
    (0.20, 0.31, 0.13),
    (0.26, 0.36, 0.15),
    (0.16, 0.27, 0.14),
    (0.30, 0.36, 0.16),
    (0.22, 0.33, 0.19),
)
NEEDLES: tuple[Colour, ...] = ((0.12, 0.22, 0.13), (0.14, 0.25, 0.16))
CROPS: tuple[Colour, ...] = (
    (0.38, 0.48, 0.20),
    (0.72, 0.63, 0.36),
    (0.55, 0.45, 0.32),
    (0.62, 0.64, 0.28),
    (0.30, 0.40, 0.18),
    (0.46, 0.36, 0.26),
    (0.66, 0.58, 0.42),
    (0.78, 0.74, 0.30),
)
CARS: tuple[Colour, ...] = (
    (0.88, 0.88, 0.88),
    (0.12, 0.12, 0.13),
    (0.45, 0.46, 0.48),
    (0.68, 0.69, 0.70),
    (0.55, 0.12, 0.10),
    (0.14, 0.20, 0.42),
    (0.70, 0.60, 0.30),
)


class Site:
    """A block while it is being filled: knows what room is left."""

    def __init__(self, town: Town, block: Block) -> None:
        self.town, self.block = town, block
        self.rng = stream(town.seed, 2, *block.cell)
        self.content = BlockContent(centre=self.middle())
        self._taken: list[tuple[float, float, float]] = []

    def middle(self) -> tuple[float, float]:
        """Centre of the block's corners: better in the middle than the site."""
        x, y = self.block.corners.mean(axis=0)
        return float(x), float(y)

    def free(self, x: float, y: float, radius: float, margin: float = 2.0) -> bool:
        """Whether a disc fits: inside the kerbs, out of the river, clear of what stands here."""
        if self.block.room(x, y) < radius + margin:
            return False
        if self.town.to_river(x, y) < radius + 3:
            return False
        return all(math.hypot(x - other_x, y - other_y) >= radius + other for other_x, other_y, other in self._taken)

    def take(self, x: float, y: float, radius: float) -> None:
        """Marks a circle as occupied."""
        self._taken.append((x, y, radius))

    def take_box(self, x: float, y: float, angle: float, half_length: float, half_width: float) -> None:
        """Marks a rectangle as taken, as a row of discs."""
        count = max(1, round(half_length / max(half_width, 1)))
        for step in range(count):
            along = ((2 * step + 1) / count - 1) * half_length
            radius = math.hypot(half_width, half_length / count)
            self.take(x + along * math.cos(angle), y + along * math.sin(angle), radius)

    def box_fits(self, x: float, y: float, angle: float, half_length: float, half_width: float, margin: float = 1.5) -> bool:
        """Whether a rectangle fits, judged at its corners and edge middles."""
        for u in (-1, 0, 1):
            for v in (-1, 0, 1):
                point_x = x + u * half_length * math.cos(angle) - v * half_width * math.sin(angle)
                point_y = y + u * half_length * math.sin(angle) + v * half_width * math.cos(angle)
                if not self.free(point_x, point_y, 0.0, margin):
                    return False
        return True

    def random_point(self) -> tuple[float, float]:
        """A random point within the block's bounding box."""
        low, high = self.block.corners.min(axis=0), self.block.corners.max(axis=0)
        x, y = self.rng.uniform(low, high)
        return float(x), float(y)

    def add_building(
        self, style: Style, x: float, y: float, angle: float, half_length: float, half_width: float, footprint: str = "bar"
    ) -> None:
        """Puts a building up, beside or over other things but never in a street or the river."""
        parts = build(style, x, y, angle, half_length, half_width, self.town.ground(x, y), footprint)
        if any(self.block.room(part.x, part.y) < 2 or self.town.to_river(part.x, part.y) < 8 for part in parts):
            return
        self.content.parts += parts
        self.take_box(x, y, angle, half_length, half_width)

    def add_tree(self, x: float, y: float, radius: float, palette: Sequence[Colour] = LEAVES) -> None:
        """Plants a tree."""
        colour = pick(self.rng, tuple(palette), 0.1)
        self.content.trees.append(
            Tree(x, y, self.town.ground(x, y), radius, radius * float(self.rng.uniform(1.7, 2.6)), colour)
        )

    def scatter_trees(
        self, count: int, low: float, high: float, palette: Sequence[Colour] = LEAVES, margin: float = -1.0
    ) -> None:
        """Tries to plant `count` trees where there is room."""
        for _ in range(count):
            x, y = self.random_point()
            radius = float(self.rng.uniform(low, high))
            if self.free(x, y, radius * 0.7, margin):
                self.add_tree(x, y, radius, palette)
                self.take(x, y, radius * 0.5)

    def street_trees(self, gap: float, radius: float) -> None:
        """A row of trees along each street."""
        for start, along, normal, street, length in edges(self.block):
            if street <= 0 or self.rng.random() < 0.35:
                continue
            for step in range(1, int(length / gap)):
                x, y = start + along * step * gap - normal * (street + 2.6)
                if self.block.room(x, y) > 1.0 and self.free(float(x), float(y), 0.5, 0.5):
                    self.add_tree(float(x), float(y), radius * float(self.rng.uniform(0.8, 1.2)))

    def park_cars(self, x: float, y: float, angle: float, half_length: float, half_width: float, share: float) -> None:
        """Rows of cars in the bays of a car park."""
        cosine, sine = math.cos(angle), math.sin(angle)
        for v in np.arange(-half_width + 3, half_width - 2, 5.2):
            for u in np.arange(-half_length + 2, half_length - 1.5, 2.6):
                if self.rng.random() < share:
                    colour = CARS[int(self.rng.integers(len(CARS)))]
                    self.content.cars.append(
                        Car(x + u * cosine - v * sine, y + u * sine + v * cosine, angle + math.pi / 2, 4.4, colour)
                    )

    def add_car_park(self, x: float, y: float, angle: float, half_length: float, half_width: float) -> None:
        """Paves a rectangle, paints its bays and parks cars in them."""
        self.content.patches.append(Patch(x, y, angle, half_length, half_width, Material.ASPHALT, ASPHALT, Pattern.STALLS))
        self.park_cars(x, y, angle, half_length, half_width, float(self.rng.uniform(0.25, 0.8)))
        self.take_box(x, y, angle, half_length, half_width)

    def add_car_parks(self, count: int) -> None:
        """Looks for room for some small car parks."""
        for _ in range(count * 4):
            x, y = self.random_point()
            half_length, half_width = float(self.rng.uniform(8, 16)), float(self.rng.choice([5.5, 8.0]))
            if self.box_fits(x, y, self.block.angle, half_length, half_width, 1):
                self.add_car_park(x, y, self.block.angle, half_length, half_width)
                count -= 1
                if count == 0:
                    return

    def add_path(self, start: tuple[float, float], end: tuple[float, float], half_width: float, colour: Colour) -> None:
        """Paves a straight path between two points."""
        length = math.hypot(end[0] - start[0], end[1] - start[1])
        angle = math.atan2(end[1] - start[1], end[0] - start[0])
        x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
        self.content.patches.append(Patch(x, y, angle, length / 2, half_width, Material.PAVING, colour))


def edges(block: Block) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, float, float]]:
    """(start, unit direction, outward normal, half street, length) of each edge of a block."""
    result = []
    for index in range(len(block.corners)):
        start, end = block.corners[index], block.corners[(index + 1) % len(block.corners)]
        length = float(np.hypot(*(end - start)))
        if length > 1e-6:
            result.append((start, (end - start) / length, block.normals[index], float(block.streets[index]), length))
    return result
