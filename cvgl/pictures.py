"""One way to open a picture, shared by everything that looks at pixels.

What a camera wrote is turned upright (EXIF orientation) and becomes 8-bit RGB, whatever it was stored as: grey, palette,
CMYK and 16-bit pictures are converted, transparent ones are laid on white, and of an animation the first frame counts.
A picture that does not decode to its last row is refused; nothing is ever filled up with grey.
"""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from cvgl.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

# Where Pillow itself refuses (twice its warning level); also the default of IngestConfig.max_pixels.
MAX_PIXELS = 178_956_970
# Only what cameras and maps come in. Pillow knows more, among them PostScript, which it would hand to an interpreter.
FORMATS = ("JPEG", "MPO", "PNG", "TIFF", "WEBP", "BMP", "GIF", "JPEG2000", "PPM", "AVIF")
_SIXTEEN_BIT = frozenset({"I", "I;16", "I;16L", "I;16B", "I;16N"})
# What Pillow's decoders answer hostile bytes with, besides UnidentifiedImageError (an OSError).
_DECODER_ERRORS = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    LookupError,
    TypeError,
    ArithmeticError,
    RuntimeError,
    AttributeError,
    AssertionError,
    struct.error,
    zlib.error,
)


class PictureError(DataError):
    """A file cannot be used as a picture."""


class NotAPictureError(PictureError):
    """The bytes are of none of the known formats."""


class TooLargePictureError(PictureError):
    """The header promises more pixels than are allowed."""


class TruncatedPictureError(PictureError):
    """The end of the file is missing."""


class DamagedPictureError(PictureError):
    """The header is a picture's, and the rest does not decode."""


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
    if isinstance(picture, bytes):
        return _upright_rgb(io.BytesIO(picture), max_pixels, "a picture given as bytes")
    try:
        with Path(picture).open("rb") as stream:
            return _upright_rgb(stream, max_pixels, picture)
    except OSError as error:
        raise DataError(f"a picture cannot be read: {error.strerror or error}", where=picture, fix="check its path") from error


def decode(stream: BinaryIO, max_pixels: int, where: object) -> Image:
    """Decodes the first frame of an open file, as stored: neither turned nor converted.

    Raises:
        PictureError: see `open_rgb`.
    """
    from PIL import Image, UnidentifiedImageError

    Image.init()
    try:
        opened = Image.open(stream, formats=[name for name in FORMATS if name in Image.OPEN])
    except Image.DecompressionBombError as error:
        raise TooLargePictureError(f"a picture is too large: {error}", where=where, fix="cut it into tiles") from error
    except UnidentifiedImageError as error:
        # Pillow's own message holds the address of the stream in memory.
        raise NotAPictureError(
            "the file is not a picture of a known format", where=where, fix=f"known are {', '.join(FORMATS)}"
        ) from error
    except _DECODER_ERRORS as error:
        raise _defect(error, where) from error
    if opened.width * opened.height > max_pixels:
        raise TooLargePictureError(
            f"a picture of {opened.width} x {opened.height} pixels is larger than the {max_pixels} pixels allowed",
            where=where,
            fix="cut it into tiles, or raise max_pixels if it is what it claims to be",
        )
    try:
        opened.load()
        complete = opened.format not in ("JPEG", "MPO") or _has_end_of_image(stream)
    except Image.DecompressionBombError as error:
        raise TooLargePictureError(f"a picture is too large: {error}", where=where, fix="cut it into tiles") from error
    except _DECODER_ERRORS as error:
        raise _defect(error, where) from error
    if not complete:
        raise TruncatedPictureError("the end of the picture is missing", where=where, fix="replace or remove the file")
    return opened


def is_turned(picture: Image) -> bool:
    """Whether EXIF says that width and height change places when the picture is turned upright."""
    try:
        return picture.getexif().get(0x0112) in (5, 6, 7, 8)
    except _DECODER_ERRORS:
        return False  # damaged metadata of a sound picture: `open_rgb` leaves it as it is, too


def to_rgb(picture: Image) -> Image:
    """Any Pillow mode -> RGB. 16-bit greys are scaled by 1/256, not clipped; transparency becomes white."""
    from PIL import Image

    if picture.mode in _SIXTEEN_BIT:
        import numpy as np

        values = np.asarray(picture).astype(np.int64).clip(0, 65535) >> 8
        return Image.fromarray(values.astype(np.uint8)).convert("RGB")
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return picture.convert("RGB")


def _upright_rgb(stream: BinaryIO, max_pixels: int, where: object) -> Image:
    from PIL import ImageOps

    stored = decode(stream, max_pixels, where)
    try:
        upright = ImageOps.exif_transpose(stored)
    except _DECODER_ERRORS:
        upright = stored  # damaged metadata does not make sound pixels worse
    try:
        return to_rgb(upright)
    except _DECODER_ERRORS as error:
        raise _defect(error, where) from error


def _defect(error: BaseException, where: object) -> PictureError:
    kind = TruncatedPictureError if "truncated" in str(error).lower() else DamagedPictureError
    what = f"the picture does not decode: {str(error) or type(error).__name__}"
    return kind(what, where=where, fix="replace or remove the file")


def _has_end_of_image(stream: BinaryIO) -> bool:
    """Whether a JPEG's scan is followed by its end marker.

    libjpeg only warns when the tail of a file was overwritten, as a broken copy leaves it (right size, zeros at the end),
    and fills the picture up with grey.
    """
    stream.seek(0)
    data = stream.read()
    place = 2
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker == 0xDA:  # start of scan; 0xFF is escaped in what follows, so the end marker cannot occur by chance
            return data.find(b"\xff\xd9", place) >= 0
        place += 1 if marker == 0xFF else 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return True  # an unusual header that nevertheless decoded
