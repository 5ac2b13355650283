#!/usr/bin/env bash
# pymavlink 2.4.50 takes 18 leap seconds off every GPS time, which holds from 2017 on: times of earlier flights are early by one second for
# each leap second that was still to come (three until June 2012, two until June 2015, one until the end of 2016), so that the frames of
# an old data set get positions tens of metres off.
# Seen for GPS week 1770 (8 December 2013, 16 leap seconds): 23:59:42 UTC of the day before instead of 23:59:44; right for week 2200.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check pymavlink==2.4.50
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
from datetime import datetime, timedelta, timezone

from pymavlink.mavextra import gps_time_to_epoch

LEAP = {1690: 15, 1770: 16, 2200: 18}
early = {}
for week, seconds in LEAP.items():
    true = datetime(1980, 1, 6, tzinfo=timezone.utc) + timedelta(weeks=week, seconds=-seconds)
    seen = datetime.fromtimestamp(gps_time_to_epoch(week, 0), timezone.utc)
    early[week] = (true - seen).total_seconds()
    print(f"week {week}: {seen:%Y-%m-%d %H:%M:%S}, {early[week]:.0f} s early")
assert early == {1690: 3, 1770: 2, 2200: 0}
PYTHON
