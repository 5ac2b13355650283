#!/usr/bin/env bash
# The same frame in UTM by the same call is written in UTM to GeoJSON and in longitude and latitude to GeoJSONSeq (pyogrio 0.13.0, GDAL
# 3.12.4): one driver keeps the metres and adds a "crs" member, the other transforms to WGS 84. Whoever changes the driver for streaming
# changes the unit, and the height is cut to millimetres.
# Seen: 391772.47 5820072.19 in one, 13.4049 52.519999 in the other; no warning.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check geopandas==1.2.0 pyogrio==0.13.0
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import json
import sys
import warnings
from pathlib import Path

import geopandas
from shapely.geometry import Point

warnings.simplefilter("error")
frame = geopandas.GeoDataFrame({"name": ["a"]}, geometry=[Point(391772.47, 5820072.19, 12.34567)], crs=32633)
frame.to_file(sys.argv[1] + "/a.geojson", driver="GeoJSON")
frame.to_file(sys.argv[1] + "/a.geojsonl", driver="GeoJSONSeq")
whole = json.loads(Path(sys.argv[1] + "/a.geojson").read_text())["features"][0]["geometry"]["coordinates"]
line = json.loads(Path(sys.argv[1] + "/a.geojsonl").read_text())["geometry"]["coordinates"]
print("GeoJSON:", whole)
print("GeoJSONSeq:", line)
assert abs(whole[0] - 391772.47) < 1e-6
assert abs(line[0] - 13.4049) < 1e-5
assert (whole[2], line[2]) == (12.34567, 12.346)
PYTHON
