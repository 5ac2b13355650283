#!/usr/bin/env bash
# exif 1.6.1 writes a whole-number zero in a position as 0/0: its own reader gives 0 back, Pillow 13.0.0 gives nan. It hits every place
# within a degree of Greenwich or the equator and every whole minute, if the parts come as int (as they do from divmod or int()); 0.0 is
# written as 0/1.
# Seen for (0, 7, 24.4): exif reads 0, 7, 24.4, Pillow nan, 7, 24.4; for (0.0, 7.0, 24.4) both agree.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check exif==1.6.1 pillow==13.0.0
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import io
import math

import exif
from PIL import Image

stream = io.BytesIO()
Image.new("RGB", (64, 48)).save(stream, "JPEG")
seen = {}
for parts in ((0, 7, 24.4), (0.0, 7.0, 24.4)):
    picture = exif.Image(stream.getvalue())
    picture.gps_longitude = parts
    picture.gps_longitude_ref = "W"
    written = picture.get_file()
    with Image.open(io.BytesIO(written)) as other:
        seen[repr(parts)] = (exif.Image(written).gps_longitude, [float(part) for part in other.getexif().get_ifd(0x8825)[4]])
    print(parts, "-> exif", seen[repr(parts)][0], "Pillow", seen[repr(parts)][1])
whole, decimal = seen.values()
assert whole[0] == (0, 7.0, 24.4)
assert math.isnan(whole[1][0])
assert decimal[0] == (0.0, 7.0, 24.4)
assert decimal[1] == [0.0, 7.0, 24.4]
PYTHON
