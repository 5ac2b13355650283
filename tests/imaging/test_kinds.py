"""What is no image here is named as what it is, with what to do; what only looks damaged is read."""

from __future__ import annotations

import importlib.util
import io
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from cvgl.imaging import (
    ImageError,
    NotAnImageError,
    TooLargeImageError,
    TruncatedImageError,
    kind_of_suffix,
    open_rgb,
)
from cvgl.imaging.kinds import kind_of
from tests.data.bands import pattern, raster
from tests.data.images import place_image


def ftyp(brand: bytes, *others: bytes) -> bytes:
    content = brand + b"\0\0\0\0" + b"".join(others)
    return (8 + len(content)).to_bytes(4, "big") + b"ftyp" + content + bytes(64)


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\xff\x0a" + bytes(40), "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(40), "JPEG XL"),
        (b"8BPS\0\x01" + bytes(40), "Photoshop"),
        (b"%PDF-1.7\n", "PDF"),
        (b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"<svg width='3'/>", "SVG"),
        (b"<!DOCTYPE html><html>", "web page"),
        (ftyp(b"isom", b"mp42"), "video"),
        (ftyp(b"qt  "), "video"),
        (ftyp(b"crx "), "raw"),
        (b"RIFF\0\0\0\0AVI LIST" + bytes(40), "video"),
        (b"\x1aE\xdf\xa3" + bytes(40), "video"),
        (b"FUJIFILMCCD-RAW 0201" + bytes(40), "raw"),
        (b"II*\0\x10\0\0\0CR\x02\0" + bytes(40), "raw"),
        (b"PK\x03\x04" + bytes(40), "archive"),
        (b"SQLite format 3\0" + bytes(40), "database"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "Git LFS"),
        (bytes(1000), "zeros"),
        (b'{"type": "FeatureCollection"}', "JSON"),
        (b"%!PS-Adobe-3.0", "PostScript"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_kinds_are_named_with_what_to_do(head: bytes, name: str) -> None:
    with pytest.raises(NotAnImageError) as caught:
        open_rgb(head)
    assert name in caught.value.what
    assert caught.value.fix


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"mif1", b"hevc"])
def test_heic_says_which_extra_reads_it(brand: bytes) -> None:
    kind = kind_of(ftyp(brand), reads_heif=False)
    assert kind is not None
    assert "heif" in kind.fix
    assert kind_of(ftyp(brand), reads_heif=True) is None
    assert kind_of(ftyp(b"avif", b"mif1")) is None


@pytest.mark.skipif(importlib.util.find_spec("pillow_heif") is None, reason="needs the extra heif")
def test_heic_is_an_image_where_the_extra_is_installed() -> None:
    import pillow_heif

    stream = io.BytesIO()
    pillow_heif.from_pillow(place_image(1, size=64)).save(stream, quality=90)
    assert open_rgb(stream.getvalue()).size == (64, 64)


def test_images_are_none_of_these_kinds() -> None:
    for kind in ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF", "JPEG2000", "PPM", "AVIF"):
        stream = io.BytesIO()
        place_image(1, size=32).save(stream, kind)
        assert kind_of(stream.getvalue()[:4096]) is None, kind
        assert open_rgb(stream.getvalue()).size == (32, 32)
    assert kind_of_suffix(".jpg") is None


def test_endings_have_kinds_too() -> None:
    assert {kind_of_suffix(suffix) for suffix in (".DNG", ".nef", ".CR2", ".arw")} == {kind_of_suffix(".dng")}
    video = kind_of_suffix(".MP4")
    assert video is not None
    assert video.is_video


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("size", [3 << 20, 70 << 20])
def test_long_texts_in_a_png_do_no_harm(size: int, compressed: bool) -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_itxt("XML:com.adobe.xmp", "x" * size if compressed else "x", zip=compressed)
    stream = io.BytesIO()
    place_image(1, size=16).save(stream, "PNG", pnginfo=texts)
    assert open_rgb(stream.getvalue()).size == (16, 16)
    assert np.array_equal(np.asarray(open_rgb(stream.getvalue())), np.asarray(place_image(1, size=16)))


