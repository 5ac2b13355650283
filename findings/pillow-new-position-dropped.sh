#!/usr/bin/env bash
# Pillow 13.0.0 writes a position put into a new Exif object to JPEG and WebP, and drops it without a word from PNG and AVIF when the object
# holds nothing else (it counts as empty), and from TIFF even when it holds more. A tool that geotags pictures and was tried on JPEG loses
# the positions of the rest.
# Seen for a position alone: kept in JPEG and WebP, gone in PNG, AVIF, TIFF; with the maker's name beside it: gone in TIFF only.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check pillow==13.0.0
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import io
import warnings

from PIL import Image

warnings.simplefilter("error")
kept = {}
for maker in (None, "DJI"):
    for kind in ("JPEG", "WEBP", "PNG", "AVIF", "TIFF"):
        exif = Image.Exif()
        if maker:
            exif[0x010F] = maker
        exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 30.0, 0.0), 3: "E", 4: (13.0, 24.0, 0.0)})
        stream = io.BytesIO()
        Image.new("RGB", (64, 48)).save(stream, kind, exif=exif)
        with Image.open(stream) as picture:
            kept[maker, kind] = picture.getexif().get_ifd(0x8825).get(2) == (52.0, 30.0, 0.0)
    print(f"maker {maker}:", {kind: there for (name, kind), there in kept.items() if name == maker})
assert {kind for (maker, kind), there in kept.items() if not maker and there} == {"JPEG", "WEBP"}
assert {kind for (maker, kind), there in kept.items() if maker and there} == {"JPEG", "WEBP", "PNG", "AVIF"}
PYTHON
