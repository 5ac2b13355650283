"""One way to open an image, shared by everything that looks at pixels.

What a camera wrote is turned upright (EXIF orientation) and becomes 8-bit RGB, whatever it was stored as: grey, palette,
CMYK, 16-bit, signed and fractional images are converted, transparent ones are laid on white, and of an animation the first
frame counts. An image that does not decode to its last row is refused; nothing is ever filled up with grey. Nothing is decoded
before its header has told that there is memory for it.
"""

from __future__ import annotations

from cvgl.imaging.conversion import is_blank, to_rgb
from cvgl.imaging.decoding import FORMATS, is_turned
from cvgl.imaging.errors import (
    DamagedImageError,
    ImageError,
    NotAnImageError,
    TooLargeImageError,
    TruncatedImageError,
)
from cvgl.imaging.kinds import is_raw_suffix, kind_of_suffix
from cvgl.imaging.opening import (
    MAX_PIXELS,
    decode,
    decoded,
    open_rgb,
    opened_rgb,
    thumbnail,
)

__all__ = [
    "FORMATS",
    "MAX_PIXELS",
    "DamagedImageError",
    "ImageError",
    "NotAnImageError",
    "TooLargeImageError",
    "TruncatedImageError",
    "decode",
    "decoded",
    "is_blank",
    "is_raw_suffix",
    "is_turned",
    "kind_of_suffix",
    "open_rgb",
    "opened_rgb",
    "thumbnail",
    "to_rgb",
]
