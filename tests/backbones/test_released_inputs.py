"""How images become the input of released models."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from cvgl.backbones.released.inputs import HALVES, IMAGENET, ReleasedInput, Way, resized_linearly, unrolled


def noise(height: int, width: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def levels(inputs: ReleasedInput, image: Image.Image) -> np.ndarray:
    """The input's colours as (H, W, 3) from 0 to 255."""
    mean, deviation = (np.array(colour)[:, None, None] for colour in inputs.colours)
    return np.asarray(((inputs(image) * deviation + mean) * 255).transpose(1, 2, 0))


@pytest.mark.parametrize(("height", "width"), [(37, 61), (5, 9), (200, 150), (1, 1), (64, 50)])
def test_linear_resizing_is_that_of_opencv(height: int, width: int) -> None:
    """OpenCV's and torch's (without antialiasing) take the same four pixels."""
    values = np.array(noise(64, 50))
    expected = F.interpolate(
        torch.from_numpy(values).permute(2, 0, 1)[None].float(), (height, width), mode="bilinear", antialias=False
    )[0].permute(1, 2, 0)
    assert np.abs(resized_linearly(values, height, width) - expected.numpy()).max() <= 0.51


def test_linear_resizing_does_not_antialias() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::4] = 255
    assert set(np.unique(resized_linearly(stripes, 16, 16))) != {64}
    assert resized_linearly(stripes, 64, 64) is stripes


def test_unrolling_is_the_released_formula() -> None:
    tile = np.asarray(noise(40, 40)).astype(np.float64)
    panorama = unrolled(tile.astype(np.uint8), 12, 30)
    for i, j in ((0, 0), (3, 7), (11, 29), (6, 15), (0, 22)):
        x = 40 / 2 + 40 / 2 / 12 * (12 - 1 - i) * np.cos(2 * np.pi * j / 30)
        y = 40 / 2 - 40 / 2 / 12 * (12 - 1 - i) * np.sin(2 * np.pi * j / 30)
        x0, y0 = int(x), int(y)

        def at(row: int, column: int) -> np.ndarray:
            return tile[row, column] if row < 40 and column < 40 else np.zeros(3)

        mixed = (x0 + 1 - x) * (y0 + 1 - y) * at(x0, y0) + (x - x0) * (y0 + 1 - y) * at(x0 + 1, y0)
        mixed = mixed + (x0 + 1 - x) * (y - y0) * at(x0, y0 + 1) + (x - x0) * (y - y0) * at(x0 + 1, y0 + 1)
        assert np.abs(panorama[i, j] - np.floor(mixed)).max() <= 1


def test_unrolled_tiles_have_south_first_then_west_and_far_on_top() -> None:
    quarters = np.zeros((100, 100, 3), np.uint8)
    quarters[90:, 40:60] = (255, 0, 0)  # south
    quarters[40:60, :10] = (0, 255, 0)  # west
    quarters[:10, 40:60] = (0, 0, 255)  # north
    panorama = unrolled(quarters, 50, 80)
    assert panorama[2, 0].tolist() == [255, 0, 0]
    assert panorama[2, 20].tolist() == [0, 255, 0]
    assert panorama[2, 40].tolist() == [0, 0, 255]
    assert (panorama[25:] == 0).all(), "what is near the middle"


def test_panoramas_are_whole_and_spheres_cut_to_their_middle() -> None:
    inputs = ReleasedInput(122, 671, Way.PANORAMA, HALVES)
    flat = noise(224, 1232)
    expected = np.asarray(flat.resize((671, 122), Image.Resampling.BILINEAR))
    assert levels(inputs, flat) == pytest.approx(expected, abs=1e-2)
    sphere = Image.new("RGB", (1664, 832), (255, 0, 0))
    sphere.paste((0, 255, 0), (0, 208, 1664, 624))
    assert levels(inputs, sphere) == pytest.approx(np.broadcast_to([0, 255, 0], (122, 671, 3)), abs=1e-2)


@pytest.mark.parametrize(
    ("way", "resampling"), [(Way.BICUBIC, Image.Resampling.BICUBIC), (Way.BILINEAR, Image.Resampling.BILINEAR)]
)
def test_pillow_s_filters_are_what_torchvision_uses(way: Way, resampling: Image.Resampling) -> None:
    image = noise(90, 130)
    assert levels(ReleasedInput(32, 48, way), image) == pytest.approx(np.asarray(image.resize((48, 32), resampling)), abs=1e-2)


@pytest.mark.parametrize("way", Way)
@pytest.mark.parametrize("size", [(1, 1), (3, 200), (200, 3), (48, 48)])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_any_image_becomes_an_input(way: Way, size: tuple[int, int], mode: str) -> None:
    pixels = ReleasedInput(20, 30, way, IMAGENET)(Image.new(mode, size, 255))
    assert pixels.shape == (3, 20, 30)
    assert pixels.dtype == np.float32
    assert np.isfinite(pixels).all()
    assert pixels.flags["C_CONTIGUOUS"]
