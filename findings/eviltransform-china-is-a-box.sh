#!/usr/bin/env bash
# eviltransform 0.1.1 shifts WGS 84 to the Chinese GCJ-02 wherever a position lies in its idea of China, which is a box from 72.0 to 137.8 E
# and 0.8 to 55.8 N: it holds Korea, Vietnam, most of India and the west of Japan, where no map is shifted. "Outside China is left alone"
# holds for Berlin, not for Seoul.
# Seen: Seoul moves by 460 m, Hanoi by 440 m, Delhi by 480 m, Fukuoka by 560 m; Tokyo (139.7 E) and Berlin stay.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check eviltransform==0.1.1 geographiclib==2.1
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import eviltransform
from geographiclib.geodesic import Geodesic

PLACES = {"Seoul": (37.5665, 126.978), "Hanoi": (21.03, 105.85), "Delhi": (28.6, 77.2), "Fukuoka": (33.59, 130.4), "Tokyo": (35.68, 139.7),
          "Berlin": (52.52, 13.4)}
moved = {}
for name, place in PLACES.items():
    moved[name] = Geodesic.WGS84.Inverse(*place, *eviltransform.wgs2gcj(*place))["s12"]
    print(f"{name}: {moved[name]:.0f} m")
assert all(moved[name] > 400 for name in ("Seoul", "Hanoi", "Delhi", "Fukuoka"))
assert moved["Tokyo"] == moved["Berlin"] == 0
PYTHON
