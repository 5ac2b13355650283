"""What lies in blocks without rows of buildings: parks, sports grounds, fields, forest, orchards, ponds."""

from __future__ import annotations

import math

import numpy as np

from cvgl.synthetic.buildings import flat, hall, pick, pitched
from cvgl.synthetic.objects import Material, Patch, Pattern
from cvgl.synthetic.site import CROPS, GRAVEL, LAWN, LEAVES, NEEDLES, PAVED, POND, SAND, Site, edges


def park(site: Site) -> None:
    """Lawns, paths, trees and sometimes a pond or a pavilion."""
    site.content.ground_colour = pick(site.rng, ((0.38, 0.47, 0.22), (0.44, 0.48, 0.26), (0.34, 0.43, 0.22)), 0.08)
    x, y = site.middle()
    path = pick(site.rng, (GRAVEL, PAVED, (0.72, 0.64, 0.52)))
    spokes = int(site.rng.integers(3, 7))
    turn = float(site.rng.uniform(0, math.pi))
    for spoke in range(spokes):
        angle = turn + 2 * math.pi * spoke / spokes
        site.add_path(
            (x, y), (x + 0.42 * site.town.spacing * math.cos(angle), y + 0.42 * site.town.spacing * math.sin(angle)), 1.6, path
        )
    draw = site.rng.random()
    radius = float(site.rng.uniform(8, 17))
    if draw < 0.45:
        site.content.patches.append(Patch(x, y, turn, radius * 1.3 + 1.5, radius + 1.5, Material.PAVING, path, Pattern.ELLIPSE))
        site.content.patches.append(Patch(x, y, turn, radius * 1.3, radius, Material.WATER, POND, Pattern.ELLIPSE))
        site.take(x, y, radius * 1.3)
    elif draw < 0.75:
        site.content.patches.append(Patch(x, y, turn, radius, radius, Material.PAVING, path, Pattern.ELLIPSE))
        site.content.patches.append(Patch(x, y, turn, radius * 0.6, radius * 0.6, Material.GRASS, LAWN, Pattern.ELLIPSE))
        site.take(x, y, radius)
    else:
        site.add_building(pitched(site.rng, 4.5), x, y, turn, 9, 6, "cross")
    site.street_trees(8, 3.2)
    site.scatter_trees(int(site.rng.integers(30, 120)), 2.4, 5.4)


def sports(site: Site) -> None:
    """A pitch, perhaps with a running track, courts and a club house."""
    site.content.ground_colour = pick(site.rng, (LAWN, (0.46, 0.48, 0.28)), 0.08)
    x, y = site.middle()
    angle = site.block.angle
    grass = pick(site.rng, ((0.30, 0.46, 0.20), (0.36, 0.50, 0.24)))
    for half_length, half_width in ((36.0, 24.0), (30.0, 20.0), (24.0, 15.0), (15.0, 10.0)):
        if site.box_fits(x, y, angle, half_length, half_width, 2):
            if half_length > 28 and site.rng.random() < 0.6:
                track = pick(site.rng, ((0.62, 0.32, 0.24), (0.30, 0.42, 0.55)))
                site.content.patches.append(Patch(x, y, angle, half_length, half_width, Material.PAVING, track, Pattern.TRACK))
                half_length, half_width = half_length - 11, half_width - 7.5
            site.content.patches.append(Patch(x, y, angle, half_length, half_width, Material.GRASS, grass, Pattern.PITCH))
            site.take_box(x, y, angle, half_length + 3, half_width + 3)
            break
    court = pick(site.rng, ((0.66, 0.36, 0.24), (0.28, 0.46, 0.42), (0.30, 0.40, 0.58)))
    for _ in range(12):
        court_x, court_y = site.random_point()
        if site.box_fits(court_x, court_y, angle, 12, 6.5, 1):
            site.content.patches.append(Patch(court_x, court_y, angle, 12, 6.5, Material.PAVING, court, Pattern.PITCH))
            site.take_box(court_x, court_y, angle, 12, 6.5)
    for _ in range(6):
        house_x, house_y = site.random_point()
        if site.box_fits(house_x, house_y, angle, 9, 5, 1):
            site.add_building(flat(site.rng, 4), house_x, house_y, angle, 9, 5)
            break
    site.add_car_parks(1)
    site.scatter_trees(45, 2.0, 4.0)


