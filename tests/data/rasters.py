"""Small rasters that say where they lie, written by rasterio (GDAL), or by Pillow with the tags spelt out."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, TiffImagePlugin

WIDTH, HEIGHT = 30, 20
UTM = "EPSG:32632"
NORTH_UP = (2.0, 0.0, 500_000.0, 0.0, -2.0, 5_200_000.0)
"""2 m a pixel; the middle of the image is at 500030, 5199980."""
KEYS_UTM = (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32632)
KEYS_UTM_POINT = (*KEYS_UTM[:11], 2, *KEYS_UTM[12:])
SCALE, TIE_POINT, MATRIX, KEYS, RPC, ORIENTATION = 33550, 33922, 34264, 34735, 50844, 274


def raster(
    path: Path,
    transform: Sequence[float] | None = NORTH_UP,
    crs: str | None = UTM,
    *,
    driver: str = "GTiff",
    tags: Mapping[str, str] | None = None,
    seed: int = 0,
    **options: Any,
) -> Path:
    """Writes an RGB raster of 30 x 20 pixels through GDAL."""
    import rasterio
    from rasterio.enums import ColorInterp
    from rasterio.transform import Affine

    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (3, HEIGHT, WIDTH), np.uint8)
    placed = {} if transform is None else {"transform": Affine(*transform)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shape = {"width": WIDTH, "height": HEIGHT, "count": 3, "dtype": "uint8"}
        with rasterio.open(path, "w", driver=driver, crs=crs, **shape, **placed, **options) as dataset:
            # Without it GDAL writes a JPEG 2000 that declares three greys, which Pillow does not decode.
            dataset.colorinterp = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
            dataset.write(pixels)
            if tags:
                dataset.update_tags(**tags)
    return path


def tagged(path: Path, tags: Mapping[int, Sequence[float]], seed: int = 0) -> Path:
    """Writes a TIFF of 30 x 20 pixels with these tags, doubles but for the keys."""
    path.parent.mkdir(parents=True, exist_ok=True)
    directory = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, values in tags.items():
        directory.tagtype[tag] = 3 if tag in (KEYS, ORIENTATION) else 12
        directory[tag] = values[0] if tag == ORIENTATION else tuple(values)
    image(seed).save(path, tiffinfo=directory)
    return path


def image(seed: int = 0) -> Image.Image:
    """RGB, 30 x 20."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8))


def plain(path: Path, seed: int = 0) -> Path:
    """Writes an image that says nothing of where it lies, in the format of its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image(seed).save(path)
    return path


def world_file(path: Path, transform: Sequence[float] = NORTH_UP, crs: str | None = None) -> Path:
    """Writes the world file of a transform about corners: C and F are the middle of the first pixel."""
    a, b, c, d, e, f = transform
    path.write_text("".join(f"{number!r}\n" for number in (a, d, b, e, c + (a + b) / 2, f + (d + e) / 2)))
    if crs is not None:
        path.with_suffix(".prj").write_text(crs)
    return path


def aux_xml(image: Path, crs: str | None = None, transform: Sequence[float] | None = None) -> Path:
    """Writes GDAL's `.aux.xml` beside an image."""
    srs = "" if crs is None else f'<SRS dataAxisToSRSAxisMapping="2,1">{crs}</SRS>'
    numbers = ""
    if transform is not None:
        a, b, c, d, e, f = transform
        numbers = f"<GeoTransform>{', '.join(map(repr, (c, a, b, f, d, e)))}</GeoTransform>"
    path = image.with_name(f"{image.name}.aux.xml")
    path.write_text(f"<PAMDataset>{srs}{numbers}</PAMDataset>")
    return path
