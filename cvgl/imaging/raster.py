"""Rasters that Pillow cannot read, or not in full depth: read by rasterio, from memory, by a driver that the content chose.

Nothing beside the file is looked at, and no driver that could lead to another file is let in.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from cvgl.imaging import memory
from cvgl.imaging.errors import DECODER_ERRORS, NotAnImageError, decoding_error, out_of_memory, too_much_memory
from cvgl.imaging.headers import size_of
from cvgl.imaging.scaling import MAX_INTERMEDIATE, choose_scale

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

_DRIVERS = {"TIFF": "GTiff", "PNG": "PNG", "JPEG2000": "JP2OpenJPEG"}
_STRIP_PIXELS = 4_000_000
_CACHE_MIB = 64
_COLOURS = ("red", "green", "blue")
_INKS = ("cyan", "magenta", "yellow", "black")


def read(
    stream: BinaryIO,
    kind: str,
    origin: object,
    *,
    admit: Callable[[int, int], None],
    page: int = 0,
    only_deep: bool = False,
) -> Image | None:
    """Decodes a raster to 8-bit RGB: its red, green and blue bands, else its first three, else its first as grey.

    Args:
        stream: the open file.
        kind: Pillow's name of the format.
        origin: for errors.
        admit: told width and height before anything is decoded; raises where that is too much.
        page: of a TIFF, from 0.
        only_deep: give None for a raster of 8-bit samples.

    Raises:
        ImageError: it does not decode, or is none.
    """
    from PIL import Image

    with _opened(stream, kind, page, origin) as source:
        admit(source.width, source.height)
        if only_deep and source.dtypes[0] == "uint8":
            return None
        if any(name.startswith("complex") for name in source.dtypes):
            raise NotAnImageError(
                "the file holds complex numbers, no image", where=origin, fix="export magnitudes as a GeoTIFF of one band"
            )
        bands = _bands(source)
        need = _bytes_needed(source, bands) + size_of(stream)
        with memory.reserve(need) as suffices:
            if not suffices:
                raise too_much_memory(source.width, source.height, need, origin)
            try:
                levels = _levels(source, bands)
            except MemoryError as error:
                raise out_of_memory(source.width, source.height, origin) from error
            colour_map = _colour_map(source, bands)
            if colour_map is not None:
                levels = colour_map[levels]
            image = Image.fromarray(levels)
            if len(bands) == 4 and levels.shape[-1] == 4:
                image = Image.frombuffer("CMYK", image.size, levels.tobytes(), "raw", "CMYK", 0, 1)
            return image.convert("RGB")


@contextmanager
def _opened(stream: BinaryIO, kind: str, page: int, origin: object) -> Iterator[Any]:
    import rasterio
    from rasterio._err import CPLE_BaseError  # damaged geo keys are raised as such by what only asks for a band's colour
    from rasterio.errors import NotGeoreferencedWarning, RasterioError
    from rasterio.io import MemoryFile

    logging.getLogger("rasterio._err").setLevel(logging.CRITICAL)  # what it logs is raised as well
    warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)
    stream.seek(0)
    data = stream.read()
    options: dict[str, Any] = {
        "GDAL_PAM_ENABLED": "NO",
        "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
        "GDAL_CACHEMAX": _CACHE_MIB,
        "GDAL_NUM_THREADS": "1",
        "GTIFF_IGNORE_READ_ERRORS": "NO",
    }
    try:
        with rasterio.Env(**options), MemoryFile(data) as file:
            address = f"GTIFF_DIR:{page + 1}:{file.name}" if page else file.name
            with rasterio.open(address, driver=_DRIVERS[kind]) as source:
                yield source
    except (RasterioError, CPLE_BaseError, *DECODER_ERRORS) as error:
        raise decoding_error(_without_address(error), origin) from error


def _without_address(error: BaseException) -> BaseException:
    """The error in words that do not change from run to run: names of files in memory are random."""
    cause = error.__cause__ or error
    words = " ".join("the file" if "/vsimem/" in word else word for word in str(cause).split())
    return ValueError(words or type(error).__name__)


def _bands(source: Any) -> list[int]:
    """Numbers of the bands that make the image: three, one, or the four inks."""
    roles: dict[str, int] = {}
    for number, interpretation in zip(source.indexes, source.colorinterp, strict=True):
        roles.setdefault(interpretation.name, number)
    if all(name in roles for name in _INKS):
        return [roles[name] for name in _INKS]
    if all(name in roles for name in _COLOURS):
        return [roles[name] for name in _COLOURS]
    colours = [number for number, colour in zip(source.indexes, source.colorinterp, strict=True) if colour.name != "alpha"]
    colours = colours or list(source.indexes)
    return colours[:3] if len(colours) >= 3 else colours[:1]


def _alpha(source: Any) -> int | None:
    return next(
        (number for number, colour in zip(source.indexes, source.colorinterp, strict=True) if colour.name == "alpha"), None
    )


def _rows(source: Any) -> int:
    """Rows that are read at once: whole blocks, because each is decoded as a whole."""
    block = max(1, int(source.block_shapes[0][0]))
    wanted = max(1, _STRIP_PIXELS // max(1, source.width))
    return int(min(int(source.height), max(1, wanted // block) * block))


def _bytes_needed(source: Any, bands: Sequence[int]) -> int:
    bytes_per_sample = max(np.dtype(name).itemsize for name in source.dtypes)
    down, across = source.block_shapes[0]
    block = down * across * source.count * bytes_per_sample
    strip = _rows(source) * source.width * (len(bands) + 1) * (bytes_per_sample + 18)
    whole = source.width * source.height * (2 * len(bands) + 4)
    return int(block + strip + whole + (_CACHE_MIB << 20))


def _strips(source: Any, bands: Sequence[int]) -> Iterator[tuple[int, NDArray[Any]]]:
    """(first row, values (rows, width, bands)) from top to bottom."""
    from rasterio.windows import Window

    rows = _rows(source)
    for top in range(0, source.height, rows):
        window = Window(0, top, source.width, min(rows, source.height - top))
        yield top, np.moveaxis(source.read(list(bands), window=window), 0, -1)


def _levels(source: Any, bands: Sequence[int]) -> NDArray[np.uint8]:
    """uint8 (height, width, bands), or (height, width) of one band."""
    nodata = next((value for value in source.nodatavals if value is not None), None)
    pixels = source.width * source.height
    in_bytes = all(source.dtypes[band - 1] == "uint8" for band in bands)
    scale = None if in_bytes else choose_scale(lambda: _values(source, bands), pixels, nodata)
    alpha = _mask_band(source)
    inverted = source.tags(ns="IMAGE_STRUCTURE").get("MINISWHITE") == "YES"
    levels = np.empty((source.height, source.width, len(bands)), np.uint8)
    for top, values in _strips(source, bands):
        strip = values if scale is None else scale.apply(values)
        levels[top : top + len(strip)] = 255 - strip if inverted else strip
    if alpha is not None:
        for top, values in _strips(source, [alpha]):
            _lay_on_white(levels[top : top + len(values)], values, source.dtypes[alpha - 1])
    return levels[:, :, 0] if len(bands) == 1 else levels


def _values(source: Any, bands: Sequence[int]) -> Iterator[NDArray[Any]]:
    return (values for _, values in _strips(source, bands))


def _mask_band(source: Any) -> int | None:
    """The alpha band, if nearly all of it is nothing or full: GDAL calls any fourth band so."""
    number = _alpha(source)
    if number is None:
        return None
    full = _full(source.dtypes[number - 1])
    total = source.width * source.height
    plain = sum(int(((values == 0) | (values == full)).sum()) for _, values in _strips(source, [number]))
    return number if total - plain <= MAX_INTERMEDIATE * total else None


def _full(name: str) -> float:
    kind = np.dtype(name)
    return float(np.iinfo(kind).max) if np.issubdtype(kind, np.integer) else 1.0


def _lay_on_white(levels: NDArray[np.uint8], alpha: NDArray[Any], name: str) -> None:
    share = np.nan_to_num(alpha.astype(np.float32) / np.float32(_full(name))).clip(0, 1)
    levels[:] = np.rint(levels * share + 255 * (1 - share)).astype(np.uint8)


def _colour_map(source: Any, bands: Sequence[int]) -> NDArray[np.uint8] | None:
    """(256, 3) colours of a palette."""
    with suppress(ValueError):
        if len(bands) == 1 and source.dtypes[bands[0] - 1] == "uint8":
            colours = source.colormap(bands[0])
            return np.asarray([colours.get(value, (0, 0, 0, 0))[:3] for value in range(256)], np.uint8)
    return None
