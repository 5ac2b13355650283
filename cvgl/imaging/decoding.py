"""Decoding of one open file, as stored: the formats that are accepted, in the memory that is free, to the last row."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from cvgl.imaging import headers, memory, raster
from cvgl.imaging.errors import (
    DECODER_ERRORS,
    DamagedImageError,
    NotAnImageError,
    TooLargeImageError,
    TruncatedImageError,
    decoding_error,
    out_of_memory,
    too_much_memory,
)
from cvgl.imaging.kinds import kind_of

if TYPE_CHECKING:
    from PIL.Image import Image

# Only what cameras and maps come in. Pillow knows more, among them PostScript, which it would hand to an interpreter.
FORMATS = ("JPEG", "MPO", "PNG", "TIFF", "WEBP", "BMP", "GIF", "JPEG2000", "PPM", "AVIF", "HEIF")
_SUSPICIOUS_PIXELS = 50_000_000
_HEAD = 4096
_NO_LIMIT = ("Decompressed data too large", "Too much memory used in text chunks")
_TRANSPOSED = (5, 6, 7, 8)
# Orientation in EXIF -> name of Pillow's transposition that undoes it.
UPRIGHT = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """A decoded image.

    Attributes:
        image: as stored, or in RGB where it came through GDAL.
        page: where it is a TIFF.
        is_deep: its channels may have more bits than Pillow gives.
        by_gdal: it came through GDAL.
    """

    image: Image
    page: headers.TiffPage | None
    is_deep: bool = False
    by_gdal: bool = False


@contextmanager
def decode_stream(
    stream: BinaryIO,
    max_pixels: int,
    source: object,
    *,
    draft: int = 0,
    converted: bool = False,
    before: Callable[[int, int], None] | None = None,
) -> Iterator[DecodedImage]:
    """Decodes the image of an open file; the memory that it takes is reserved until the `with` block is left.

    Args:
        stream: at its beginning.
        max_pixels: more are refused by the header alone.
        source: what to call the file in errors.
        draft: side in pixels to which a JPEG may be reduced while it is decoded; 0 for full size.
        converted: whether the caller converts the image to upright RGB, which takes memory as well.
        before: called with width and height before an image is decoded that is so large that this might end the process.

    Raises:
        ImageError: it is no image, damaged, truncated or too large.
    """
    head = stream.read(_HEAD)
    _refuse_other_kinds(head, source)

    def admit(width: int, height: int) -> None:
        _check_size(width, height, max_pixels, source)
        if before is not None and width * height >= _SUSPICIOUS_PIXELS:
            before(width, height)

    page = headers.tiff_page(stream, source) if headers.is_tiff(head) else None
    image = None
    if page is None or not page.is_beyond_pillow:
        image, stream = _open(stream, head, page, source)
    if image is None:
        if page is None:
            raise NotAnImageError(
                "the file is not an image of a known format", where=source, fix=f"known are {', '.join(FORMATS)}"
            )
        yield DecodedImage(_by_gdal(stream, page, source, admit), page, by_gdal=True)
        return
    if draft and image.format == "JPEG":
        image.draft("RGB", (draft, draft))
    _check_size(image.width, image.height, max_pixels, source)
    headers.check_plausible(image, stream, page, source)
    need = headers.decoding_bytes(image, stream, page)
    if converted:
        need += _converting_bytes(image)
    is_deep = headers.is_deep(image, page)  # told by what decoding clears away
    with memory.reserve(need) as suffices:
        if not suffices:
            raise too_much_memory(image.width, image.height, need, source)
        admit(image.width, image.height)
        try:
            _load(image, stream, source)
        except MemoryError as error:
            raise out_of_memory(image.width, image.height, source) from error
        except DamagedImageError:
            if page is None:
                raise
            yield DecodedImage(_by_gdal(stream, page, source, admit), page, by_gdal=True)
            return
        yield DecodedImage(image, page, is_deep)


def _converting_bytes(image: Image) -> int:
    pixels = image.width * image.height
    # Pillow decodes all of a PNG when it is asked for EXIF that does not stand in front.
    turned = (image.format != "PNG" or "exif" in image.info) and orientation(image) > 1
    copies = (0 if image.mode == "RGB" else 1) + (1 if turned else 0)
    return 4 * pixels * copies


def _refuse_other_kinds(head: bytes, source: object) -> None:
    from PIL import Image

    Image.init()
    if head[4:8] == b"ftyp":
        _register_heif()
    kind = kind_of(head, reads_heif="HEIF" in Image.OPEN, reads_avif="AVIF" in Image.OPEN)
    if kind is not None:
        raise NotAnImageError(f"the file is {kind.name}, not an image of a known format", where=source, fix=kind.fix)


def _register_heif() -> None:
    """Lets Pillow read HEIC where the extra `heif` is installed; doing it twice does no harm."""
    try:
        import pillow_heif
    except ImportError:
        return
    pillow_heif.register_heif_opener(thumbnails=False)


def _open(stream: BinaryIO, head: bytes, page: headers.TiffPage | None, source: object) -> tuple[Image | None, BinaryIO]:
    """The image, its header read, and the stream that it is read from; no image where Pillow knows none.

    A PNG whose texts are longer than Pillow takes is read without them.
    """
    from PIL import Image, UnidentifiedImageError

    stream.seek(0)
    formats = [name for name in FORMATS if name in Image.OPEN]
    try:
        image: Any = Image.open(stream, formats=formats)
        if page is not None and page.number:
            image.seek(page.number)
        return image, stream
    except Image.DecompressionBombError as error:
        raise TooLargeImageError(f"an image is too large: {error}", where=source, fix="cut it into tiles") from error
    except UnidentifiedImageError:
        return None, stream
    except MemoryError as error:
        raise out_of_memory(0, 0, source) from error
    except DECODER_ERRORS as error:
        if head.startswith(b"\x89PNG") and str(error).startswith(_NO_LIMIT):
            stream.seek(0)
            return _open(io.BytesIO(headers.without_text(stream.read())), b"", None, source)
        if page is not None:
            return None, stream
        raise decoding_error(error, source) from error


def _load(image: Image, stream: BinaryIO, source: object) -> None:
    from PIL import Image

    try:
        image.load()
        complete = image.format not in ("JPEG", "MPO") or _has_end_of_image(stream)
    except Image.DecompressionBombError as error:
        raise TooLargeImageError(f"an image is too large: {error}", where=source, fix="cut it into tiles") from error
    except DECODER_ERRORS as error:
        raise decoding_error(error, source) from error
    if not complete:
        raise TruncatedImageError("the end of the image is missing", where=source, fix="replace or remove the file")


def _by_gdal(stream: BinaryIO, page: headers.TiffPage, source: object, admit: Callable[[int, int], None]) -> Image:
    image = raster.read(stream, "TIFF", source, admit=admit, page=page.number)
    if image is None:
        raise NotAnImageError("the file is not an image of a known format", where=source, fix="export it as PNG")
    stream.seek(0)
    # Pillow reads tags of this form when it is asked for them: orientation, position and time stay with the image.
    image.info["exif"] = b"Exif\0\0" + stream.read()
    return image


def _check_size(width: int, height: int, max_pixels: int, source: object) -> None:
    if width * height > max_pixels:
        raise TooLargeImageError(
            f"an image of {width} x {height} pixels is larger than the {max_pixels} pixels allowed",
            where=source,
            fix="cut it into tiles, or raise max_pixels if it is what it claims to be",
        )


def _has_end_of_image(stream: BinaryIO) -> bool:
    """Whether a JPEG's scan is followed by its end marker.

    libjpeg only warns when the tail of a file was overwritten, as a broken copy leaves it (right size, zeros at the end),
    and fills the image up with grey.
    """
    stream.seek(0)
    data = stream.read()
    for marker, place in headers.jpeg_markers(data):
        if marker == 0xDA:  # start of scan; 0xFF is escaped in what follows, so the end marker cannot occur by chance
            return data.find(b"\xff\xd9", place) >= 0
    return True  # an unusual header that nevertheless decoded


def is_turned(image: Image) -> bool:
    """Whether EXIF says that width and height change places when the image is turned upright."""
    return orientation(image) in _TRANSPOSED


def orientation(image: Image) -> int:
    """EXIF orientation of an image, 1 (upright) to 8; 1 where metadata are damaged."""
    try:
        stated = int(image.getexif().get(0x0112, 1))
    except DECODER_ERRORS:
        return 1
    return stated if stated in UPRIGHT else 1
