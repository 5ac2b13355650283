#!/usr/bin/env bash
# geopy 2.5.0 reads positions from text and takes what it does not understand for something else, without an error: degrees and decimal
# minutes with letters but without marks ("52 30.5 N 13 22.1 E", as receivers show them) lose the latitude's degrees, and the sign of
# "-0°30'" is lost since minus zero is zero, as it is in London and on the equator. "-41.5 S" is taken for north.
# Seen: 13.0, 22.1 instead of 52.508, 13.368; +0.5, +0.25 instead of -0.5, -0.25; +41.5 for "-41.5 S". Decimal degrees, minutes marked with
# m, and a minus before one degree or more are read rightly.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check geopy==2.5.0
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
from geopy import Point

CASES = {"52 30.5 N 13 22.1 E": (13.0, 22.1), "-0°30', -0°15'": (0.5, 0.25), "-41.5 S, 81 E": (41.5, 81.0), "-0.5, -0.25": (-0.5, -0.25),
         "52 30.5m N 13 22.1m E": (52 + 30.5 / 60, 13 + 22.1 / 60), "-1°30', -1°15'": (-1.5, -1.25)}
for text, expected in CASES.items():
    point = Point(text)
    print(f"{text}: {point.latitude:.4f}, {point.longitude:.4f}")
    assert abs(point.latitude - expected[0]) < 1e-9
    assert abs(point.longitude - expected[1]) < 1e-9
PYTHON
