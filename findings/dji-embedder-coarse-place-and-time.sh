#!/usr/bin/env bash
# dji-drone-metadata-embedder 2.18.0 loses digits on the way out: the position for the video's own tag (ISO 6709) has four digits behind the
# point, 5.6 m of latitude, and the GPX cuts the time of each frame to the second, so that all frames of a second are at one moment in many
# places.
# Seen: 52.987654, 13.123456 is written as +52.9877+013.1235 (5 m off); ten frames of a second, 0.1 s apart, have one time in the GPX.
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
from dji_metadata_embedder.utilities import iso6709

BLOCK = """{number}
00:00:00,{start}00 --> 00:00:00,{start}90
<font size="28">FrameCnt: {number}, DiffTime: 100ms
2026-05-17 08:28:30.{start}19
[iso: 180] [focal_len: 24.00] [latitude: 35.2703{start}0] [longitude: -83.176160] [rel_alt: 0.000 abs_alt: 302.208] [ct: 5419] </font>

"""
path = Path(sys.argv[1]) / "flight.srt"
path.write_text("".join(BLOCK.format(number=k + 1, start=k) for k in range(10)))
lines = [line.strip() for line in extract_telemetry_to_gpx(path, tz_offset=timedelta(0)).read_text().split("<trkseg>")[1].splitlines()]
places = {line for line in lines if line.startswith("<trkpt")}
times = [line for line in lines if line.startswith("<time>")]
print("for the video:", iso6709(52.987654, 13.123456, 123.456))
print(len(places), "places,", len(times), "times, of them different:", set(times))
assert iso6709(52.987654, 13.123456, 123.456) == "+52.9877+013.1235+0123.5/"
assert len(places) == len(times) == 10
assert set(times) == {"<time>2026-05-17T08:28:30Z</time>"}
PYTHON
