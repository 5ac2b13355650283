"""Warps of images whose right answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image

from cvgl.features.warps import HORIZON_MARGIN, _half_side, middle, to_nadir, to_polar, turned_middle


def smooth(size: int = 96, seed: int = 0) -> Image.Image:
    cells = np.random.default_rng(seed).uniform(0, 255, (5, 5, 3)).astype(np.uint8)
    return Image.fromarray(cells).resize((size, size), Image.Resampling.BICUBIC)


def values(image: Image.Image) -> np.ndarray:
    return np.asarray(image, np.float32)


def ground_colour(right: np.ndarray, forward: np.ndarray) -> np.ndarray:
    """A smooth checkerboard on the ground, in units of the camera's height."""
    board = np.sin(right * 6) * np.sin(forward * 6 + 0.5)
    return (127.5 + 120 * np.stack([board, np.sin(right * 3), np.sin(forward * 3)], axis=-1)).astype(np.float32)


def rendered(width: int, height: int, tilt: float, field_of_view: float) -> Image.Image:
    """What a tilted pinhole camera sees of that ground: traced ray by ray, independently of the code under test."""
    focal = height / 2 / math.tan(math.radians(field_of_view) / 2)
    across = (np.arange(width) + 0.5 - width / 2)[None, :] / focal * np.ones((height, 1))
    up = (height / 2 - np.arange(height) - 0.5)[:, None] / focal * np.ones((1, width))
    sine, cosine = math.sin(math.radians(tilt)), math.cos(math.radians(tilt))
    down, forward = cosine - sine * up, sine + cosine * up
    ground = down > 1e-3
    down = np.where(ground, down, 1.0)
    colour = ground_colour(across / down, forward / down)
    colour[~ground] = 255  # sky
    return Image.fromarray(colour.clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize(
    ("size", "tilt", "field"), [((240, 240), 20, 60), ((320, 240), 35, 60), ((240, 300), 50, 40), ((400, 240), 65, 60)]
)
def test_an_oblique_checkerboard_comes_back_as_seen_from_above(size: tuple[int, int], tilt: float, field: float) -> None:
    side = min(size)
    rectified = values(to_nadir(rendered(*size, tilt, field), tilt, field))
    half = _half_side(size, tilt, field)
    places = ((np.arange(side) + 0.5) / side * 2 - 1) * half
    expected = ground_colour(
        places[None, :] * np.ones((side, 1)), math.tan(math.radians(tilt)) - places[:, None] * np.ones((1, side))
    )
    assert rectified.shape == (side, side, 3)
    assert np.abs(rectified - expected)[4:-4, 4:-4].mean() < 4, "a right rectification differs by resampling alone"


@pytest.mark.parametrize("size", [(200, 200), (300, 200), (120, 200)])
def test_no_tilt_is_the_square_in_the_middle(size: tuple[int, int]) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    assert np.array_equal(values(to_nadir(image, 0, 60)), values(middle(image, min(size), min(size))))


def test_a_little_tilt_is_nearly_the_square_in_the_middle() -> None:
    image = smooth(100)
    assert np.abs(values(to_nadir(image, 0.5, 60)) - values(image)).mean() < 3


@pytest.mark.parametrize("tilt", [10, 40, 60, 70])
def test_the_square_lies_within_the_image_and_below_the_horizon(tilt: float) -> None:
    """An image without sky below the margin gives a square without it."""
    rectified = rendered(300, 200, tilt, 60)
    sky = Image.fromarray(np.where((values(rectified) == 255).all(-1, keepdims=True), 255, 0).astype(np.uint8).repeat(3, -1))
    assert values(to_nadir(sky, tilt, 60)).max() == 0
    assert math.tan(math.radians(tilt)) + _half_side((300, 200), tilt, 60) <= math.tan(math.radians(90 - HORIZON_MARGIN)) + 1e-9


@pytest.mark.parametrize("eighth", range(8))
def test_a_line_from_the_middle_is_a_column_of_the_polar_image(eighth: int) -> None:
    side = 128
    rows, columns = np.mgrid[:side, :side] + 0.5 - side / 2
    azimuth = np.arctan2(columns, -rows)
    line = np.abs((azimuth - eighth * math.pi / 4 + math.pi) % (2 * math.pi) - math.pi) < 0.06
    polar = values(to_polar(Image.fromarray((255 * line).astype(np.uint8)).convert("RGB")))[..., 0]
    assert polar.shape == (side // 2, 2 * side)
    far = polar[: side // 4].mean(0)  # the near half of a thin line is less than a pixel wide
    centre = np.angle((far * np.exp(1j * (np.arange(2 * side) + 0.5) * math.pi / side)).sum())
    assert abs((centre - eighth * math.pi / 4 + math.pi) % (2 * math.pi) - math.pi) < 0.03


def test_the_top_of_the_polar_image_is_far_and_its_bottom_is_the_middle() -> None:
    side = 64
    rows, columns = np.mgrid[:side, :side] + 0.5 - side / 2
    distance = np.hypot(rows, columns) / (side / 2)
    polar = values(to_polar(Image.fromarray((255 * np.minimum(distance, 1)).astype(np.uint8)).convert("RGB")))[..., 0]
    assert polar.mean(1) == pytest.approx(255 * (1 - (np.arange(side // 2) + 0.5) / (side // 2)), abs=4)


def test_turning_the_tile_shifts_its_polar_image() -> None:
    tile = smooth(96)
    upright, turned = values(to_polar(tile)), values(to_polar(tile.transpose(Image.Transpose.ROTATE_90)))
    assert np.abs(np.roll(upright, -upright.shape[1] // 4, axis=1) - turned).mean() < 2


def test_two_eighths_make_a_quarter() -> None:
    tile = smooth(96)
    twice = turned_middle(turned_middle(tile, 96, 45), 60, 45)
    quarter = middle(tile.transpose(Image.Transpose.ROTATE_90), 60, 60)
    assert np.abs(values(twice) - values(quarter))[8:-8, 8:-8].mean() < 3


def test_turning_keeps_the_scale_and_uses_the_tile_around_a_crop() -> None:
    """A crop of 0.7 turns into what the whole tile shows there; only beyond its edges it is mirrored."""
    tile = smooth(100)
    cut = values(turned_middle(tile, 60, 45))
    whole = values(middle(tile.rotate(45, Image.Resampling.BICUBIC), 60, 60))
    assert np.abs(cut - whole).mean() < 1
    assert values(turned_middle(Image.new("RGB", (50, 50), "white"), 50, 45)).min() > 250, "no black corners"


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (7, 3)])
def test_tiny_images_survive_every_warp(size: tuple[int, int]) -> None:
    image = Image.new("RGB", size, (10, 20, 30))
    for warped in (to_nadir(image, 40, 60), to_polar(image), turned_middle(image, min(size), 45)):
        assert min(warped.size) >= 1
        assert np.abs(values(warped) - (10, 20, 30)).max() <= 1
