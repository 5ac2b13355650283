"""The one opener: every mode becomes RGB, upright; everything that is no whole image is refused."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cvgl import imaging
from cvgl.errors import DataError
from cvgl.imaging import (
    DamagedImageError,
    NotAnImageError,
    TooLargeImageError,
    TruncatedImageError,
    open_rgb,
)
from tests.data.images import place_image


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        ("RGB", "JPEG"),
        ("L", "PNG"),
        ("1", "PNG"),
        ("P", "PNG"),
        ("P", "GIF"),
        ("CMYK", "JPEG"),
        ("RGBA", "PNG"),
        ("LA", "PNG"),
        ("F", "TIFF"),
        ("RGB", "WEBP"),
        ("RGB", "BMP"),
    ],
)
def test_every_mode_becomes_rgb_of_the_same_size(mode: str, kind: str) -> None:
    image = open_rgb(encoded(place_image(1, size=20).convert(mode), kind))
    assert (image.mode, image.size) == ("RGB", (20, 20))


def test_sixteen_bit_greys_keep_their_brightness() -> None:
    grey = Image.fromarray(np.full((4, 4), 0x8000, np.uint16))
    assert np.asarray(open_rgb(encoded(grey))).tolist() == np.full((4, 4, 3), 0x80).tolist()


def test_transparency_becomes_white() -> None:
    assert open_rgb(encoded(Image.new("RGBA", (2, 2), (255, 0, 0, 0)))).getpixel((0, 0)) == (255, 255, 255)


def test_images_are_turned_upright() -> None:
    sideways = Image.new("RGB", (30, 10), "red")
    sideways.paste("blue", (0, 0, 10, 10))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show rotated by 90 degrees clockwise
    upright = open_rgb(encoded(sideways, exif=exif))
    assert upright.size == (10, 30)
    assert upright.getpixel((5, 2)) == (0, 0, 255)


def test_damaged_metadata_does_not_spoil_sound_pixels() -> None:
    data = encoded(place_image(1, size=20), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xffnonsense")
    assert open_rgb(data).size == (20, 20)


def test_an_animation_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert open_rgb(data).getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize("data", [b"", b"x", b"hello, this is text", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"])
def test_what_is_no_image_is_refused(data: bytes) -> None:
    with pytest.raises(NotAnImageError) as caught:
        open_rgb(data)
    assert "0x" not in str(caught.value)  # no address in memory: messages end up in the lake


def test_every_cut_of_an_image_is_refused() -> None:
    for kind in ("JPEG", "PNG", "WEBP", "TIFF"):
        data = encoded(place_image(3, view=1, size=64), kind)
        for share in (0.1, 0.3, 0.5, 0.7, 0.9):
            with pytest.raises(DataError):
                open_rgb(data[: int(len(data) * share)])


def test_a_tail_of_zeros_is_refused_although_libjpeg_would_fill_up() -> None:
    data = encoded(place_image(3, view=1, size=64), "JPEG")
    half = len(data) // 2
    with pytest.raises((TruncatedImageError, DamagedImageError)):
        open_rgb(data[:half] + bytes(len(data) - half))


def test_bytes_after_the_end_do_no_harm() -> None:
    assert open_rgb(encoded(place_image(3, size=16), "JPEG") + b"a phone's video \xff\xda" * 50).size == (16, 16)


def test_a_bomb_is_refused_by_its_header() -> None:
    header = encoded(Image.new("1", (50_000, 40_000)))[:64]  # the pixels are not even there
    with pytest.raises(TooLargeImageError):
        open_rgb(header)
    with pytest.raises(TooLargeImageError):
        open_rgb(encoded(Image.new("L", (10, 10))), max_pixels=99)
    assert open_rgb(encoded(Image.new("L", (10, 10))), max_pixels=100).size == (10, 10)


def test_a_missing_file_and_a_folder_say_so(tmp_path: Path) -> None:
    for path in (tmp_path / "none.jpg", tmp_path):
        with pytest.raises(DataError, match="cannot be read"):
            open_rgb(path)


def test_random_damage_never_ends_in_a_foreign_error() -> None:
    rng = np.random.default_rng(0)
    for kind in ("JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP", "JPEG2000"):
        data = bytearray(encoded(place_image(2, view=1, size=32), kind))
        for _ in range(60):
            broken = bytearray(data)
            for place in rng.integers(0, len(data), 6):
                broken[place] = rng.integers(256)
            try:
                assert open_rgb(bytes(broken), max_pixels=10**7).mode == "RGB"
            except imaging.ImageError:
                continue


def test_damaged_geo_keys_are_a_damaged_image_and_no_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """GDAL raises them, as an error of another family than rasterio's own, where a band's colour is looked up."""
    import rasterio
    from rasterio._err import CPLE_AppDefinedError

    path = tmp_path / "a.tif"
    with rasterio.open(path, "w", driver="GTiff", width=8, height=8, count=5, dtype="uint16", crs="EPSG:32632") as dataset:
        dataset.write(np.ones((5, 8, 8), np.uint16))

    def fail(_: object) -> list[int]:
        raise CPLE_AppDefinedError(3, 1, "Key GTCitationGeoKey of type ASCII has offset=195")

    monkeypatch.setattr("cvgl.imaging.raster._bands", fail)
    with pytest.raises(imaging.DamagedImageError):
        imaging.open_rgb(path)


def test_names_of_errors_for_programs_have_not_changed() -> None:
    kinds = {error("x").kind for error in (DamagedImageError, NotAnImageError, TooLargeImageError, TruncatedImageError)}
    assert kinds == {"DamagedPictureError", "NotAPictureError", "TooLargePictureError", "TruncatedPictureError"}
