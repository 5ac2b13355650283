"""Opening files as pictures: the formats that are let in, in the memory that there is, to the last row."""

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
    DamagedPictureError,
    NotAPictureError,
    PictureError,
    TooLargePictureError,
    TruncatedPictureError,
    defect,
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
    """A decoded picture.

    Attributes:
        picture: as stored, or in RGB where it came through GDAL.
        page: where it is a TIFF.
        is_deep: its channels may have more bits than Pillow gives.
        by_gdal: it came through GDAL.
    """

    picture: Image
    page: headers.TiffPage | None
    is_deep: bool = False
    by_gdal: bool = False


def open_rgb(picture: Path | str | bytes, max_pixels: int = MAX_PIXELS) -> Image:
    """Decodes a picture completely.

    Args:
        picture: a path, or the bytes of the file.
        max_pixels: refuse more pixels than this by the header alone, before anything is decoded.

    Returns:
        An upright RGB picture, independent of the file.

    Raises:
        DataError: the file is missing or unreadable.
        PictureError: it is not a picture, damaged, truncated, or too large (all of them DataErrors).
    """
    with _opened_rgb(picture, max_pixels) as image:
        return image


@contextmanager
def opened_rgb(picture: Path | str | bytes, max_pixels: int = MAX_PIXELS) -> Iterator[Image]:
    """As `open_rgb`; other threads' pictures wait for memory until the `with` block is left, and the pixels go with it.

    For whoever needs a picture only until something smaller is made of it.
    """
    with _opened_rgb(picture, max_pixels) as image:
        try:
            yield image
        finally:
            _release(image)


@contextmanager
def _opened_rgb(picture: Path | str | bytes, max_pixels: int) -> Iterator[Image]:
    if isinstance(picture, bytes):
        with _upright_rgb(io.BytesIO(picture), max_pixels, "a picture given as bytes") as image:
            yield image
        return
    with _stream(picture) as stream, _upright_rgb(stream, max_pixels, picture) as image:
        yield image


def thumbnail(path: Path | str, size: int) -> Image:
    """The centre square of a picture at size x size pixels, RGB, upright.

    Large JPEGs are decoded at a fraction of their size.

    Raises:
        DataError, PictureError: as for `open_rgb`.
    """
    from PIL import Image, ImageOps

    with _stream(path) as stream, _upright_rgb(stream, MAX_PIXELS, path, draft=size) as image:
        return ImageOps.fit(image, (size, size), Image.Resampling.LANCZOS)


def decode(stream: BinaryIO, max_pixels: int, where: object) -> Image:
    """Decodes the picture of an open file, as stored: neither turned nor, unless only GDAL can read it, converted.

    Raises:
        PictureError: see `open_rgb`.
    """
    with _decoded(stream, max_pixels, where) as one:
        return one.picture


@contextmanager
def decoded(
    stream: BinaryIO, max_pixels: int, where: object, before: Callable[[int, int], None] | None = None
) -> Iterator[Image]:
    """As `decode`; other threads' pictures wait for memory until the `with` block is left, and the pixels go with it.

    Args:
        before: told width and height of a picture that is so large that decoding it might end the process, right before that.
    """
    with _decoded(stream, max_pixels, where, before=before) as one:
        try:
            yield one.picture
        finally:
            _release(one.picture)


def _release(picture: Any) -> None:
    """Gives the memory of the pixels back at once, whoever still refers to the picture; its file stays open."""
    picture.im = None


def is_turned(picture: Image) -> bool:
    """Whether EXIF says that width and height change places when the picture is turned upright."""
    return orientation(picture) in _TRANSPOSED


def orientation(picture: Image) -> int:
    """EXIF's word on how a picture is to be turned, 1 (not at all) to 8; 1 where metadata are damaged."""
    try:
        stated = int(picture.getexif().get(0x0112, 1))
    except DECODER_ERRORS:
        return 1
    return stated if stated in _UPRIGHT else 1


