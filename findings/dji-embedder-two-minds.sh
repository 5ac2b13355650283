#!/usr/bin/env bash
# dji-drone-metadata-embedder 2.18.0 has two readers of DJI subtitles that differ: an Air 2S writes [altitude: ...], for which one reader
# drops each frame and the other, which makes the GPX, keeps the frame at height 0. The height is in the file, and neither says that it was
# not understood.
# Seen for one block of an Air 2S at 117 m: no sample from one, one track point with <ele>0</ele> from the other.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check dji-drone-metadata-embedder==2.18.0
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
from datetime import timedelta
from pathlib import Path

from dji_metadata_embedder.telemetry_converter import extract_telemetry_to_gpx
from dji_metadata_embedder.utilities import parse_telemetry_samples

BLOCK = """1
00:00:00,000 --> 00:00:00,033
<font size="36">SrtCnt : 1, DiffTime : 33ms
2022-08-07 13:40:40,774,808
[iso : 100] [shutter : 1/80.0] [fnum : 280] [ev : 0] [focal_len : 240] [latitude: 42.424724] [longitude: 3.234156] [altitude: 117.000000] </font>

"""
path = Path(sys.argv[1]) / "flight.srt"
path.write_text(BLOCK)
samples = parse_telemetry_samples(path)
track = extract_telemetry_to_gpx(path, tz_offset=timedelta(0)).read_text()
heights = [line.strip() for line in track.splitlines() if "<ele>" in line]
print("samples:", samples)
print("heights in the GPX:", heights)
assert samples == []
assert heights == ["<ele>0</ele>"]
PYTHON
