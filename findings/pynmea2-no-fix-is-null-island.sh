#!/usr/bin/env bash
# pynmea2 1.19.0 gives latitude 0.0 and longitude 0.0 for a GGA sentence without a fix, whose position fields are empty, though the altitude
# of the same sentence is None. A receiver that starts up puts the drone into the Gulf of Guinea; only gps_qual tells. pynmeagps 1.1.8 gives
# empty strings.
# Seen: 0.0, 0.0, altitude None, quality 0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check pynmea2==1.19.0 pynmeagps==1.1.8
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
from functools import reduce

import pynmea2
import pynmeagps

BODY = "GPGGA,101500.00,,,,,0,00,99.99,,,,,,"
sentence = f"${BODY}*{reduce(lambda a, b: a ^ b, BODY.encode()):02X}"
message = pynmea2.parse(sentence, check=True)
other = pynmeagps.NMEAReader.parse(sentence + "\r\n")
print("pynmea2:", message.latitude, message.longitude, message.altitude, "quality", message.gps_qual)
print("pynmeagps:", repr(other.lat), repr(other.lon))
assert (message.latitude, message.longitude) == (0.0, 0.0)
assert message.altitude is None
assert message.gps_qual == 0
assert (other.lat, other.lon) == ("", "")
PYTHON
