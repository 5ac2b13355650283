#!/usr/bin/env bash
# A MapInfo table (.tab) written by pyogrio 0.13.0 (GDAL 3.12.4) keeps coordinates on a grid of about 2 cm unless BOUNDS is given, drops the
# height, and turns a time in UTC into one without a zone, all without a warning; the .mif of the same driver keeps the digits. An RTK
# position is worth less after it.
# Seen: 391772.472249 5820072.198370 12.346 comes back as 391772.47 5820072.2, without height and zone; exact to a millimetre with BOUNDS.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check geopandas==1.2.0 pyogrio==0.13.0
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
import warnings

import geopandas
import pandas
from shapely.geometry import Point

warnings.simplefilter("error")
frame = geopandas.GeoDataFrame({"time": pandas.to_datetime(["2024-01-01T10:15:20.9Z"])},
                               geometry=[Point(391772.472249, 5820072.198370, 12.346)], crs=32633)
rows = {}
for name, options in (("plain.tab", {}), ("bounds.tab", {"BOUNDS": "300000,5000000,700000,6000000"}), ("plain.mif", {})):
    path = f"{sys.argv[1]}/{name}"
    frame.to_file(path, driver="MapInfo File", **options)
    rows[name] = geopandas.read_file(path).iloc[0]
    print(f"{name}: {rows[name].geometry.wkt}, height {rows[name].geometry.has_z}, {rows[name].time!r}")
truth = frame.geometry[0]
assert rows["plain.tab"].geometry.x == 391772.47
assert abs(rows["plain.tab"].geometry.y - 5820072.2) < 1e-6
assert rows["bounds.tab"].geometry.distance(truth) < 0.001
assert rows["plain.mif"].geometry.distance(truth) < 1e-6
assert not any(row.geometry.has_z for row in rows.values())
assert all(row.time.tzinfo is None for row in rows.values())
PYTHON
