"""Opening of image files: upright, RGB, with all of their bits."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from cvgl.errors import DataError
from cvgl.imaging import raster
from cvgl.imaging.conversion import to_rgb, without_false_alpha
from cvgl.imaging.decoding import UPRIGHT, DecodedImage, decode_stream, orientation
from cvgl.imaging.errors import (
    DECODER_ERRORS,
    ImageError,
    decoding_error,
    out_of_memory,
)

if TYPE_CHECKING:
    from PIL.Image import Image

# Where Pillow itself refuses (twice its warning level); also the default of IngestConfig.max_pixels.
MAX_PIXELS = 178_956_970


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
    with decode_stream(stream, max_pixels, source) as image_file:
        return image_file.image


@contextmanager
def decoded(
    stream: BinaryIO, max_pixels: int, source: object, before: Callable[[int, int], None] | None = None
) -> Iterator[Image]:
    """As `decode`; other threads' images wait for memory until the `with` block is left, and the pixels go with it.

    Args:
        stream: at its beginning.
        max_pixels: more are refused by the header alone.
        source: what to call the file in errors.
        before: told width and height of an image that is so large that decoding it might end the process, right before that.
    """
    with decode_stream(stream, max_pixels, source, before=before) as image_file:
        try:
            yield image_file.image
        finally:
            _release(image_file.image)


def _release(image: Any) -> None:
    """Gives the memory of the pixels back at once, whoever still refers to the image; its file stays open."""
    image.im = None


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
    with decode_stream(stream, max_pixels, source, draft=draft, converted=True) as image_file:
        try:
            image = _rgb(image_file, stream, source)
        except DECODER_ERRORS as error:
            raise decoding_error(error, source) from error
        except MemoryError as error:
            raise out_of_memory(image_file.image.width, image_file.image.height, source) from error
        yield image


def _rgb(image_file: DecodedImage, stream: BinaryIO, source: object) -> Image:
    from PIL import Image

    image, turn = image_file.image, orientation(image_file.image)
    if not image_file.by_gdal:
        image = _in_full_depth(image_file, stream, source) or to_rgb(
            without_false_alpha(image), None if image_file.page is None else image_file.page.nodata
        )
    return image if turn == 1 else image.transpose(Image.Transpose[UPRIGHT[turn]])


def _in_full_depth(image_file: DecodedImage, stream: BinaryIO, source: object) -> Image | None:
    """The image read anew with all of its bits, where the upper 8 of several channels tell too little."""
    import numpy as np

    from cvgl.imaging.scaling import spans_few_levels

    image, page = image_file.image, image_file.page
    if not image_file.is_deep:
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
