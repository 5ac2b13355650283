#!/usr/bin/env bash
# Where is longitude 181, which a footprint across the antimeridian has? mercantile 1.2.1 clamps it to the last column of tiles, morecantile 7.1.0
# wraps it to the first: the two put one point at opposite ends of the map, and neither says so.
# Seen at zoom 3, latitude 0: mercantile x = 7 for 179, 180 and 181; morecantile x = 7, 7 and 0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check morecantile==7.1.0 mercantile==1.2.1
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import mercantile
import morecantile

grid = morecantile.tms.get("WebMercatorQuad")
clamped = [mercantile.tile(longitude, 0, 3).x for longitude in (179, 180, 181)]
wrapped = [grid.tile(longitude, 0, 3).x for longitude in (179, 180, 181)]
print("columns of 179, 180, 181 by mercantile:", clamped)
print("columns of 179, 180, 181 by morecantile:", wrapped)
assert clamped == [7, 7, 7]
assert wrapped == [7, 7, 0]
PYTHON
