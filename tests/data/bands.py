"""Rasters as mapping programs write them, made in memory."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def pattern(size: int = 48, seed: int = 0) -> NDArray[np.float64]:
    """A smooth pattern from 0 to 1, (size, size)."""
    cells = np.random.default_rng(seed).uniform(0, 255, (6, 6)).astype(np.uint8)
    values = np.asarray(Image.fromarray(cells).resize((size, size), Image.Resampling.BICUBIC), np.float64)
    scaled: NDArray[np.float64] = (values - values.min()) / (values.max() - values.min())
    return scaled


def raster(bands: NDArray[Any], driver: str = "GTiff", **options: Any) -> bytes:
    """A file of bands (count, height, width) in a format of GDAL's."""
    from rasterio.errors import NotGeoreferencedWarning
    from rasterio.io import MemoryFile

    count, height, width = bands.shape
    with warnings.catch_warnings(), MemoryFile() as file:
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with file.open(driver=driver, count=count, height=height, width=width, dtype=bands.dtype, **options) as target:
            target.write(bands)
        file.seek(0)
        return bytes(file.read())
