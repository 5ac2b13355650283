#!/usr/bin/env bash
# geojson 3.3.0 rounds every coordinate to six digits behind the point when a geometry is made, whatever its unit, without a word. In degrees
# that is up to 5.6 cm of latitude: below the figures of an RTK receiver, and of a survey's control points.
# Seen: a point at 13.123456789, 52.987654321 is written as 13.123457, 52.987654; with precision=9 it is written as it was given.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check geojson==3.3.0
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import geojson

point = geojson.Point((13.123456789, 52.987654321))
exact = geojson.Point((13.123456789, 52.987654321), precision=9)
print("by default:", geojson.dumps(point))
print("precision=9:", geojson.dumps(exact))
assert point["coordinates"] == [13.123457, 52.987654]
assert exact["coordinates"] == [13.123456789, 52.987654321]
PYTHON
