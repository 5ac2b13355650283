#!/usr/bin/env bash
# rioxarray 0.19.0 keeps the transform of the file for a rotated raster, whatever is cut out of it: a crop is written with the corner and
# the pixel size of the whole, and the only hint is a warning ("Unable to recalculate") when it is written. For a north-up raster the same
# crop is placed rightly, so a test with one of those shows nothing.
# Seen for a raster turned by 30 degrees: the crop that begins at pixel 50, 50 has its corner at the file's first pixel (71 m off), every
# second pixel of it still counts as 1 m, and the file written from it says the same.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check rioxarray==0.19.0 rasterio==1.4.4 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys

import numpy as np
import rasterio
import rioxarray
from affine import Affine

folder = sys.argv[1]
turned = Affine.translation(500000, 5800000) * Affine.rotation(30) * Affine.scale(1, -1)
upright = Affine.translation(500000, 5800000) * Affine.scale(1, -1)
corners = {}
for name, transform in (("turned", turned), ("upright", upright)):
    shape = {"width": 100, "height": 100, "count": 1, "dtype": "float32"}
    with rasterio.open(f"{folder}/{name}.tif", "w", driver="GTiff", crs="EPSG:32633", transform=transform, **shape) as file:
        file.write(np.ones((1, 100, 100), "float32"))
    crop = rioxarray.open_rasterio(f"{folder}/{name}.tif")[:, 50:, 50:]
    crop.rio.to_raster(f"{folder}/{name}-crop.tif")
    with rasterio.open(f"{folder}/{name}-crop.tif") as file:
        corners[name] = np.array(file.transform * (0, 0)) - transform * (50, 50)
    print(f"{name}: the corner of the crop is {np.hypot(*corners[name]):.1f} m off")
thinned = rioxarray.open_rasterio(f"{folder}/turned.tif")[:, ::2, ::2]
print("pixel of every second one:", thinned.rio.transform().a, "instead of", turned.a * 2)
assert abs(np.hypot(*corners["turned"]) - 50 * 2**0.5) < 1e-6
assert np.hypot(*corners["upright"]) < 1e-6
assert thinned.rio.transform() == turned
PYTHON
