"""What stands in a block: one builder for each use, all drawing on the block's own random stream."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from cvgl.synthetic import open_land
from cvgl.synthetic.buildings import PITCHED_ROOFS, build, flat, hall, pick, pitched
from cvgl.synthetic.objects import BlockContent, Car, Colour, Material, Part, Patch, Roof
from cvgl.synthetic.site import ASPHALT, CARS, GRAVEL, LAWN, LEAVES, PAVED, POOL, Site, edges
from cvgl.synthetic.town import BRIDGE_HALF_WIDTH, Block, Town, Use


def fill(town: Town, block: Block) -> BlockContent:
    """Everything that stands in a block; the same block is always filled the same way."""
    site = Site(town, block)
    _BUILDERS[block.use](site)
    _park_along_streets(site)
    return site.content


def _park_along_streets(site: Site) -> None:
    """Cars at the kerb and on the road; the block owns the half of each street that is its own."""
    for start, along, normal, street, length in edges(site.block):
        if street < 3:
            continue
        angle = math.atan2(along[1], along[0])
        for distance in np.arange(10, length - 10, 6.5):
            draw = site.rng.random()
            if draw < 0.35:
                inset = street - 1.2 if draw < 0.28 else street * 0.45
                x, y = start + along * (distance + site.rng.uniform(-1, 1)) - normal * inset
                if street > BRIDGE_HALF_WIDTH or site.town.to_river(float(x), float(y)) > 2:
                    colour = CARS[int(site.rng.integers(len(CARS)))]
                    site.content.cars.append(Car(float(x), float(y), angle, float(site.rng.uniform(3.9, 5.2)), colour))


def _centre(site: Site) -> None:
    """Town houses wall to wall along the streets, a courtyard with trees and sheds behind them."""
    site.content.ground_material, site.content.ground_colour = Material.PAVING, pick(site.rng, (PAVED, GRAVEL, (0.5, 0.5, 0.5)))
    depth, storeys = float(site.rng.uniform(5.5, 7.5)), int(site.rng.integers(3, 6))
    roof = pick(site.rng, PITCHED_ROOFS)
    modern = site.rng.random() < 0.25
    for start, along, normal, street, length in edges(site.block):
        position = float(site.rng.uniform(4, 9))
        angle = math.atan2(along[1], along[0])
        while position < length - 8:
            half = min(float(site.rng.uniform(5, 12)), (length - position) / 2)
            x, y = start + along * (position + half) - normal * (street + 3 + depth)
            position += 2 * half
            if site.box_fits(float(x), float(y), angle, half - 0.5, depth - 1, 0.5):
                eave = 3.1 * (storeys + int(site.rng.integers(-1, 2)))
                colour = roof if site.rng.random() < 0.7 else None
                style = flat(site.rng, eave) if modern else pitched(site.rng, eave, colour)
                base = site.town.ground(float(x), float(y))
                long_side, wide = (half, depth) if half >= depth else (depth, half)
                turn = angle if half >= depth else angle + math.pi / 2
                site.content.parts += build(style, float(x), float(y), turn, long_side, wide, base)
        # Neighbours may touch, so the row is marked as taken only when it stands.
    for part in site.content.parts:
        site.take_box(part.x, part.y, part.angle, part.half_length, part.half_width)
    x, y = site.middle()
    if site.rng.random() < 0.6 and site.free(x, y, 9, 0):
        site.content.patches.append(Patch(x, y, site.block.angle, 12, 9, Material.GRASS, LAWN))
    elif site.free(x, y, 7, 0):
        site.add_building(flat(site.rng, 4.0), x, y, site.block.angle, 7, 5)
    _backyards(site)
    site.scatter_trees(30, 1.8, 3.6)


def _backyards(site: Site) -> None:
    """Sheds, garages, beds and parked cars that fill a courtyard."""
    rng, angle = site.rng, site.block.angle
    ground = pick(rng, (LAWN, GRAVEL, ASPHALT, (0.55, 0.45, 0.36)), 0.1)
    for _ in range(16):
        x, y = site.random_point()
        half_length, half_width = float(rng.uniform(3, 9)), float(rng.uniform(2.2, 4))
        turn = angle + math.pi / 2 * int(rng.integers(2))
        if not site.box_fits(x, y, turn, half_length, half_width, 14):
            continue
        draw = rng.random()
        if draw < 0.45:
            site.content.patches.append(Patch(x, y, turn, half_length + 2, half_width + 2, Material.GRASS, ground))
        elif draw < 0.85:
            style = flat(rng, float(rng.uniform(2.6, 6))) if rng.random() < 0.6 else pitched(rng, float(rng.uniform(3, 6)))
            site.add_building(style, x, y, turn, half_length, half_width)
        else:
            site.park_cars(x, y, turn, half_length, 3.2, 0.7)
            site.take_box(x, y, turn, half_length, 3)


def _lawns(site: Site, count: int) -> None:
    """Paths, playgrounds, beds and hedges in the green between large buildings."""
    rng = site.rng
    middle = site.middle()
    for _ in range(count):
        x, y = site.random_point()
        if not site.free(x, y, 3, 3):
            continue
        colour = pick(rng, ((0.72, 0.64, 0.46), (0.56, 0.36, 0.28), PAVED, (0.30, 0.38, 0.20), (0.50, 0.46, 0.30)), 0.1)
        half_length, half_width = float(rng.uniform(3, 11)), float(rng.uniform(2.5, 6))
        site.content.patches.append(Patch(x, y, site.block.angle, half_length, half_width, Material.PAVING, colour))
        if rng.random() < 0.7:
            site.add_path((x, y), middle, 1.0, PAVED)
        hedge_x, hedge_y = site.random_point()
        turn = site.block.angle + math.pi / 2 * int(rng.integers(2))
        if site.free(hedge_x, hedge_y, 6, 1):
            hedge = Patch(hedge_x, hedge_y, turn, 7, 0.7, Material.TREE, pick(rng, LEAVES, 0.1), rise=1.6)
            site.content.patches.append(hedge)


def _houses(site: Site) -> None:
    """Detached houses facing the streets in one or two rows, in gardens behind hedges."""
    rng = site.rng
    site.content.ground_colour = pick(rng, (LAWN, (0.42, 0.43, 0.27), (0.34, 0.39, 0.23)), 0.10)
    roof = pick(rng, PITCHED_ROOFS)
    lot = float(rng.uniform(15, 23))
    for start, along, normal, street, length in edges(site.block):
        angle = math.atan2(along[1], along[0])
        for position in np.arange(lot / 2 + 4, length - lot / 2, lot):
            place = start + along * position
            setback = street + float(rng.uniform(8.5, 12))
            x, y = (float(value) for value in place - normal * setback)
            if not site.free(x, y, 6.5, 0.5):
                continue
            _garden(site, place - normal * (setback + 14), angle, lot)
            _house(site, x, y, angle, roof)
            front = start + along * (position + 4) - normal * street
            site.add_path((float(front[0]), float(front[1])), (x, y), 1.4, pick(rng, (PAVED, GRAVEL, ASPHALT)))
            back_x, back_y = (float(value) for value in place - normal * (setback + 27))
            if rng.random() < 0.6 and site.free(back_x, back_y, 6.5, 0.5):
                site.add_path((back_x, back_y), (x, y), 1.3, pick(rng, (PAVED, GRAVEL)))
                _house(site, back_x, back_y, angle, roof)
    site.scatter_trees(int(rng.integers(25, 110)), 1.3, 4.0)


def _house(site: Site, x: float, y: float, angle: float, roof: Colour) -> None:
    """A house, often with a garage or shed at its side."""
    rng = site.rng
    turn = angle if rng.random() < 0.6 else angle + math.pi / 2
    style = pitched(rng, 3.0 * int(rng.integers(1, 3)) + 1, roof if rng.random() < 0.6 else None)
    footprint = "l" if rng.random() < 0.3 else "bar"
    site.add_building(style, x, y, turn, float(rng.uniform(5, 7.5)), float(rng.uniform(4, 5.2)), footprint)
    if rng.random() < 0.5:
        side = 9.5 * float(rng.choice([-1, 1]))
        shed_x, shed_y = x + side * math.cos(angle), y + side * math.sin(angle)
        if site.free(shed_x, shed_y, 2.0, 0):
            site.add_building(flat(rng, 2.6), shed_x, shed_y, angle, 3.2, 2.2)


def _garden(site: Site, middle: np.ndarray, angle: float, lot: float) -> None:
    """The ground behind a house: lawn, beds or gravel, a hedge, sometimes a pool."""
    rng = site.rng
    x, y = float(middle[0]), float(middle[1])
    half_length, half_width = lot / 2 - 0.4, 8.5
    ground = pick(rng, (LAWN, (0.46, 0.47, 0.28), (0.30, 0.38, 0.20), (0.50, 0.45, 0.33), GRAVEL), 0.10)
    if site.block.room(x, y) < 6:
        return
    site.content.patches.append(Patch(x, y, angle, half_length, half_width, Material.GRASS, ground))
    cosine, sine = math.cos(angle), math.sin(angle)
    for u, v, turn, reach in ((lot / 2, 0.0, angle + math.pi / 2, half_width), (0.0, half_width, angle, half_length)):
        if rng.random() < 0.6:
            hedge_x, hedge_y = x + u * cosine - v * sine, y + u * sine + v * cosine
            site.content.patches.append(
                Patch(hedge_x, hedge_y, turn, reach, 0.6, Material.TREE, pick(rng, LEAVES, 0.1), rise=1.8)
            )
    if rng.random() < 0.18:
        site.content.patches.append(Patch(x, y, angle, 4.2, 2.2, Material.WATER, POOL))
        site.take(x, y, 4)


def _towers(site: Site) -> None:
    """Slabs and towers in lawns, paths between them."""
    site.content.ground_colour = pick(site.rng, (LAWN, (0.45, 0.46, 0.28)), 0.08)
    angle = site.block.angle + (math.pi / 2 if site.rng.random() < 0.4 else 0)
    style = flat(site.rng, 3.0 * int(site.rng.integers(4, 10)))
    square = site.rng.random() < 0.35
    half_length, half_width = (10.0, 9.0) if square else (float(site.rng.uniform(16, 24)), float(site.rng.uniform(5.5, 7)))
    middle = site.middle()
    gap = half_width + float(site.rng.uniform(9, 13))
    for step in (0, 1, -1):
        x, y = middle[0] - step * 2 * gap * math.sin(angle), middle[1] + step * 2 * gap * math.cos(angle)
        if site.box_fits(x, y, angle, half_length, half_width, 2):
            site.add_path((x, y), middle, 1.5, PAVED)
            site.add_building(style, x, y, angle, half_length, half_width)
    _lawns(site, 9)
    site.add_car_parks(2)
    site.street_trees(9, 2.6)
    site.scatter_trees(int(site.rng.integers(20, 45)), 2.0, 4.5)


def _campus(site: Site) -> None:
    """One large building with wings: a school, town hall, hospital or church."""
    site.content.ground_colour = pick(site.rng, (LAWN, (0.40, 0.44, 0.24)), 0.08)
    angle = site.block.angle
    x, y = site.middle()
    footprint = ("l", "u", "t", "h", "court", "comb", "cross", "step")[int(site.rng.integers(8))]
    eave = 3.4 * int(site.rng.integers(2, 5))
    style = flat(site.rng, eave) if site.rng.random() < 0.5 else pitched(site.rng, eave)
    forecourt = pick(site.rng, (PAVED, GRAVEL, LAWN))
    for size in (1.0, 0.85, 0.7, 0.55, 0.42):
        half_length, half_width = 33 * size * float(site.rng.uniform(0.85, 1.1)), 25 * size
        if site.box_fits(x, y, angle, half_length, half_width, 3):
            material = Material.GRASS if forecourt[1] > forecourt[0] else Material.PAVING
            site.content.patches.append(Patch(x, y, angle, half_length + 3, half_width + 3, material, forecourt))
            site.add_building(style, x, y, angle, half_length, half_width, footprint)
            break
    _lawns(site, 8)
    site.add_car_parks(1)
    site.street_trees(8, 2.8)
    site.scatter_trees(int(site.rng.integers(20, 60)), 2.2, 4.8)


def _industry(site: Site) -> None:
    """Halls, yards, tanks."""
    site.content.ground_material, site.content.ground_colour = (
        Material.PAVING,
        pick(site.rng, ((0.52, 0.50, 0.48), GRAVEL), 0.06),
    )
    angle = site.block.angle
    for attempt in range(30):
        x, y = site.middle() if attempt == 0 else site.random_point()
        half_length, half_width = float(site.rng.uniform(12, 30)), float(site.rng.uniform(8, 17))
        if site.box_fits(x, y, angle, half_length, half_width, 3):
            site.add_building(hall(site.rng, float(site.rng.uniform(6, 11))), x, y, angle, half_length, half_width)
    for _ in range(int(site.rng.integers(0, 12))):
        x, y = site.random_point()
        radius = float(site.rng.uniform(3.5, 6.5))
        if site.free(x, y, radius, 2):
            colour = pick(site.rng, ((0.82, 0.82, 0.80), (0.62, 0.60, 0.56)))
            base = site.town.ground(x, y)
            height = float(site.rng.uniform(6, 12))
            site.content.parts.append(
                Part(x, y, 0.0, radius, radius, base, height, Roof.ROUND, 0.1, colour, colour, window=0.0)
            )
            site.take(x, y, radius)
    for _ in range(40):  # containers and stacks of goods
        x, y = site.random_point()
        turn = angle + math.pi / 2 * int(site.rng.integers(2))
        if site.box_fits(x, y, turn, 3.2, 1.3, 1):
            colour = pick(site.rng, (*CARS, (0.60, 0.36, 0.20), (0.24, 0.40, 0.34)), 0.1)
            base = site.town.ground(x, y)
            site.content.parts.append(Part(x, y, turn, 3.2, 1.3, base, 2.6, Roof.FLAT, 0.0, colour, colour, window=0.0))
            site.take_box(x, y, turn, 3.2, 1.3)
    _lawns(site, 5)
    site.add_car_parks(3)
    site.scatter_trees(12, 1.8, 3.5)


def _shops(site: Site) -> None:
    """A flat hall behind a car park."""
    site.content.ground_material, site.content.ground_colour = Material.ASPHALT, ASPHALT
    angle = site.block.angle
    x, y = site.middle()
    for size in (1.0, 0.8, 0.6):
        half_length, half_width = 28 * size, 13 * size
        shift = 17 * size
        hall_x, hall_y = x - shift * math.sin(angle), y + shift * math.cos(angle)
        park_x, park_y = x + shift * math.sin(angle), y - shift * math.cos(angle)
        if site.box_fits(hall_x, hall_y, angle, half_length, half_width, 1):
            site.add_building(hall(site.rng, 7), hall_x, hall_y, angle, half_length, half_width)
            if site.box_fits(park_x, park_y, angle, half_length, half_width, 0):
                site.add_car_park(park_x, park_y, angle, half_length, half_width)
            break
    site.street_trees(11, 2.2)
    site.add_car_parks(2)
    site.scatter_trees(16, 1.8, 3.0)


_BUILDERS: dict[Use, Callable[[Site], None]] = {
    Use.CENTRE: _centre,
    Use.HOUSES: _houses,
    Use.TOWERS: _towers,
    Use.CAMPUS: _campus,
    Use.INDUSTRY: _industry,
    Use.SHOPS: _shops,
    Use.PARK: open_land.park,
    Use.SPORTS: open_land.sports,
    Use.FIELD: open_land.field,
    Use.FOREST: open_land.forest,
    Use.ORCHARD: open_land.orchard,
    Use.WATER: open_land.water,
}
