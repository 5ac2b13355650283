"""Images of places seen by a drone that shows more ground than the tile, from any heading."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from tests.data.images import save

SHARE = 0.6
"""Of each side of the drone's image, that the tile shows."""


def ground(place: int, size: int = 120) -> Image.Image:
    """More ground than a tile shows."""
    cells = np.random.default_rng([7, place]).uniform(0, 255, (10, 10, 3)).astype(np.uint8)
    return Image.fromarray(cells).resize((size, size), Image.Resampling.BICUBIC)


def drone(place: int, view: int = 0) -> Image.Image:
    """The ground under another camera, turned by a heading of its own."""
    rng = np.random.default_rng([8, place, view])
    pixels = np.asarray(ground(place), np.float32) * rng.uniform(0.75, 0.9) + 20 + rng.normal(0, 5, (120, 120, 3))
    return Image.fromarray(np.rot90(pixels.clip(0, 255).astype(np.uint8), int(rng.integers(4))).copy())


def tile(place: int) -> Image.Image:
    edge = round(120 * (1 - SHARE) / 2)
    return ground(place).crop((edge, edge, 120 - edge, 120 - edge))


def unaligned(root: Path, train: int = 40, test: int = 0) -> Path:
    """Writes a University-1652 folder of such places: train/{drone,satellite}, test/{query_drone,gallery_satellite}."""
    for place in range(train + test):
        folders = ("train/drone", "train/satellite") if place < train else ("test/query_drone", "test/gallery_satellite")
        save(drone(place), root / folders[0] / f"{place:04d}" / "image-01.png")
        save(tile(place), root / folders[1] / f"{place:04d}" / f"{place:04d}.png")
    return root
