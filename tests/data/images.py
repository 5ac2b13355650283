"""Small images that look different from place to place and alike between the views of one place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def place_image(place: int, view: int = 0, size: int = 48) -> Image.Image:
    """A smooth colour pattern for a place; `view` > 0 shifts, dims and roughens it as another camera would."""
    cells = np.random.default_rng(place).uniform(0, 255, (6, 6, 3)).astype(np.uint8)
    image = Image.fromarray(cells).resize((size, size), Image.Resampling.BICUBIC)
    if view == 0:
        return image
    rng = np.random.default_rng([place, view])
    shifted = np.roll(np.asarray(image, np.float32), rng.integers(-2, 3, 2), (0, 1))
    values = shifted * rng.uniform(0.7, 0.9) + 25 + rng.normal(0, 6, shifted.shape)
    return Image.fromarray(values.clip(0, 255).astype(np.uint8))


def save(image: Image.Image, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, quality=92)
    return path


def university1652(root: Path, train: int = 6, test: int = 5, distractors: int = 2, views: int = 3, size: int = 48) -> Path:
    """Writes a University-1652 folder: train/{drone,satellite}, test/{query,gallery}_{drone,satellite}."""

    def write(folder: str, place: int, satellite: bool, first_view: int = 1) -> None:
        name = f"{place:04d}"
        if satellite:
            save(place_image(place, 0, size), root / folder / name / f"{name}.jpg")
            return
        for view in range(first_view, first_view + views):
            save(place_image(place, view, size), root / folder / name / f"image-{view:02d}.jpeg")

    for place in range(train):
        write("train/satellite", place, satellite=True)
        write("train/drone", place, satellite=False)
    for place in range(train, train + test):
        write("test/gallery_satellite", place, satellite=True)
        write("test/query_satellite", place, satellite=True)
        write("test/query_drone", place, satellite=False)
        write("test/gallery_drone", place, satellite=False)
    for place in range(train + test, train + test + distractors):
        write("test/gallery_satellite", place, satellite=True)
        write("test/gallery_drone", place, satellite=False)
    return root
