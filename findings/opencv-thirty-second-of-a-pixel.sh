#!/usr/bin/env bash
# OpenCV 4.13.0 moves pictures by steps of a thirty-second of a pixel: warpAffine, warpPerspective and remap round each source position to
# that grid, so that a shift of 0.01 pixel does nothing and one of 0.02 moves by 0.031. OpenCV 5.0.0 does not round: the same code gives
# other pixels, and a registration refined to hundredths of a pixel in one is not what the other shows.
# Seen on a ramp: shifts of 0.01, 0.02, 0.30 pixel move it by 0.0000, 0.0313, 0.3125 in 4.13.0, by 0.0100, 0.0200, 0.3000 in 5.0.0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/moves.py" <<'PYTHON'
import sys

import cv2
import numpy as np

ramp = np.tile(np.arange(64, dtype="float32"), (64, 1))
expected = [float(value) for value in sys.argv[1:]]
moves = [float((ramp - cv2.warpAffine(ramp, np.array([[1, 0, shift], [0, 1, 0]]), (64, 64)))[32, 30]) for shift in (0.01, 0.02, 0.3)]
print(cv2.__version__, [round(move, 4) for move in moves])
assert np.allclose(moves, expected, atol=1e-5)
PYTHON
for version in 4.13.0.92 5.0.0.93; do
    python3 -m venv "$folder/$version"
    "$folder/$version/bin/python" -m pip install --quiet --disable-pip-version-check "opencv-python-headless==$version" numpy==2.4.6
done
"$folder/4.13.0.92/bin/python" "$folder/moves.py" 0 0.03125 0.3125
"$folder/5.0.0.93/bin/python" "$folder/moves.py" 0.01 0.02 0.3
