#!/usr/bin/env bash
# Two libraries' phase correlation of the same two pictures differ in order and sign: OpenCV's phaseCorrelate(a, b) gives by how much b lies
# to the right of and below a, as (x, y); scikit-image's phase_cross_correlation(a, b) by how much b must be moved back, as (row, column).
# Seen for a picture moved by 3 down and 5 to the right: OpenCV 4.13.0 (5, 3), scikit-image 0.26.0 (-3, -5).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check opencv-python-headless==4.13.0.92 scikit-image==0.26.0 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import cv2
import numpy as np
from skimage.registration import phase_cross_correlation

picture = cv2.GaussianBlur(np.random.default_rng(1).normal(size=(128, 128)).astype("float32"), (0, 0), 2)
moved = np.roll(picture, (3, 5), (0, 1))
by_opencv = cv2.phaseCorrelate(picture, moved)[0]
by_skimage = phase_cross_correlation(picture, moved)[0]
print("OpenCV:", by_opencv)
print("scikit-image:", by_skimage.tolist())
assert np.allclose(by_opencv, (5, 3), atol=0.01)
assert by_skimage.tolist() == [-3, -5]
PYTHON
