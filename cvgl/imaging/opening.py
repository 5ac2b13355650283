"""Opening files as images: the formats that are let in, in the memory that there is, to the last row."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from cvgl.errors import DataError
from cvgl.imaging import headers, memory, raster
from cvgl.imaging.conversion import to_rgb, without_false_alpha
from cvgl.imaging.errors import (
    DECODER_ERRORS,
    DamagedImageError,
    ImageError,
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

# Where Pillow itself refuses (twice its warning level); also the default of IngestConfig.max_pixels.
MAX_PIXELS = 178_956_970
# Only what cameras and maps come in. Pillow knows more, among them PostScript, which it would hand to an interpreter.
FORMATS = ("JPEG", "MPO", "PNG", "TIFF", "WEBP", "BMP", "GIF", "JPEG2000", "PPM", "AVIF", "HEIF")
_SUSPICIOUS_PIXELS = 50_000_000
_HEAD = 4096
_TRANSPOSED = (5, 6, 7, 8)
# Orientation in EXIF -> name of Pillow's transposition that undoes it.
_UPRIGHT = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
_NO_LIMIT = ("Decompressed data too large", "Too much memory used in text chunks")


@dataclass(frozen=True, slots=True)
class _Decoded:
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


def open_rgb(source: Path | str | bytes, max_pixels: int = MAX_PIXELS) -> Image:
    """Decodes an image completely.

    Args:
        source: a path, or the bytes of the file.
        max_pixels: refuse more pixels than this by the header alone, before anything is decoded.

    Returns:
        An upright RGB image, independent of the file.

    Raises:
        DataError: the file is missing or unreadable.
        ImageError: it is not an image, damaged, truncated, or too large (all of them DataErrors).
    """
    with _opened_rgb(source, max_pixels) as image:
        return image


@contextmanager
def opened_rgb(source: Path | str | bytes, max_pixels: int = MAX_PIXELS) -> Iterator[Image]:
    """As `open_rgb`; other threads' images wait for memory until the `with` block is left, and the pixels go with it.

    For whoever needs an image only until something smaller is made of it.
    """
    with _opened_rgb(source, max_pixels) as image:
        try:
            yield image
        finally:
            _release(image)


@contextmanager
def _opened_rgb(source: Path | str | bytes, max_pixels: int) -> Iterator[Image]:
    if isinstance(source, bytes):
        with _upright_rgb(io.BytesIO(source), max_pixels, "an image given as bytes") as image:
            yield image
        return
    with _stream(source) as stream, _upright_rgb(stream, max_pixels, source) as image:
        yield image


def thumbnail(path: Path | str, size: int) -> Image:
    """The centre square of an image at size x size pixels, RGB, upright.

    Large JPEGs are decoded at a fraction of their size.

    Raises:
        DataError, ImageError: as for `open_rgb`.
    """
    from PIL import Image, ImageOps

    with _stream(path) as stream, _upright_rgb(stream, MAX_PIXELS, path, draft=size) as image:
        return ImageOps.fit(image, (size, size), Image.Resampling.LANCZOS)


def decode(stream: BinaryIO, max_pixels: int, source: object) -> Image:
    """Decodes the image of an open file, as stored: neither turned nor, unless only GDAL can read it, converted.

    Raises:
        ImageError: see `open_rgb`.
    """
    with _decoded(stream, max_pixels, source) as decoding:
        return decoding.image


@contextmanager
def decoded(
    stream: BinaryIO, max_pixels: int, source: object, before: Callable[[int, int], None] | None = None
) -> Iterator[Image]:
    """As `decode`; other threads' images wait for memory until the `with` block is left, and the pixels go with it.

    Args:
        before: told width and height of an image that is so large that decoding it might end the process, right before that.
    """
    with _decoded(stream, max_pixels, source, before=before) as decoding:
        try:
            yield decoding.image
        finally:
            _release(decoding.image)


def _release(image: Any) -> None:
    """Gives the memory of the pixels back at once, whoever still refers to the image; its file stays open."""
    image.im = None


def is_turned(image: Image) -> bool:
    """Whether EXIF says that width and height change places when the image is turned upright."""
    return orientation(image) in _TRANSPOSED


def orientation(image: Image) -> int:
    """EXIF's word on how an image is to be turned, 1 (not at all) to 8; 1 where metadata are damaged."""
    try:
        stated = int(image.getexif().get(0x0112, 1))
    except DECODER_ERRORS:
        return 1
    return stated if stated in _UPRIGHT else 1


@contextmanager
def _stream(path: Path | str) -> Iterator[BinaryIO]:
    try:
        stream = Path(path).open("rb")  # noqa: SIM115 (errors of the body are not errors of opening)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise DataError(f"an image cannot be read: {why}", where=path, fix="check its path") from error
    with stream:
        try:
            yield stream
        except OSError as error:
            raise DataError(f"an image cannot be read: {error.strerror or error}", where=path, fix="check its path") from error


@contextmanager
def _upright_rgb(stream: BinaryIO, max_pixels: int, source: object, draft: int = 0) -> Iterator[Image]:
    with _decoded(stream, max_pixels, source, draft=draft, converted=True) as decoding:
        try:
            image = _rgb(decoding, stream, source)
        except DECODER_ERRORS as error:
            raise decoding_error(error, source) from error
        except MemoryError as error:
            raise out_of_memory(decoding.image.width, decoding.image.height, source) from error
        yield image


def _rgb(decoding: _Decoded, stream: BinaryIO, source: object) -> Image:
    from PIL import Image

    image, turn = decoding.image, orientation(decoding.image)
    if not decoding.by_gdal:
        image = _in_full_depth(decoding, stream, source) or to_rgb(
            without_false_alpha(image), None if decoding.page is None else decoding.page.nodata
        )
    return image if turn == 1 else image.transpose(Image.Transpose[_UPRIGHT[turn]])


def _in_full_depth(decoding: _Decoded, stream: BinaryIO, source: object) -> Image | None:
    """The image read anew with all of its bits, where the upper 8 of several channels tell too little."""
    import numpy as np

    from cvgl.imaging.scaling import spans_few_levels

    image, page = decoding.image, decoding.page
    if not decoding.is_deep:
        return None
    if not spans_few_levels(np.asarray(image.convert("RGB"))):
        return None
    try:
        return raster.read(
            stream, str(image.format), source, admit=_any_size, page=page.number if page is not None else 0, only_deep=True
        )
    except ImageError:
        return None  # what Pillow gives is still the image


def _any_size(width: int, height: int) -> None:
    """It was admitted before."""


@contextmanager
def _decoded(
    stream: BinaryIO,
    max_pixels: int,
    source: object,
    *,
    draft: int = 0,
    converted: bool = False,
    before: Callable[[int, int], None] | None = None,
) -> Iterator[_Decoded]:
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
        yield _Decoded(_by_gdal(stream, page, source, admit), page, by_gdal=True)
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
            yield _Decoded(_by_gdal(stream, page, source, admit), page, by_gdal=True)
            return
        yield _Decoded(image, page, is_deep)


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
