"""More than 8 bits, signed values, fractions, a fourth band: the image is seen, at the brightness that is stated."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cvgl.imaging import is_blank, open_rgb
from tests.data.bands import pattern, raster

PATTERN = pattern()


def likeness(data: bytes, channel: int = 0) -> tuple[float, int]:
    """Correlation of a decoded channel with the pattern, and how many levels it uses."""
    values = np.asarray(open_rgb(data), np.float64)[..., channel]
    return float(np.corrcoef(values.ravel(), PATTERN.ravel())[0, 1]), len(np.unique(values))


@pytest.mark.parametrize("bands", [1, 2, 3, 4, 5])
@pytest.mark.parametrize(
    ("kind", "most", "levels"),
    [
        ("uint16", 4095, 200),
        ("uint16", 1023, 200),
        ("uint16", 255, 200),
        ("uint16", 10_000, 200),
        ("int16", 3000, 200),
        ("int32", 100, 90),
        ("int32", 1_000_000, 200),
        ("uint32", 4_000_000_000, 200),
        ("float32", 1, 200),
        ("float32", 0.2, 200),
        ("float32", 255, 200),
        ("float32", 5000, 200),
        ("float64", 1, 200),
        ("int8", 127, 120),
    ],
)
def test_values_of_any_kind_become_an_image_and_no_black_one(kind: str, most: float, levels: int, bands: int) -> None:
    values = np.stack([(PATTERN * most).astype(kind)] * bands)
    similarity, used = likeness(raster(values))
    assert similarity > 0.99
    assert used >= levels


def test_a_range_that_is_filled_is_scaled_as_ever() -> None:
    values = (PATTERN * 65535).astype(np.uint16)
    for data in (raster(values[None]), raster(np.stack([values] * 3), photometric="RGB"), raster(np.stack([values] * 3))):
        assert np.array_equal(np.asarray(open_rgb(data))[..., 0], values >> 8)
    for data in (raster(values[None], "PNG"), raster(np.stack([values] * 3), "PNG")):
        assert np.array_equal(np.asarray(open_rgb(data))[..., 0], values >> 8)
    eight = (PATTERN * 255).astype(np.float32)
    assert np.array_equal(np.asarray(open_rgb(raster(eight[None])))[..., 0], eight.astype(np.uint8))


@pytest.mark.parametrize("driver", ["GTiff", "PNG", "JP2OpenJPEG"])
def test_twelve_bits_in_sixteen_are_not_cut_to_sixteen_levels(driver: str) -> None:
    options = {"photometric": "RGB"} if driver == "GTiff" else {}
    values = np.stack([(PATTERN * 4095).astype(np.uint16)] * 3)
    similarity, used = likeness(raster(values, driver, **options))
    assert similarity > 0.99
    assert used > 100


def test_what_is_missing_does_not_squeeze_what_is_there() -> None:
    values = (PATTERN * 3000).astype(np.float32)
    cases: list[tuple[float, dict[str, Any]]] = [
        (np.nan, {}),
        (np.inf, {}),
        (-9999, {}),
        (-9999, {"nodata": -9999}),
        (-3.4e38, {}),
        (7, {"nodata": 7}),
    ]
    for missing, options in cases:
        holed = values.copy()
        holed[:12] = missing
        image = np.asarray(open_rgb(raster(holed[None], **options)))[..., 0]
        assert len(np.unique(image[12:])) > 100, missing
        assert (image[:12] == 255).all(), missing


def test_a_flat_image_is_not_stretched_into_noise() -> None:
    values = (30_000 + PATTERN * 3).astype(np.int16)
    assert np.ptp(np.asarray(open_rgb(raster(values[None])))) < 16


@pytest.mark.parametrize("value", [0.0, 7.0, np.nan])
def test_one_value_everywhere_is_blank(value: float) -> None:
    assert is_blank(open_rgb(raster(np.full((1, 16, 16), value, np.float32))))
    assert not is_blank(open_rgb(raster(PATTERN[None].astype(np.float32))))


@pytest.mark.parametrize("driver", ["GTiff", "JP2OpenJPEG"])
@pytest.mark.parametrize("kind", ["uint8", "uint16"])
def test_near_infrared_that_is_called_alpha_hides_nothing(driver: str, kind: str) -> None:
    scale = {"uint8": 255, "uint16": 4095}[kind]
    bands = (np.stack([PATTERN, PATTERN, PATTERN, np.full_like(PATTERN, 0.3) + PATTERN / 4]) * scale).astype(kind)
    options = {"photometric": "RGB", "alpha": "YES"} if driver == "GTiff" else {}
    image = np.asarray(open_rgb(raster(bands, driver, **options)), np.float64)[..., 0]
    assert np.corrcoef(image.ravel(), PATTERN.ravel())[0, 1] > 0.99
    assert image.min() < 30


def test_a_mask_still_becomes_white_in_geotiff_and_png() -> None:
    alpha = np.full((48, 48), 255, np.uint8)
    alpha[:10], alpha[10] = 0, 128
    bands = np.stack([(PATTERN * 200).astype(np.uint8)] * 3 + [alpha])
    for driver in ("GTiff", "PNG"):
        image = np.asarray(open_rgb(raster(bands, driver)))
        assert (image[:10] == 255).all()
        assert np.array_equal(image[11:, :, 0], bands[0, 11:])


@pytest.mark.parametrize(
    "options",
    [
        {"compress": "lzw"},
        {"compress": "deflate", "predictor": 2},
        {"compress": "zstd"},
        {"compress": "lerc"},
        {"tiled": True, "blockxsize": 16, "blockysize": 16},
        {"interleave": "band"},
        {"BIGTIFF": "YES"},
    ],
)
def test_rasters_of_many_bands_however_they_are_packed(options: dict[str, Any]) -> None:
    bands = np.stack([PATTERN * 4000, PATTERN[::-1] * 4000, PATTERN.T * 4000, PATTERN * 9]).astype(np.uint16)
    image = np.asarray(open_rgb(raster(bands, **options)), np.float64)
    for channel, values in enumerate((PATTERN, PATTERN[::-1], PATTERN.T)):
        assert np.corrcoef(image[..., channel].ravel(), values.ravel())[0, 1] > 0.99


def test_webp_in_a_tiff_is_sound() -> None:
    bands = np.stack([(PATTERN * 255).astype(np.uint8)] * 3)
    assert likeness(raster(bands, compress="webp"))[0] > 0.98


def test_colours_are_found_by_their_meaning() -> None:
    from rasterio.enums import ColorInterp
    from rasterio.io import MemoryFile

    bands = np.stack([PATTERN * 10, PATTERN * 1000, PATTERN[::-1] * 1000, PATTERN.T * 1000]).astype(np.uint16)
    with MemoryFile() as file:
        with file.open(driver="GTiff", count=4, height=48, width=48, dtype="uint16", photometric="MINISBLACK") as target:
            target.write(bands)
            target.colorinterp = [ColorInterp.undefined, ColorInterp.blue, ColorInterp.green, ColorInterp.red]
        file.seek(0)
        image = np.asarray(open_rgb(bytes(file.read())), np.float64)
    assert np.corrcoef(image[..., 0].ravel(), PATTERN.T.ravel())[0, 1] > 0.99


def test_a_cut_raster_is_no_image() -> None:
    from cvgl.imaging import ImageError

    data = raster(np.random.default_rng(0).integers(0, 4000, (4, 64, 64)).astype(np.uint16), compress="lzw")
    for share in (0.2, 0.5, 0.8):
        with pytest.raises(ImageError):
            open_rgb(data[: int(len(data) * share)])


def test_turned_rasters_are_turned_upright_after_scaling() -> None:
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray((PATTERN[:, :24] * 900).astype(np.uint16)).save(stream, "TIFF", exif=exif)
    assert open_rgb(stream.getvalue()).size == (48, 24)
