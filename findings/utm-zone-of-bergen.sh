#!/usr/bin/env bash
# Which UTM zone is Bergen in? The grid has exceptions for Norway, which utm 0.9.0 and mgrs 1.6.0 follow (32 V) and geopandas 1.2.0's
# estimate_utm_crs does not (zone 31). Eastings and northings of one library read with the zone of the other are hundreds of kilometres off,
# and both zones look right for the place.
# Seen for 60.39 N 5.32 E: EPSG:32631 by geopandas, 32V by utm and mgrs; the easting is 627,860 in one and 297,230 in the other.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check geopandas==1.2.0 utm==0.9.0 mgrs==1.6.0 pyproj==3.7.2
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import geopandas
import mgrs
import utm
from pyproj import Transformer
from shapely.geometry import Point

crs = geopandas.GeoSeries([Point(5.32, 60.39)], crs=4326).estimate_utm_crs()
easting, northing = Transformer.from_crs(4326, crs, always_xy=True).transform(5.32, 60.39)
other = utm.from_latlon(60.39, 5.32)
code = mgrs.MGRS().toMGRS(60.39, 5.32)
print(f"geopandas: EPSG:{crs.to_epsg()}, {easting:.0f} {northing:.0f}")
print(f"utm: zone {other[2]}{other[3]}, {other[0]:.0f} {other[1]:.0f}; mgrs: {code}")
assert crs.to_epsg() == 32631
assert other[2:] == (32, "V")
assert code.startswith("32V")
assert easting - other[0] > 300_000
PYTHON
