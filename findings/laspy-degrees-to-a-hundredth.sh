#!/usr/bin/env bash
# laspy 2.7.0 keeps coordinates as whole multiples of the header's scale, 0.01 by default, and rounds them when they are set: metres lose
# half a centimetre, degrees up to 550 m of latitude. Nothing is said; the array read back from the same object is the rounded one.
# Seen: 13.404954, 52.520008 becomes 13.40, 52.52; with scales of 1e-7 it stays.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check laspy==2.7.0 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import laspy
import numpy as np

seen = {}
for name, scales in (("by default", None), ("with scales 1e-7", [1e-7, 1e-7, 0.001])):
    header = laspy.LasHeader(point_format=6, version="1.4")
    if scales:
        header.scales = scales
    cloud = laspy.LasData(header)
    cloud.x, cloud.y, cloud.z = np.array([13.404954]), np.array([52.520008]), np.array([34.1234])
    seen[name] = [float(axis[0]) for axis in (cloud.x, cloud.y, cloud.z)]
    print(name, seen[name])
assert seen["by default"] == [13.4, 52.52, 34.12]
assert abs(seen["with scales 1e-7"][0] - 13.404954) < 1e-9
assert abs(seen["with scales 1e-7"][1] - 52.520008) < 1e-9
PYTHON
