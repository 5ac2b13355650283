#!/usr/bin/env bash
# Pillow 13.0.0 takes exif= for every format and drops it for JPEG 2000 without a word: a picture with a position converted to .jp2 has lost
# it, while the same call keeps it in JPEG, PNG, WebP, AVIF and TIFF.
# Seen: latitude 52, 30, 0 in five formats, nothing in JPEG 2000.
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
exif = Image.Exif()
exif[0x010F] = "DJI"
exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 30.0, 0.0), 3: "E", 4: (13.0, 24.0, 0.0)})
source = io.BytesIO()
Image.new("RGB", (64, 48)).save(source, "JPEG", exif=exif)
seen = {}
for kind in ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "JPEG2000"):
    stream = io.BytesIO()
    with Image.open(source) as picture:
        picture.save(stream, kind, exif=picture.getexif())
    with Image.open(stream) as picture:
        seen[kind] = picture.getexif().get_ifd(0x8825).get(2)
    print(kind, seen[kind])
assert seen.pop("JPEG2000") is None
assert set(seen.values()) == {(52.0, 30.0, 0.0)}
PYTHON
