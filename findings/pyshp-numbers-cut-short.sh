#!/usr/bin/env bash
# pyshp 3.1.6 cuts a number that is wider than its field at the right, so that a northing loses its last digit and is a tenth of itself, and
# makes numeric fields with no digits behind the point unless told otherwise, for "F" (float) too: a latitude becomes a whole degree.
# Neither is an error or a warning.
# Seen: 5820072 in a field of six digits is read back as 582007, 52.987654321 in a field "F" as 52.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check pyshp==3.1.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
import warnings

import shapefile

warnings.simplefilter("error")
path = sys.argv[1] + "/points"
with shapefile.Writer(path, shapeType=shapefile.POINT) as writer:
    writer.field("northing", "N", size=6)
    writer.field("latitude", "F")
    writer.field("lat_9", "N", decimal=9)
    writer.point(391772.47, 5820072.19)
    writer.record(5820072, 52.987654321, 52.987654321)
with shapefile.Reader(path) as reader:
    record = list(reader.record(0))
    place = list(reader.shape(0).points[0])
print("fields:", record, "geometry:", place)
assert record == [582007, 52, 52.987654321]
assert place == [391772.47, 5820072.19]
PYTHON
