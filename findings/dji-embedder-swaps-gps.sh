#!/usr/bin/env bash
# dji-drone-metadata-embedder 2.18.0 reads GPS(a, b, c) of every DJI subtitle as latitude, longitude, altitude. Phantom 4 and Mavic Pro and
# Mini write longitude, latitude, satellites: the flight lands elsewhere, at a height that is the number of satellites, and a latitude of
# -120 is passed on as well.
# Seen for a block in the Mavic Mini form at 49.0771 N 120.7458 W with 17 satellites: latitude -120.7458, longitude 49.0771, altitude 17.0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check dji-drone-metadata-embedder==2.18.0
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
from pathlib import Path

from dji_metadata_embedder.utilities import parse_telemetry_samples

BLOCK = """1
00:00:00,000 --> 00:00:01,000
F/2.8, SS 30.15, ISO 260, EV -1.7, GPS (-120.7458, 49.0771, 17), D 221.21m, H 200.70m, H.S 0.00m/s, V.S 0.00m/s

"""
path = Path(sys.argv[1]) / "flight.srt"
path.write_text(BLOCK)
(sample,) = parse_telemetry_samples(path)
print(f"latitude {sample.lat}, longitude {sample.lon}, altitude {sample.alt}")
assert (sample.lat, sample.lon, sample.alt) == (-120.7458, 49.0771, 17.0)
PYTHON
