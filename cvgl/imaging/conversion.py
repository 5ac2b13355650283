"""From what a decoder gives to 8-bit RGB, strip by strip, so that a large image is in memory once and not four times."""

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


def to_rgb(image: Image, nodata: float | None = None) -> Image:
    """Any Pillow mode -> RGB; see `cvgl.imaging.scaling` for what has more than 8 bits. Transparency becomes white.

    Args:
        image: decoded; returned itself where nothing is to be done.
        nodata: the value that means "nothing here" in an image of one wide channel.
    """
    if image.mode in _WIDE:
        return _scaled(image, nodata)
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode == "LAB":
        return _from_lab(image)
    premultiplied = {"RGBa": "RGBA", "La": "LA"}.get(image.mode)
    if premultiplied is not None:
        image = image.convert(premultiplied)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        return _by_strips(image, _on_white)
    return image.convert("RGB")


def without_false_alpha(image: Image) -> Image:
    """A raster's image without its alpha channel, where that is no mask but a band of light, such as near infrared."""
    if image.format not in _OF_RASTERS or image.mode not in ("RGBA", "LA"):
        return image
    if is_mask(image.getchannel("A").histogram()):
        return image
    return image.convert("RGB" if image.mode == "RGBA" else "L")


def is_blank(image: Image) -> bool:
    """Whether every pixel of a decoded image has the same colour."""
    across, down = range(0, image.width, max(1, image.width // 8)), range(0, image.height, max(1, image.height // 8))
    if len({image.getpixel((column, row)) for column in across for row in down}) > 1:
        return False
    extremes: Any = image.getextrema()
    pairs = extremes if isinstance(extremes[0], tuple) else (extremes,)
    return all(low == high for low, high in pairs)


def _by_strips(image: Image, convert: Callable[[Image], Image]) -> Image:
    from PIL import Image

    result = Image.new("RGB", image.size)
    for top, strip in _strips(image):
        result.paste(convert(strip), (0, top))
    return result


def _strips(image: Image) -> Iterator[tuple[int, Image]]:
    rows = max(1, _STRIP_PIXELS // max(1, image.width))
    if rows >= image.height:
        yield 0, image
        return
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _on_white(strip: Image) -> Image:
    from PIL import Image

    layer = strip.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")


def _scaled(image: Image, nodata: float | None) -> Image:
    from PIL import Image

    scale = choose_scale(lambda: (_values(strip) for _, strip in _strips(image)), image.width * image.height, nodata)

    return _by_strips(image, lambda strip: Image.fromarray(_levels(strip, scale)).convert("RGB"))


def _levels(strip: Image, scale: Scale) -> NDArray[Any]:
    return scale.apply(_values(strip))


def _values(strip: Image) -> NDArray[Any]:
    import numpy as np

    return np.asarray(strip)


def _from_lab(image: Image) -> Image:
    from PIL import ImageCms

    transform = ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")
    result = ImageCms.applyTransform(image, transform)
    return image.convert("RGB") if result is None else result
