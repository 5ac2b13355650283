#!/usr/bin/env bash
# h3 4.5.0 takes any latitude: coordinates in the wrong order, which a check of the range would find east of 90 degrees, give a valid cell
# in another part of the world.
# Seen for Tokyo as (139.69, 35.68), longitude first: a cell at 40.31 N 144.32 W, in the Pacific.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check h3==4.5.0
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import h3

cell = h3.latlng_to_cell(139.69, 35.68, 9)
latitude, longitude = h3.cell_to_latlng(cell)
print(f"{cell}: {latitude:.2f}, {longitude:.2f}")
assert h3.is_valid_cell(cell)
assert abs(latitude - 40.31) < 0.01
assert abs(longitude - -144.32) < 0.01
PYTHON