def test_a_long_colour_profile_in_a_png_does_no_harm() -> None:
    stream = io.BytesIO()
    place_image(1, size=16).save(stream, "PNG", icc_profile=bytes(3 << 20))
    assert open_rgb(stream.getvalue()).size == (16, 16)


def tiff_pages(*pages: Image.Image, tags: dict[int, object] | None = None) -> bytes:
    """Pages of which the first bears the tags."""
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    directory = ImageFileDirectory_v2()
    for tag, value in (tags or {}).items():
        directory[tag] = value
    stream = io.BytesIO()
    pages[0].save(stream, "TIFF", tiffinfo=directory, save_all=len(pages) > 1, append_images=list(pages[1:]))
    return stream.getvalue()


def test_a_raw_files_preview_is_never_the_image() -> None:
    preview = place_image(1, size=8)
    for tags in ({254: 1, 50706: b"\x01\x04\0\0"}, {50706: b"\x01\x04\0\0"}):
        with pytest.raises(NotAnImageError, match="raw"):
            open_rgb(tiff_pages(preview, tags=dict(tags)))


def test_a_reduced_first_page_gives_way_to_the_whole_image() -> None:
    from PIL.TiffImagePlugin import AppendingTiffWriter, ImageFileDirectory_v2

    small, large = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (32, 24), "blue")
    stream = io.BytesIO()
    with AppendingTiffWriter(stream, new=True) as writer:
        for page, reduced in ((small, 1), (large, 0)):
            directory = ImageFileDirectory_v2()
            directory[254] = reduced
            page.save(writer, "TIFF", tiffinfo=directory)
            writer.newFrame()
    image = open_rgb(stream.getvalue())
    assert (image.size, image.getpixel((0, 0))) == ((32, 24), (0, 0, 255))


def test_complex_numbers_are_no_image() -> None:
    with pytest.raises(NotAnImageError, match="complex"):
        open_rgb(raster(pattern(16)[None].astype(np.complex64)))


def chunk(name: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + name + content + zlib.crc32(name + content).to_bytes(4, "big")


def test_too_few_bytes_for_the_pixels_are_refused_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deflate makes at most 1,032 bytes of one."""
    header = (4000).to_bytes(4, "big") * 2 + bytes((8, 2, 0, 0, 0))
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", lambda self: pytest.fail("was decoded"))
    with pytest.raises(TruncatedImageError, match="too few"):
        open_rgb(data)


def test_a_jpeg_that_ends_behind_its_header_is_refused_before_decoding() -> None:
    stream = io.BytesIO()
    Image.new("L", (8, 8)).save(stream, "JPEG")
    data = bytearray(stream.getvalue())
    place = data.index(b"\xff\xc0")
    data[place + 5 : place + 9] = (3000).to_bytes(2, "big") * 2
    with pytest.raises(TruncatedImageError, match="too few"):
        open_rgb(bytes(data))


def test_uniform_images_that_compress_well_are_sound() -> None:
    cases: list[tuple[str, dict[str, Any]]] = [
        ("PNG", {}),
        ("JPEG", {"quality": 20}),
        ("WEBP", {"lossless": True}),
        ("TIFF", {"compression": "tiff_lzw"}),
    ]
    for kind, options in cases:
        stream = io.BytesIO()
        Image.new("RGB", (2000, 2000), (40, 90, 160)).save(stream, kind, **options)
        assert open_rgb(stream.getvalue()).size == (2000, 2000), kind


def test_one_colour_beyond_all_measure_is_refused_by_its_header(monkeypatch: pytest.MonkeyPatch) -> None:
    from cvgl.imaging import headers

    monkeypatch.setattr(headers, "_ALWAYS_PLAUSIBLE_PIXELS", 1000)
    monkeypatch.setattr(headers, "_MAX_PIXELS_PER_BYTE", 100)
    stream = io.BytesIO()
    Image.new("RGB", (512, 512)).save(stream, "WEBP", lossless=True)
    with pytest.raises(TooLargeImageError, match="no photograph"):
        open_rgb(stream.getvalue())
    with pytest.raises(ImageError):
        open_rgb(stream.getvalue()[:30])
