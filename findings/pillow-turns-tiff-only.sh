#!/usr/bin/env bash
# Pillow 13.0.0 turns a TIFF by its orientation tag as it opens it, and no JPEG: the same picture saved as both has its sides exchanged in
# one of them. Pixel positions measured by rasterio 1.4.4 (which never turns) then lie elsewhere in Pillow's TIFF, and the tag that would
# tell is taken out after loading.
# Seen for 60 x 40 with orientation 6: JPEG (60, 40) with tag 6, TIFF (40, 60) without a tag; rasterio 60 x 40 for both.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check pillow==13.0.0 rasterio==1.4.4
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
import warnings

import rasterio
from PIL import Image

warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
seen = {}
for name in ("picture.jpg", "picture.tif"):
    path = f"{sys.argv[1]}/{name}"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (60, 40)).save(path, exif=exif)
    with Image.open(path) as picture, rasterio.open(path) as raster:
        picture.load()
        seen[name] = (picture.size, picture.getexif().get(0x0112), (raster.width, raster.height))
    print(f"{name}: Pillow {seen[name][0]}, tag {seen[name][1]}; rasterio {seen[name][2]}")
assert seen["picture.jpg"] == ((60, 40), 6, (60, 40))
assert seen["picture.tif"] == ((40, 60), None, (60, 40))
PYTHON
