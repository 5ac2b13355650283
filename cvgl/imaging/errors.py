"""Why a file cannot be used as a picture."""

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


class PictureError(DataError):
    """A file cannot be used as a picture."""


class NotAPictureError(PictureError):
    """The bytes are of none of the known formats."""


class TooLargePictureError(PictureError):
    """The header declares more pixels than are allowed, or than memory suffices for."""


class TruncatedPictureError(PictureError):
    """The end of the file is missing."""


class DamagedPictureError(PictureError):
    """The header is a picture's, and the rest does not decode."""


def defect(error: BaseException, where: object) -> PictureError:
    """The error for a decoder's: truncated where its message says so, else damaged.

    Raises:
        OSError: the file could not be read, which says nothing about what is in it.
    """
    if isinstance(error, OSError) and error.errno is not None:
        raise error
    kind = TruncatedPictureError if "truncated" in str(error).lower() else DamagedPictureError
    what = f"the picture does not decode: {str(error) or type(error).__name__}"
    return kind(what, where=where, fix="replace or remove the file")


def too_much_memory(width: int, height: int, need: int, where: object) -> TooLargePictureError:
    """The error for a picture that takes more bytes than there are."""
    return TooLargePictureError(
        f"a picture of {width} x {height} pixels takes {need >> 20} MiB to decode",
        where=where,
        fix="cut it into tiles, or give the process more memory",
    )


def out_of_memory(width: int, height: int, where: object) -> TooLargePictureError:
    """The error for memory that ran out while a picture was decoded."""
    return TooLargePictureError(
        f"memory ran out while a picture of {width} x {height} pixels was decoded",
        where=where,
        fix="cut it into tiles, or give the process more memory",
    )