def field(site: Site) -> None:
    """One or two crops with furrows, a hedge, sometimes a farm."""
    content = site.content
    content.ground_material, content.ground_colour = Material.CROP, pick(site.rng, CROPS, 0.08)
    content.furrow_metres, content.furrow_angle = float(site.rng.uniform(2.5, 7)), site.block.angle
    x, y = site.middle()
    if site.rng.random() < 0.6:
        angle = site.block.angle + float(site.rng.normal(0, 0.1))
        half = float(site.rng.uniform(14, 32))
        shift = float(site.rng.uniform(10, 35))
        patch = Patch(
            x - shift * math.sin(angle),
            y + shift * math.cos(angle),
            angle,
            200,
            half,
            Material.CROP,
            pick(site.rng, CROPS, 0.08),
            Pattern.ROWS,
        )
        content.patches.append(patch)
    if site.rng.random() < 0.35:
        farm_x, farm_y = x + float(site.rng.uniform(-15, 15)), y + float(site.rng.uniform(-15, 15))
        content.patches.append(Patch(farm_x, farm_y, site.block.angle, 22, 17, Material.SOIL, GRAVEL))
        site.add_building(pitched(site.rng, 6), farm_x - 9, farm_y + 4, site.block.angle, 8, 5.5)
        site.add_building(hall(site.rng, 6), farm_x + 9, farm_y - 3, site.block.angle + math.pi / 2, 13, 6.5)
        site.scatter_trees(14, 2, 4)
    for start, along, normal, street, length in edges(site.block):
        if site.rng.random() < 0.35:
            for distance in np.arange(2, length - 2, float(site.rng.uniform(3.0, 9))):
                tree_x, tree_y = (float(value) for value in start + along * distance - normal * (street + 3))
                if site.block.room(tree_x, tree_y) > 0:
                    site.add_tree(tree_x, tree_y, float(site.rng.uniform(1.3, 3.6)))


def forest(site: Site) -> None:
    """Dense trees with clearings and a track."""
    site.content.ground_material, site.content.ground_colour = Material.GRASS, (0.24, 0.27, 0.16)
    needles = site.rng.random() < 0.4
    glades = [(*site.random_point(), float(site.rng.uniform(8, 24))) for _ in range(int(site.rng.integers(1, 4)))]
    for x, y, radius in glades:
        site.content.patches.append(
            Patch(x, y, 0.0, radius, radius * 0.8, Material.GRASS, pick(site.rng, (LAWN, (0.48, 0.46, 0.28))), Pattern.ELLIPSE)
        )
    site.add_path(site.random_point(), site.random_point(), 1.7, (0.58, 0.51, 0.40))
    x, y = site.middle()
    for row in np.arange(-75, 75, 5.2):
        for column in np.arange(-75, 75, 5.2):
            tree_x, tree_y = (float(value) for value in np.array([x + column, y + row]) + site.rng.uniform(-2.4, 2.4, 2))
            radius = float(site.rng.uniform(2.4, 4.4))
            if site.block.room(tree_x, tree_y) < 2 or site.town.to_river(tree_x, tree_y) < 2:
                continue
            if any(math.hypot(tree_x - glade_x, (tree_y - glade_y) * 1.2) < size for glade_x, glade_y, size in glades):
                continue
            site.add_tree(tree_x, tree_y, radius, NEEDLES if needles and site.rng.random() < 0.8 else LEAVES)


def orchard(site: Site) -> None:
    """Small trees in rows, or vines."""
    content = site.content
    content.ground_colour = pick(site.rng, ((0.44, 0.47, 0.25), (0.56, 0.50, 0.34)), 0.06)
    x, y = site.middle()
    angle, gap = site.block.angle, float(site.rng.uniform(6.5, 9.5))
    colour = LEAVES[int(site.rng.integers(len(LEAVES)))]
    if site.rng.random() < 0.4:
        content.ground_material, content.furrow_metres, content.furrow_angle = Material.CROP, 4.0, angle
        site.scatter_trees(10, 2, 4)
        site.add_building(pitched(site.rng, 3.5), x, y, angle, 6, 4)
        return
    for row in np.arange(-66, 66, gap):
        for column in np.arange(-66, 66, gap * 0.8):
            tree_x = x + column * math.cos(angle) - row * math.sin(angle)
            tree_y = y + column * math.sin(angle) + row * math.cos(angle)
            if site.free(tree_x, tree_y, 1, 3) and site.rng.random() < 0.93:
                site.add_tree(tree_x, tree_y, gap * 0.27 * float(site.rng.uniform(0.8, 1.2)), (colour,))


def water(site: Site) -> None:
    """A pond with a reed belt, a jetty and trees on its banks."""
    site.content.ground_colour = pick(site.rng, (LAWN, (0.42, 0.46, 0.25)), 0.06)
    x, y = site.middle()
    radius = min(site.block.room(x, y) - 6, 42.0)
    if radius > 8:
        angle, flatness = site.block.angle, float(site.rng.uniform(0.55, 0.95))
        water = pick(site.rng, (POND, (0.20, 0.32, 0.34), (0.24, 0.30, 0.22)))
        site.content.patches.append(
            Patch(
                x,
                y,
                angle,
                radius + 2.5,
                radius * flatness + 2.5,
                Material.SOIL,
                pick(site.rng, (SAND, (0.40, 0.42, 0.24))),
                Pattern.ELLIPSE,
            )
        )
        site.content.patches.append(Patch(x, y, angle, radius, radius * flatness, Material.WATER, water, Pattern.ELLIPSE))
        end = (x + 0.4 * radius * math.cos(angle), y + 0.4 * radius * math.sin(angle))
        site.add_path((x + radius * math.cos(angle), y + radius * math.sin(angle)), end, 1.2, (0.52, 0.44, 0.34))
        site.take(x, y, radius)
    for _ in range(5):
        house_x, house_y = site.random_point()
        if site.free(house_x, house_y, 7, 1):
            site.add_building(pitched(site.rng, 4), house_x, house_y, site.block.angle, 6, 4.5)
    site.scatter_trees(50, 2.0, 4.6)
