"""From what a decoder gives to 8-bit RGB, strip by strip, so that a large picture is in memory once and not four times."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from cvgl.imaging.scaling import Scale, choose_scale, is_mask

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

_WIDE = frozenset({"I", "I;16", "I;16L", "I;16B", "I;16N", "F"})
_STRIP_PIXELS = 4_000_000
# Formats whose fourth band may be one of light: GDAL writes it as alpha by default.
_OF_RASTERS = ("TIFF", "JPEG2000")


def to_rgb(picture: Image, nodata: float | None = None) -> Image:
    """Any Pillow mode -> RGB; see `cvgl.imaging.scaling` for what has more than 8 bits. Transparency becomes white.

    Args:
        picture: decoded; returned itself where nothing is to be done.
        nodata: the value that means "nothing here" in a picture of one wide channel.
    """
    if picture.mode in _WIDE:
        return _scaled(picture, nodata)
    if picture.mode == "RGB" and "transparency" not in picture.info:
        return picture
    if picture.mode == "LAB":
        return _from_lab(picture)
    premultiplied = {"RGBa": "RGBA", "La": "LA"}.get(picture.mode)
    if premultiplied is not None:
        picture = picture.convert(premultiplied)
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        return _by_strips(picture, _on_white)
    return picture.convert("RGB")


def without_false_alpha(picture: Image) -> Image:
    """A raster's picture without its alpha channel, where that is no mask but a band of light, such as near infrared."""
    if picture.format not in _OF_RASTERS or picture.mode not in ("RGBA", "LA"):
        return picture
    if is_mask(picture.getchannel("A").histogram()):
        return picture
    return picture.convert("RGB" if picture.mode == "RGBA" else "L")


def is_blank(picture: Image) -> bool:
    """Whether every pixel of a decoded picture has the same colour."""
    across, down = range(0, picture.width, max(1, picture.width // 8)), range(0, picture.height, max(1, picture.height // 8))
    if len({picture.getpixel((column, row)) for column in across for row in down}) > 1:
        return False
    extremes: Any = picture.getextrema()
    pairs = extremes if isinstance(extremes[0], tuple) else (extremes,)
    return all(low == high for low, high in pairs)


def _by_strips(picture: Image, convert: Callable[[Image], Image]) -> Image:
    from PIL import Image

    result = Image.new("RGB", picture.size)
    for top, strip in _strips(picture):
        result.paste(convert(strip), (0, top))
    return result


def _strips(picture: Image) -> Iterator[tuple[int, Image]]:
    rows = max(1, _STRIP_PIXELS // max(1, picture.width))
    if rows >= picture.height:
        yield 0, picture
        return
    for top in range(0, picture.height, rows):
        yield top, picture.crop((0, top, picture.width, min(top + rows, picture.height)))


def _on_white(strip: Image) -> Image:
    from PIL import Image

    layer = strip.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")


def _scaled(picture: Image, nodata: float | None) -> Image:
    from PIL import Image

    scale = choose_scale(lambda: (_values(strip) for _, strip in _strips(picture)), picture.width * picture.height, nodata)

    return _by_strips(picture, lambda strip: Image.fromarray(_levels(strip, scale)).convert("RGB"))


def _levels(strip: Image, scale: Scale) -> NDArray[Any]:
    return scale.apply(_values(strip))


def _values(strip: Image) -> NDArray[Any]:
    import numpy as np

    return np.asarray(strip)


def _from_lab(picture: Image) -> Image:
    from PIL import ImageCms

    transform = ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")
    result = ImageCms.applyTransform(picture, transform)
    return picture.convert("RGB") if result is None else result
