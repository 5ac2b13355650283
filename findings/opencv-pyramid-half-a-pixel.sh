#!/usr/bin/env bash
# OpenCV's pyrDown (4.13.0) centres each pixel of the smaller picture on an even pixel of the larger one, not between the two that it stands
# for, as scikit-image's pyramid_reduce and INTER_AREA do: each level is shifted by half a pixel of the level before. With the transform
# times two, as for any overview, a position found on level 5 is 15.5 pixels of the map off, and resize(INTER_NEAREST) is the same.
# Seen on a ramp, five levels down: the pixel whose centre should be at 240 shows 224.5; scikit-image 240.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check opencv-python-headless==4.13.0.92 scikit-image==0.26.0 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import cv2
import numpy as np
from skimage.transform import pyramid_reduce

ramp = np.tile(np.arange(512, dtype="float32") + 0.5, (512, 1))
pyramid, other = ramp, ramp
for _ in range(5):
    pyramid, other = cv2.pyrDown(pyramid), pyramid_reduce(other, 2)
area = cv2.resize(ramp, (16, 16), interpolation=cv2.INTER_AREA)
nearest = cv2.resize(ramp, (16, 16), interpolation=cv2.INTER_NEAREST)
true = (7 + 0.5) * 32
seen = {name: float(values[7, 7]) for name, values in (("pyrDown", pyramid), ("INTER_NEAREST", nearest), ("INTER_AREA", area), ("scikit-image", other))}
print("should be", true, seen)
assert abs(seen["pyrDown"] - (true - 15.5)) < 0.1
assert seen["INTER_NEAREST"] == true - 15.5
assert seen["INTER_AREA"] == true
assert abs(seen["scikit-image"] - true) < 0.5
PYTHON
