"""Why a file cannot be used as an image."""

from __future__ import annotations

import struct
import zlib

from cvgl.errors import DataError

# What Pillow's decoders answer hostile bytes with, besides UnidentifiedImageError (an OSError).
DECODER_ERRORS = (
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


class ImageError(DataError):
    """A file cannot be used as an image."""

    _kind = "PictureError"  # the name in --json, which programs rely on


class NotAnImageError(ImageError):
    """The bytes are of none of the known formats."""

    _kind = "NotAPictureError"


class TooLargeImageError(ImageError):
    """The header declares more pixels than are allowed, or than memory suffices for."""

    _kind = "TooLargePictureError"


class TruncatedImageError(ImageError):
    """The end of the file is missing."""

    _kind = "TruncatedPictureError"


class DamagedImageError(ImageError):
    """The header is an image's, and the rest does not decode."""

    _kind = "DamagedPictureError"


def decoding_error(error: BaseException, source: object) -> ImageError:
    """The error for a decoder's: truncated where its message says so, else damaged.

    Raises:
        OSError: the file could not be read, which says nothing about what is in it.
    """
    if isinstance(error, OSError) and error.errno is not None:
        raise error
    kind = TruncatedImageError if "truncated" in str(error).lower() else DamagedImageError
    message = f"the image does not decode: {str(error) or type(error).__name__}"
    return kind(message, where=source, fix="replace or remove the file")


def too_much_memory(width: int, height: int, need: int, source: object) -> TooLargeImageError:
    """The error for an image that takes more bytes than there are."""
    return TooLargeImageError(
        f"an image of {width} x {height} pixels takes {need >> 20} MiB to decode",
        where=source,
        fix="cut it into tiles, or give the process more memory",
    )


def out_of_memory(width: int, height: int, source: object) -> TooLargeImageError:
    """The error for memory that ran out while an image was decoded."""
    return TooLargeImageError(
        f"memory ran out while an image of {width} x {height} pixels was decoded",
        where=source,
        fix="cut it into tiles, or give the process more memory",
    )
