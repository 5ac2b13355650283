#!/usr/bin/env bash
# A file geodatabase written by pyogrio 0.13.0 (GDAL 3.12.4) holds whole seconds: the times of frames are rounded, without a warning, and 30
# frames of a second share one or two times. A drone flies some metres in half a second. With TARGET_ARCGIS_VERSION=ARCGIS_PRO_3_2_OR_LATER
# the fractions stay; a GeoPackage keeps them anyway.
# Seen: 10:15:20.900 comes back as 10:15:21, as 10:15:20.900 with the option and from a GeoPackage.
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
frame = geopandas.GeoDataFrame({"time": pandas.to_datetime(["2024-01-01T10:15:20.9Z"])}, geometry=[Point(13, 52)], crs=4326)
times = {}
for name, options in (("plain.gdb", {"driver": "OpenFileGDB"}), ("plain.gpkg", {"driver": "GPKG"}),
                      ("new.gdb", {"driver": "OpenFileGDB", "TARGET_ARCGIS_VERSION": "ARCGIS_PRO_3_2_OR_LATER"})):
    frame.to_file(f"{sys.argv[1]}/{name}", **options)
    times[name] = geopandas.read_file(f"{sys.argv[1]}/{name}").time[0]
    print(name, times[name])
assert times["plain.gdb"] - frame.time[0] == pandas.Timedelta("100ms")
assert times["plain.gpkg"] == times["new.gdb"] == frame.time[0]
PYTHON
