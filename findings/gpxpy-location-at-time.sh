#!/usr/bin/env bash
# gpxpy 1.6.2 answers get_location_at(time) with the first recorded point at or after that time: it neither interpolates nor takes the
# nearest. A picture taken right after a point is given the place of the next one, and the answer carries that point's time with no hint.
# Seen on a track with a point each 10 s: one second after the point at 13.00 E the answer is 13.01 E, nine seconds' flight ahead.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check gpxpy==1.6.2
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
from datetime import datetime, timezone

import gpxpy

POINTS = "".join(f'<trkpt lat="52" lon="{13 + k / 100}"><time>2024-01-01T10:00:{10 * k:02d}Z</time></trkpt>' for k in range(3))
track = gpxpy.parse('<?xml version="1.0"?><gpx version="1.1" creator="test" xmlns="http://www.topografix.com/GPX/1/1"><trk><trkseg>'
                    f"{POINTS}</trkseg></trk></gpx>")
seen = {}
for second in (0, 1, 9, 11):
    (point,) = track.get_location_at(datetime(2024, 1, 1, 10, 0, second, tzinfo=timezone.utc))
    seen[second] = point.longitude
    print(f"{second} s: longitude {point.longitude}, its time {point.time:%H:%M:%S}")
assert seen == {0: 13.0, 1: 13.01, 9: 13.01, 11: 13.02}
PYTHON
