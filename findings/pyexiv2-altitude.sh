#!/usr/bin/env bash
# pyexiv2 2.16.0 sets an altitude given as "123.45" to nothing and wipes the one that was there, without an error: the tag wants
# "12345/100". A height below the sea given as "-5/1" goes in as 4294967291 m, since the sign belongs into another tag.
# Seen: "100/1" stays, "123.45" leaves '', "-5/1" leaves 4294967291/1.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check pyexiv2==2.16.0 pillow==13.0.0
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import io

import pyexiv2
from PIL import Image

TAG = "Exif.GPSInfo.GPSAltitude"
stream = io.BytesIO()
Image.new("RGB", (8, 8)).save(stream, "JPEG")
picture = pyexiv2.ImageData(stream.getvalue())
seen = {}
for text in ("100/1", "123.45", "-5/1"):
    picture.modify_exif({TAG: text})
    seen[text] = picture.read_exif().get(TAG)
    print(f"{text}: {seen[text]!r}")
picture.close()
assert seen == {"100/1": "100/1", "123.45": "", "-5/1": "4294967291/1"}
PYTHON
