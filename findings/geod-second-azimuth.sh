#!/usr/bin/env bash
# The second azimuth of a geodesic is another quantity in two libraries that compute the same geodesic: pyproj 3.7.2 gives the direction back
# to the first point, geographiclib 2.1 (and the books) the direction in which the line goes on. They differ by 180 degrees, so a heading
# taken from the second value turns round when the library is exchanged.
# Seen from 52 N 13 E to 52.5 N 14 E: pyproj -128.77, geographiclib 51.23; the lengths agree to a micrometre.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check pyproj==3.7.2 geographiclib==2.1
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
from geographiclib.geodesic import Geodesic
from pyproj import Geod

_, back, length = Geod(ellps="WGS84").inv(13, 52, 14, 52.5)
line = Geodesic.WGS84.Inverse(52, 13, 52.5, 14)
print(f"pyproj: {back:.2f} degrees, {length:.6f} m")
print(f"geographiclib: {line['azi2']:.2f} degrees, {line['s12']:.6f} m")
assert abs(length - line["s12"]) < 1e-6
assert abs(back - -128.7717) < 1e-3
assert abs(line["azi2"] - 51.2283) < 1e-3
assert abs(line["azi2"] - back - 180) < 1e-9
PYTHON
