#!/usr/bin/env bash
# A cubic interpolation should leave a straight ramp straight. OpenCV 5.0.0's (a = -0.75) and that of Pillow 13.0.0's transform (a = -1) do
# not: a shift by a tenth of a pixel moves a ramp by more. Pillow's resize, under the same name BICUBIC, is another one (a = -0.5) and
# exact; so is scipy 1.17.1. A registration to sub-pixels by way of these pictures is biased.
# Seen for a shift of 0.100: OpenCV INTER_CUBIC 0.136, Pillow transform BICUBIC 0.172, scipy 0.100, OpenCV INTER_LINEAR 0.100.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check opencv-python-headless==5.0.0.93 pillow==13.0.0 scipy==1.17.1 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import cv2
import numpy as np
from PIL import Image
from scipy import ndimage

ramp = np.tile(np.arange(64, dtype="float32"), (64, 1))
matrix = np.array([[1, 0, 0.1], [0, 1, 0]])
picture = Image.fromarray(ramp)
moved = {
    "OpenCV linear": cv2.warpAffine(ramp, matrix, (64, 64), flags=cv2.INTER_LINEAR),
    "OpenCV cubic": cv2.warpAffine(ramp, matrix, (64, 64), flags=cv2.INTER_CUBIC),
    "Pillow transform": np.asarray(picture.transform((64, 64), Image.Transform.AFFINE, (1, 0, -0.1, 0, 1, 0), Image.Resampling.BICUBIC)),
    "scipy": ndimage.shift(ramp, (0, 0.1), order=3),
}
by = {name: float((ramp - values)[32, 30]) for name, values in moved.items()}
doubled = np.asarray(picture.resize((128, 128), Image.Resampling.BICUBIC))
print({name: round(shift, 4) for name, shift in by.items()})
assert abs(by["OpenCV linear"] - 0.1) < 1e-4
assert abs(by["scipy"] - 0.1) < 1e-4
assert abs(by["OpenCV cubic"] - 0.136) < 1e-3
assert abs(by["Pillow transform"] - 0.172) < 1e-3
assert abs(doubled[32, 60] - 29.75) < 1e-4
PYTHON