@contextmanager
def _stream(path: Path | str) -> Iterator[BinaryIO]:
    try:
        stream = Path(path).open("rb")  # noqa: SIM115 (errors of the body are not errors of opening)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise DataError(f"a picture cannot be read: {why}", where=path, fix="check its path") from error
    with stream:
        try:
            yield stream
        except OSError as error:
            raise DataError(f"a picture cannot be read: {error.strerror or error}", where=path, fix="check its path") from error


@contextmanager
def _upright_rgb(stream: BinaryIO, max_pixels: int, where: object, draft: int = 0) -> Iterator[Image]:
    with _decoded(stream, max_pixels, where, draft=draft, converted=True) as one:
        try:
            image = _rgb(one, stream, where)
        except DECODER_ERRORS as error:
            raise defect(error, where) from error
        except MemoryError as error:
            raise out_of_memory(one.picture.width, one.picture.height, where) from error
        yield image


def _rgb(one: _Decoded, stream: BinaryIO, where: object) -> Image:
    from PIL import Image

    picture, turn = one.picture, orientation(one.picture)
    if not one.by_gdal:
        picture = _in_full_depth(one, stream, where) or to_rgb(
            without_false_alpha(picture), None if one.page is None else one.page.nodata
        )
    return picture if turn == 1 else picture.transpose(Image.Transpose[_UPRIGHT[turn]])


def _in_full_depth(one: _Decoded, stream: BinaryIO, where: object) -> Image | None:
    """The picture read anew with all of its bits, where the upper 8 of several channels tell too little."""
    import numpy as np

    from cvgl.imaging.scaling import spans_few_levels

    picture, page = one.picture, one.page
    if not one.is_deep:
        return None
    if not spans_few_levels(np.asarray(picture.convert("RGB"))):
        return None
    try:
        return raster.read(
            stream, str(picture.format), where, admit=_any_size, page=page.number if page is not None else 0, only_deep=True
        )
    except PictureError:
        return None  # what Pillow gives is still the picture


def _any_size(width: int, height: int) -> None:
    """It was admitted before."""


@contextmanager
def _decoded(
    stream: BinaryIO,
    max_pixels: int,
    where: object,
    *,
    draft: int = 0,
    converted: bool = False,
    before: Callable[[int, int], None] | None = None,
) -> Iterator[_Decoded]:
    head = stream.read(_HEAD)
    _refuse_other_kinds(head, where)

    def admit(width: int, height: int) -> None:
        _check_size(width, height, max_pixels, where)
        if before is not None and width * height >= _SUSPICIOUS_PIXELS:
            before(width, height)

    page = headers.tiff_page(stream, where) if headers.is_tiff(head) else None
    picture = None
    if page is None or not page.is_beyond_pillow:
        picture, stream = _open(stream, head, page, where)
    if picture is None:
        if page is None:
            raise NotAPictureError(
                "the file is not a picture of a known format", where=where, fix=f"known are {', '.join(FORMATS)}"
            )
        yield _Decoded(_by_gdal(stream, page, where, admit), page, by_gdal=True)
        return
    if draft and picture.format == "JPEG":
        picture.draft("RGB", (draft, draft))
    _check_size(picture.width, picture.height, max_pixels, where)
    headers.check_plausible(picture, stream, page, where)
    need = headers.decoding_bytes(picture, stream, page)
    if converted:
        need += _converting_bytes(picture)
    is_deep = headers.is_deep(picture, page)  # told by what decoding clears away
    with memory.reserve(need) as suffices:
        if not suffices:
            raise too_much_memory(picture.width, picture.height, need, where)
        admit(picture.width, picture.height)
        try:
            _load(picture, stream, where)
        except MemoryError as error:
            raise out_of_memory(picture.width, picture.height, where) from error
        except DamagedPictureError:
            if page is None:
                raise
            yield _Decoded(_by_gdal(stream, page, where, admit), page, by_gdal=True)
            return
        yield _Decoded(picture, page, is_deep)


def _converting_bytes(picture: Image) -> int:
    pixels = picture.width * picture.height
    # Pillow decodes all of a PNG when it is asked for EXIF that does not stand in front.
    turned = (picture.format != "PNG" or "exif" in picture.info) and orientation(picture) > 1
    copies = (0 if picture.mode == "RGB" else 1) + (1 if turned else 0)
    return 4 * pixels * copies


