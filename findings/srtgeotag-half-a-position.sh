#!/usr/bin/env bash
# srtgeotag 0.2.0 reads half a position from the subtitles of a Mavic 2: these drones write "longtitude", which it does not know, so the frame
# has a latitude, no longitude, and no error. Their [altitude: ...] is read as no altitude either, and their focal_len, in tenths of a
# millimetre, as ten times the focal length.
# Seen for one block in the Mavic 2 form: latitude 47.5, longitude None, altitudes None, focal length 280.0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check srtgeotag==0.2.0
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
from pathlib import Path

from srtgeotag import parse_srt

BLOCK = """1
00:00:00,000 --> 00:00:00,033
<font size="36">FrameCnt : 1, DiffTime : 33ms
2019-07-02 10:15:20,123,456
[iso : 100] [shutter : 1/500.0] [fnum : 280] [ev : 0] [ct : 5500] [color_md : default] [focal_len : 280] [latitude : 47.500000] [longtitude : 8.250000] [altitude: 431.000000] </font>

"""
path = Path(sys.argv[1]) / "flight.srt"
path.write_text(BLOCK)
(point,) = parse_srt(path)
print(f"latitude {point.latitude}, longitude {point.longitude}, altitudes {point.relative_altitude} {point.absolute_altitude}, focal {point.focal_length}")
assert point.latitude == 47.5
assert point.longitude is None
assert point.relative_altitude is None
assert point.absolute_altitude is None
assert point.focal_length == 280.0
PYTHON
