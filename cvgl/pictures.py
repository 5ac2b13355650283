"""One way to open a picture, shared by everything that looks at pixels.

What a camera wrote is turned upright (EXIF orientation) and becomes 8-bit RGB, whatever it was stored as: grey, palette,
CMYK and 16-bit pictures are converted, transparent ones are laid on white, and of an animation the first frame counts.
A picture that does not decode to its last row is refused; nothing is ever filled up with grey.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from cvgl.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

# Twice Pillow's own warning level, and the default of IngestConfig.max_pixels.
MAX_PIXELS = 178_956_970
_SIXTEEN_BIT = frozenset({"I", "I;16", "I;16L", "I;16B", "I;16N"})


def open_rgb(picture: Path | str | bytes, max_pixels: int = MAX_PIXELS) -> Image:
    """Decodes a picture completely.

    Args:
        picture: a path, or the bytes of the file.
        max_pixels: refuse more pixels than this by the header alone, before anything is decoded.

    Returns:
        An upright RGB picture, independent of the file.

    Raises:
        DataError: missing, unreadable, not a picture, damaged, truncated, or too large.
    """
    from PIL import Image, ImageOps

    where: object = "a picture given as bytes" if isinstance(picture, bytes) else picture
    try:
        stream = io.BytesIO(picture) if isinstance(picture, bytes) else Path(picture).open("rb")
    except OSError as error:
        raise DataError(f"a picture cannot be opened: {error.strerror}", where=where, fix="check the path and its rights") from error
    with stream, warnings.catch_warnings():
        # Sizes are judged below, by the caller's limit; oddities in metadata do not change pixels.
        warnings.simplefilter("ignore")
        try:
            with Image.open(stream) as opened:
                pixels = opened.width * opened.height
                if pixels > max_pixels:
                    raise _too_large(opened.width, opened.height, max_pixels, where)
                opened.load()
                return to_rgb(ImageOps.exif_transpose(opened))
        except Image.DecompressionBombError as error:
            raise DataError(f"a picture is too large: {error}", where=where, fix="cut it into tiles") from error
        # Pillow's decoders answer hostile bytes with any of these, besides its own UnidentifiedImageError (an OSError).
        except (OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, OverflowError) as error:
            raise DataError(
                f"a picture cannot be decoded: {error or type(error).__name__}", where=where, fix="replace or remove the file"
            ) from error


def _too_large(width: int, height: int, max_pixels: int, where: object) -> DataError:
    return DataError(
        f"a picture of {width} x {height} pixels is larger than the {max_pixels} pixels allowed",
        where=where,
        fix="cut it into tiles, or raise max_pixels if it is what it claims to be",
    )


def to_rgb(picture: Image) -> Image:
    """Any Pillow mode -> RGB. 16-bit greys are scaled by 1/256, not clipped; transparency becomes white."""
    from PIL import Image

    if picture.mode in _SIXTEEN_BIT:
        import numpy as np

        values = np.asarray(picture)
        return Image.fromarray((values.astype(np.int64).clip(0, 65535) >> 8).astype(np.uint8)).convert("RGB")
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        ground = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(ground, layer).convert("RGB")
    converted = picture.convert("RGB")
    return converted.copy() if converted is picture else converted
