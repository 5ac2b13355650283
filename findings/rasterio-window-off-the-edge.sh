#!/usr/bin/env bash
# rasterio 1.4.4 reads a window that begins outside the raster without an error and without filling: the part outside is left out, while
# window_transform still gives the corner of the window asked for. A chip cut around a position near the border is placed too far out by the
# missing part. Only boundless=True (or window.intersection) keeps the two together.
# Seen for a window that begins 5 pixels before both edges: 5 x 5 values instead of 10 x 10, the first is the raster's first pixel, and its
# place is given 5 m west and 5 m north of where it lies.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check rasterio==1.4.4
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys

import numpy as np
import rasterio
from rasterio.transform import from_origin
from rasterio.windows import Window

path = sys.argv[1] + "/map.tif"
values = np.arange(10000, dtype="float32").reshape(100, 100)
shape = {"width": 100, "height": 100, "count": 1, "dtype": "float32"}
with rasterio.open(path, "w", driver="GTiff", crs="EPSG:32633", transform=from_origin(500000, 5800000, 1, 1), **shape) as file:
    file.write(values, 1)
window = Window(-5, -5, 10, 10)
with rasterio.open(path) as file:
    chip = file.read(1, window=window)
    place = file.window_transform(window)
    true_corner = file.transform * (0, 0)
    full = file.read(1, window=window, boundless=True)
print("chip:", chip.shape, "first value", chip[0, 0], "which lies at", true_corner)
print("place by window_transform:", place * (0, 0))
print("boundless:", full.shape)
assert chip.shape == (5, 5)
assert chip[0, 0] == values[0, 0]
assert place * (0, 0) == (499995, 5800005)
assert true_corner == (500000, 5800000)
assert full.shape == (10, 10)
PYTHON