def _refuse_other_kinds(head: bytes, where: object) -> None:
    from PIL import Image

    Image.init()
    if head[4:8] == b"ftyp":
        _register_heif()
    kind = kind_of(head, reads_heif="HEIF" in Image.OPEN, reads_avif="AVIF" in Image.OPEN)
    if kind is not None:
        raise NotAPictureError(f"the file is {kind.name}, not a picture of a known format", where=where, fix=kind.fix)


def _register_heif() -> None:
    """Lets Pillow read HEIC where the extra `heif` is installed; doing it twice does no harm."""
    try:
        import pillow_heif
    except ImportError:
        return
    pillow_heif.register_heif_opener(thumbnails=False)


def _open(stream: BinaryIO, head: bytes, page: headers.TiffPage | None, where: object) -> tuple[Image | None, BinaryIO]:
    """The picture, its header read, and the stream that it is read from; no picture where Pillow knows none.

    A PNG whose texts are longer than Pillow takes is read without them.
    """
    from PIL import Image, UnidentifiedImageError

    stream.seek(0)
    formats = [name for name in FORMATS if name in Image.OPEN]
    try:
        picture: Any = Image.open(stream, formats=formats)
        if page is not None and page.number:
            picture.seek(page.number)
        return picture, stream
    except Image.DecompressionBombError as error:
        raise TooLargePictureError(f"a picture is too large: {error}", where=where, fix="cut it into tiles") from error
    except UnidentifiedImageError:
        return None, stream
    except MemoryError as error:
        raise out_of_memory(0, 0, where) from error
    except DECODER_ERRORS as error:
        if head.startswith(b"\x89PNG") and str(error).startswith(_NO_LIMIT):
            stream.seek(0)
            return _open(io.BytesIO(headers.without_text(stream.read())), b"", None, where)
        if page is not None:
            return None, stream
        raise defect(error, where) from error


def _load(picture: Image, stream: BinaryIO, where: object) -> None:
    from PIL import Image

    try:
        picture.load()
        complete = picture.format not in ("JPEG", "MPO") or _has_end_of_image(stream)
    except Image.DecompressionBombError as error:
        raise TooLargePictureError(f"a picture is too large: {error}", where=where, fix="cut it into tiles") from error
    except DECODER_ERRORS as error:
        raise defect(error, where) from error
    if not complete:
        raise TruncatedPictureError("the end of the picture is missing", where=where, fix="replace or remove the file")


def _by_gdal(stream: BinaryIO, page: headers.TiffPage, where: object, admit: Callable[[int, int], None]) -> Image:
    picture = raster.read(stream, "TIFF", where, admit=admit, page=page.number)
    if picture is None:
        raise NotAPictureError("the file is not a picture of a known format", where=where, fix="export it as PNG")
    stream.seek(0)
    # Pillow reads tags of this form when it is asked for them: orientation, position and time stay with the picture.
    picture.info["exif"] = b"Exif\0\0" + stream.read()
    return picture


def _check_size(width: int, height: int, max_pixels: int, where: object) -> None:
    if width * height > max_pixels:
        raise TooLargePictureError(
            f"a picture of {width} x {height} pixels is larger than the {max_pixels} pixels allowed",
            where=where,
            fix="cut it into tiles, or raise max_pixels if it is what it claims to be",
        )


def _has_end_of_image(stream: BinaryIO) -> bool:
    """Whether a JPEG's scan is followed by its end marker.

    libjpeg only warns when the tail of a file was overwritten, as a broken copy leaves it (right size, zeros at the end),
    and fills the picture up with grey.
    """
    stream.seek(0)
    data = stream.read()
    for marker, place in headers.jpeg_markers(data):
        if marker == 0xDA:  # start of scan; 0xFF is escaped in what follows, so the end marker cannot occur by chance
            return data.find(b"\xff\xd9", place) >= 0
    return True  # an unusual header that nevertheless decoded
