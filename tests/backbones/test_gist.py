"""The weight-free descriptor: what it must be blind to, and what it must see."""

from __future__ import annotations

import colorsys
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from cvgl import backbones
from cvgl.backbones.colour import to_lab
from cvgl.backbones.gabor import energies, filter_bank, prefilter
from cvgl.config import BackboneConfig, Facet, Pooling
from cvgl.errors import ConfigError
from cvgl.types import Embedder
from tests.data.images import place_image


@pytest.fixture(scope="module")
def gist() -> Embedder:
    return backbones.load(BackboneConfig())


def described(gist: Embedder, *images: Image.Image) -> np.ndarray:
    return gist.embed(np.stack([gist.prepare(image) for image in images]))


def stripes(angle_degrees: float, period: float = 8.0, size: int = 128) -> np.ndarray:
    """(1, size, size): a grating whose brightness changes along `angle_degrees`."""
    rows, columns = np.mgrid[:size, :size]
    angle = np.deg2rad(angle_degrees)
    phase = columns * np.cos(angle) + rows * np.sin(angle)
    return np.asarray((0.5 + 0.3 * np.sin(2 * np.pi * phase / period))[None].astype(np.float32))


def test_rows_are_float32_and_of_unit_length(gist: Embedder) -> None:
    rows = described(gist, *(place_image(place) for place in range(6)))
    assert rows.shape == (6, gist.dimension)
    assert rows.dtype == np.float32
    assert np.linalg.norm(rows, axis=1) == pytest.approx(np.ones(6), abs=1e-5)


def test_another_camera_s_image_of_a_place_is_nearest_to_that_place(gist: Embedder) -> None:
    places = range(40)
    queries = described(gist, *(place_image(place, view=1, size=128) for place in places))
    references = described(gist, *(place_image(place, size=128) for place in places))
    assert ((queries @ references.T).argmax(1) == np.arange(40)).mean() >= 0.95


def test_a_row_does_not_depend_on_its_neighbours(gist: Embedder) -> None:
    images = [place_image(place) for place in range(9)]
    assert np.array_equal(described(gist, *images)[5:6], described(gist, images[5]))


@pytest.mark.parametrize("image", [Image.new("RGB", (40, 40), colour) for colour in ("black", "white", "gray")])
def test_a_uniform_image_still_has_a_descriptor(gist: Embedder, image: Image.Image) -> None:
    row = described(gist, image)
    assert np.isfinite(row).all()
    assert np.linalg.norm(row) == pytest.approx(1, abs=1e-5)


def test_an_empty_batch_gives_no_rows(gist: Embedder) -> None:
    assert gist.embed(np.zeros((0, 3, 128, 128), np.float32)).shape == (0, gist.dimension)


def test_the_filter_along_a_grating_answers_strongest() -> None:
    bank = filter_bank(128)
    for index, angle in enumerate((0.0, 45.0, 90.0)):
        cells = energies(prefilter(stripes(angle), bank), bank)[0].mean((-1, -2))
        strongest = cells[1].argmax()
        # Filters 0, 2, 4 of 8 stand at 0, 45, 90 degrees (mirrored: rows count downward).
        assert strongest in {(-2 * index) % 8, 2 * index}


def test_fine_gratings_excite_fine_scales_and_coarse_ones_coarse_scales() -> None:
    bank = filter_bank(128)
    by_period = [
        energies(prefilter(stripes(0, period), bank), bank)[0, :, 0].mean((-1, -2)) for period in (3.4, 6.2, 11.4, 21.0)
    ]
    assert [int(cells.argmax()) for cells in by_period] == [0, 1, 2, 3]


def test_a_coarser_grid_changes_energies_by_little() -> None:
    bank = filter_bank(128)
    filtered = prefilter(np.random.default_rng(0).uniform(0, 1, (2, 128, 128)).astype(np.float32), bank)
    filters, reduction = bank.scales[2]
    assert reduction == 2
    padded = filtered.shape[-1]
    widened = np.zeros((padded, padded), np.float32)
    frequencies = np.r_[0 : padded // 4, padded - padded // 4 : padded]
    widened[np.ix_(frequencies, frequencies)] = filters[3]
    full = np.abs(np.fft.ifft2(np.fft.fft2(filtered) * widened))[:, bank.margin : -bank.margin, bank.margin : -bank.margin]
    expected = full.reshape(2, 4, 32, 4, 32).mean((2, 4))
    assert energies(filtered, bank)[:, 2, 3] == pytest.approx(expected, rel=0.03)


def test_exposure_hardly_changes_structure() -> None:
    light = np.random.default_rng(1).uniform(0.2, 0.9, (1, 128, 128)).astype(np.float32)
    bank = filter_bank(128)
    bright, dark = (energies(prefilter(light * factor, bank), bank).ravel() for factor in (1.0, 0.5))
    assert bright @ dark / np.linalg.norm(bright) / np.linalg.norm(dark) > 0.999


def test_lab_agrees_with_published_values() -> None:
    colours = {
        (1, 1, 1): (100, 0, 0),
        (0, 0, 0): (0, 0, 0),
        (1, 0, 0): (53.24, 80.09, 67.20),
        (0, 0, 1): (32.30, 79.19, -107.86),
    }
    for rgb, expected in colours.items():
        lab = to_lab(np.array(rgb, np.float32).reshape(1, 3, 1, 1)).ravel()
        assert lab == pytest.approx(expected, abs=0.06)


def test_colour_tells_apart_what_structure_cannot(gist: Embedder) -> None:
    base = np.asarray(place_image(3).convert("L"), np.float32) / 255
    tinted = []
    for hue in (0.33, 0.0):
        tint = np.array(colorsys.hsv_to_rgb(hue, 0.6, 1.0), np.float32)
        tinted.append(Image.fromarray((base[..., None] * tint * 255).astype(np.uint8)))
    rows = described(gist, *tinted)
    assert rows[0] @ rows[1] < 0.85


@pytest.mark.parametrize(
    "config",
    [
        BackboneConfig(checkpoint="weights.safetensors"),
        BackboneConfig(layers=(1,)),
        BackboneConfig(facet=Facet.VALUE),
        BackboneConfig(pooling=Pooling.MAX),
        BackboneConfig(image_size=100),
        BackboneConfig(preprocessing="released"),
        BackboneConfig(preprocessing="native", resize=512),
        BackboneConfig(position_resampling="released"),
        BackboneConfig(final_norm=True),
    ],
)
def test_settings_without_a_meaning_are_refused(config: BackboneConfig) -> None:
    with pytest.raises(ConfigError, match="gist"):
        backbones.load(config)


def test_another_size_works_and_has_another_identity(gist: Embedder) -> None:
    small = backbones.load(BackboneConfig(image_size=64))
    assert described(small, place_image(0)).shape == (1, gist.dimension)
    assert small.identity != gist.identity


def test_neither_torch_nor_timm_is_imported() -> None:
    code = "import sys; from cvgl import backbones; from cvgl.config import BackboneConfig; backbones.load(BackboneConfig());"
    code += "sys.exit('torch' in sys.modules or 'timm' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
