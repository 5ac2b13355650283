#!/usr/bin/env bash
# gpxpy 1.6.2 reads a time with a zone west of Greenwich rightly, but a copy of the track made by its own clone() forgets the zone's hours
# where they have one digit: all of the Americas. The same instant is then hours earlier. Zones to the east and -10:00 and beyond are copied
# rightly.
# Seen for 10:00:00-04:00: 14:00 UTC as read, 10:00 UTC in the clone; -03:30 becomes -00:30; +05:30 and -10:00 stay.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check gpxpy==1.6.2
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
from datetime import timezone

import gpxpy

TRACK = '<?xml version="1.0"?><gpx version="1.1" creator="test" xmlns="http://www.topografix.com/GPX/1/1"><trk><trkseg>' \
    '<trkpt lat="47.56" lon="-52.71"><time>2024-01-01T10:00:00{}</time></trkpt></trkseg></trk></gpx>'


def instant(track):
    return track.tracks[0].segments[0].points[0].time.astimezone(timezone.utc)


shift = {}
for zone in ("-04:00", "-03:30", "+05:30", "-10:00"):
    read = gpxpy.parse(TRACK.format(zone))
    copy = read.clone()
    print(f"{zone}: {instant(read):%H:%M} UTC as read, {instant(copy):%H:%M} UTC in the clone")
    shift[zone] = (instant(copy) - instant(read)).total_seconds() / 3600
assert shift == {"-04:00": -4, "-03:30": -3, "+05:30": 0, "-10:00": 0}
PYTHON
