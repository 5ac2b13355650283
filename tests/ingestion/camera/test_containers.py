"""EXIF and XMP in every format that is read."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, PngImagePlugin, features

from cvgl.ingestion.camera.record import Remark
from cvgl.ingestion.exif import read_exif
from cvgl.ingestion.scanning import scan_file
from tests.data.metadata import JP2_EXIF, JP2_XMP, exif_bytes, jp2, jpeg, opened, rationals, text, xmp_packet

EXIF = exif_bytes(
    {0x010F: text("DJI\0\0\0"), 0x0110: text("FC300S\0")},
    {0x9003: text("2024:05:01 12:00:00\0"), 0x9011: text("+02:00\0")},
    {1: text("S\0"), 2: rationals(46, 30, (36, 1)), 3: text("W\0"), 4: rationals(91, 15, 0)},
)
XMP = xmp_packet('drone-dji:GpsLatitude="-46.51" drone-dji:GpsLongitude="-91.25"')
PLACE, TIME = (-46.51, -91.25), datetime(2024, 5, 1, 10, tzinfo=UTC)


def saved(format_name: str, **options: Any) -> tuple[Image.Image, io.BytesIO]:
    stream = io.BytesIO()
    Image.new("RGB", (16, 16)).save(stream, format_name, **options)
    return opened(stream)


AVIF = ["AVIF"] if features.check("avif") else []


def check_exif(image: Image.Image, stream: Any) -> None:
    result = read_exif(image, stream)
    assert (result.position_source, result.captured_at, result.camera) == ("exif", TIME, "DJI FC300S")
    assert result.position == pytest.approx(PLACE)


def check_xmp(image: Image.Image, stream: Any) -> None:
    result = read_exif(image, stream)
    assert (result.position, result.position_source, result.captured_at) == (PLACE, "xmp", None)


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP", "TIFF", "MPO", *AVIF])
def test_exif_of_each_format(format_name: str) -> None:
    check_exif(*saved(format_name, exif=EXIF))


@pytest.mark.parametrize("format_name", ["JPEG", "WEBP", *AVIF])
def test_xmp_of_each_format(format_name: str) -> None:
    check_xmp(*saved(format_name, xmp=XMP))


def test_xmp_of_tiff_and_png() -> None:
    check_xmp(*saved("TIFF", tiffinfo={700: XMP}))
    chunks = PngImagePlugin.PngInfo()
    chunks.add_itxt("XML:com.adobe.xmp", XMP.decode())
    check_xmp(*saved("PNG", pnginfo=chunks))


def test_heic() -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    stream = io.BytesIO()
    pillow_heif.from_pillow(Image.new("RGB", (64, 64))).save(stream, exif=EXIF)
    image = pillow_heif.open_heif(io.BytesIO(stream.getvalue())).to_pillow()
    check_exif(image, stream)
    stream = io.BytesIO()
    pillow_heif.from_pillow(Image.new("RGB", (64, 64))).save(stream, xmp=XMP)
    check_xmp(pillow_heif.open_heif(io.BytesIO(stream.getvalue())).to_pillow(), stream)


def profile(name: str, data: bytes) -> Any:
    return f"\n{name}\n{len(data):8}\n" + "\n".join(data.hex()[at : at + 72] for at in range(0, 2 * len(data), 72)) + "\n"


@pytest.mark.parametrize("name", ["exif", "APP1"])
def test_exif_that_imagemagick_writes_into_png(name: str) -> None:
    chunks = PngImagePlugin.PngInfo()
    chunks.add_text(f"Raw profile type {name}", profile(name.lower(), EXIF), zip=True)
    check_exif(*saved("PNG", pnginfo=chunks))


@pytest.mark.parametrize(("name", "mark"), [("xmp", b""), ("APP1", b"http://ns.adobe.com/xap/1.0/\0")])
def test_xmp_that_imagemagick_writes_into_png(name: str, mark: bytes) -> None:
    chunks = PngImagePlugin.PngInfo()
    chunks.add_text(f"Raw profile type {name}", profile(name.lower(), mark + XMP), zip=True)
    check_xmp(*saved("PNG", pnginfo=chunks))


@pytest.mark.parametrize("head", [b"", b"Exif\0\0"])
def test_exif_of_jpeg_2000(tmp_path: Path, head: bytes) -> None:
    data = jp2((b"uuid", bytes(16) + b"else"), (b"uuid", JP2_EXIF + head + EXIF.removeprefix(b"Exif\0\0")))
    check_exif(*opened(io.BytesIO(data)))
    (tmp_path / "a.jp2").write_bytes(data)
    result = scan_file(tmp_path / "a.jp2", 10**6)
    assert result.latitude == pytest.approx(PLACE[0])
    assert result.longitude == pytest.approx(PLACE[1])
    assert result.captured_at == TIME
    assert (result.position_source, result.camera, result.utc_offset_s) == ("exif", "DJI FC300S", 7200)


@pytest.mark.parametrize("box", [(b"uuid", JP2_XMP + XMP), (b"xml ", XMP)])
def test_xmp_of_jpeg_2000(box: tuple[bytes, bytes]) -> None:
    check_xmp(*opened(io.BytesIO(jp2((b"xml ", b"<gml/>"), box))))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data", "ignore:Truncated File Read")
@pytest.mark.parametrize(
    "boxes", [[(b"uuid", b"short")], [(b"uuid", JP2_EXIF)], [(b"uuid", JP2_EXIF + b"II*\0\xff\xff\xff\xff")], [(b"uuid", b"")]]
)
def test_boxes_without_sense(boxes: Any) -> None:
    assert read_exif(*opened(io.BytesIO(jp2(*boxes)))).position is None


def test_boxes_whose_length_is_a_lie() -> None:
    image, _ = opened(io.BytesIO(jp2()))
    head = jp2()[:12]
    for tail in (
        b"\0\0\0\x03uuid",
        b"\0\0\0\x01uuid" + b"\xff" * 8,
        b"\xff\xff\xff\xffuuid" + JP2_EXIF,
        b"\0\0\0\0uuid" + JP2_EXIF + EXIF,
    ):
        result = read_exif(image, io.BytesIO(head + tail))
        assert (result.position is None) == (EXIF not in tail)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data", "ignore:Truncated File Read")
def test_damaged_exif_leaves_xmp_and_is_said() -> None:
    for length in (10, 11, 12, 13, 14, 40, len(EXIF) - 110):
        image, stream = jpeg(EXIF[:length], XMP)
        result = read_exif(image, stream)
        assert (result.position, result.position_source) == (PLACE, "xmp")
        assert Remark.EXIF_DAMAGED in result.remarks


def test_exif_that_raises_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    image, stream = jpeg(EXIF, XMP)

    def refuse() -> None:
        raise SyntaxError("not a TIFF file")

    monkeypatch.setattr(image, "getexif", refuse)
    check_xmp(image, stream)
    assert Remark.EXIF_DAMAGED in read_exif(image, stream).remarks


def test_exif_without_a_field_is_sound() -> None:
    assert read_exif(*saved("JPEG", exif=Image.Exif())).remarks == ()
    assert read_exif(*jpeg(b"Exif\0\0II*\0\x08\0\0\0" + bytes(6))).remarks == ()


@pytest.mark.parametrize("pointer", [0x8769, 0x8825])
def test_a_folder_that_is_read_from_a_wrong_place_is_said(pointer: int) -> None:
    place = EXIF.index(pointer.to_bytes(2, "little"))
    data = EXIF[: place + 8] + (8).to_bytes(4, "little") + EXIF[place + 12 :]  # the main folder once more
    assert Remark.EXIF_DAMAGED in read_exif(*jpeg(data)).remarks


@pytest.mark.parametrize("format_name", ["PNG", "WEBP"])
@pytest.mark.parametrize("length", range(11, 14))
def test_exif_that_ends_within_its_header_costs_no_image(tmp_path: Path, format_name: str, length: int) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a", format_name, exif=EXIF[:length])
    result = scan_file(tmp_path / "a", 10**6)
    assert (result.reason, result.remarks) == (None, (Remark.EXIF_DAMAGED,))
