#!/usr/bin/env bash
# suncalc 0.1.3 takes a column of times for nanoseconds; pandas 3.1.1 makes microseconds of the same text, so the sun is computed for the
# middle of January 1970. Single times are right, and the answer is a plausible place in the sky.
# Seen for 2024-06-21 07:00 UTC at 52.5 N 13.4 E: the sun stands 35.2 degrees high for a datetime and for a column of nanoseconds, -51.0
# degrees for the column as pandas makes it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check suncalc==0.1.3 pandas==3.1.1 numpy==2.4.6
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
from datetime import datetime, timezone

import numpy as np
import pandas
import suncalc

times = pandas.Series(pandas.to_datetime(["2024-06-21T07:00:00Z"]))
place = (np.array([13.4]), np.array([52.5]))
single = float(np.degrees(suncalc.get_position(datetime(2024, 6, 21, 7, tzinfo=timezone.utc), 13.4, 52.5)["altitude"]))
column = float(np.degrees(suncalc.get_position(times, *place)["altitude"][0]))
nanoseconds = float(np.degrees(suncalc.get_position(times.dt.as_unit("ns"), *place)["altitude"][0]))
print(f"datetime {single:.1f}, column of {times.dtype} {column:.1f}, column of nanoseconds {nanoseconds:.1f} degrees")
assert str(times.dtype) == "datetime64[us, UTC]"
assert abs(single - 35.2) < 0.1
assert abs(nanoseconds - single) < 1e-6
assert abs(column - -51.0) < 0.1
PYTHON
