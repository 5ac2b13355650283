"""From EXIF's GPS fields to degrees: three rationals and a letter, or what firmware and programs make of them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cvgl.errors import CvglError
from cvgl.geo import haversine_m, to_geographic
from cvgl.ingestion.camera.containers import MALFORMED_ERRORS
from cvgl.ingestion.camera.record import Remark
from cvgl.ingestion.camera.xmp import coordinate
from cvgl.ingestion.entries import PositionSource

LATITUDE_REF, LATITUDE, LONGITUDE_REF, LONGITUDE, STATUS, DATUM = 1, 2, 3, 4, 9, 18
CONTRADICTION_M = 1000.0
_SAME_DEGREES = 0.01  # numbers nearer than this are the same place but for their sign
_TOKYO = "EPSG:4301"
# Within some metres of WGS 84, which is what receivers tell.
_WGS84 = frozenset(
    {"", "WGS84", "WGS1984", "WORLDGEODETICSYSTEM1984", "JGD2000", "JGD2011", "GDA94", "GDA2020", "ETRS89", "NAD83", "CGCS2000"}
)


@dataclass(frozen=True, slots=True)
class _Axis:
    """One of the two numbers.

    Attributes:
        value: unsigned degrees.
        is_negative: the number itself is.
        letter: the hemisphere's; None where none is written.
    """

    value: float
    is_negative: bool
    letter: str | None


def position_of(
    gps: Mapping[int, Any], from_xmp: tuple[float, float] | None, remarks: set[Remark]
) -> tuple[tuple[float, float] | None, PositionSource | None]:
    """The position in degrees (WGS 84), and where it was found.

    Args:
        gps: EXIF's GPS fields by tag, of any type.
        from_xmp: latitude and longitude that XMP holds.
        remarks: what was dropped or interpreted is added.
    """
    other = None if from_xmp is None else _checked(*from_xmp, remarks if not _has_any(gps) else set())
    own = _from_exif(gps, other, remarks)
    if own is None:
        if other is not None:
            remarks.add(Remark.POSITION_FROM_XMP)
        return other, None if other is None else PositionSource.XMP
    if other is not None and float(haversine_m(*own, *other)) > CONTRADICTION_M:
        remarks.add(Remark.SOURCES_CONTRADICT)
    if text(gps.get(STATUS)).upper().startswith("V"):
        remarks.add(Remark.STATUS_VOID)
    return own, PositionSource.EXIF


def _has_any(gps: Mapping[int, Any]) -> bool:
    return bool(numbers(gps.get(LATITUDE)) or numbers(gps.get(LONGITUDE)))


def _from_exif(gps: Mapping[int, Any], other: tuple[float, float] | None, remarks: set[Remark]) -> tuple[float, float] | None:
    written = [numbers(gps.get(LATITUDE)), numbers(gps.get(LONGITUDE))]
    if not any(written):
        return None
    if not all(written):
        remarks.add(Remark.POSITION_HALF)
        return None
    notes: set[Remark] = set()
    axes = [
        _axis(written[0], gps.get(LATITUDE_REF), "NS", notes),
        _axis(written[1], gps.get(LONGITUDE_REF), "EW", notes),
    ]
    if axes[0] is None or axes[1] is None:
        remarks.add(Remark.POSITION_UNREADABLE)
        return None
    signed = [_signed(axis, None if other is None else other[row], notes) for row, axis in enumerate(axes) if axis is not None]
    if axes[0].value == 0 and axes[1].value == 0:
        remarks.add(Remark.POSITION_ZERO)
        return None
    if signed[0] is None or signed[1] is None:
        remarks.add(Remark.NO_HEMISPHERE)
        return None
    latitude, longitude = _in_wgs84(signed[0], signed[1], text(gps.get(DATUM)), notes)
    position = _checked(latitude, longitude, notes)
    # What was interpreted on the way to a position that is passed over concerns nobody.
    remarks |= notes if position is not None else notes & {Remark.POSITION_OFF_THE_GLOBE}
    return position


def _checked(latitude: float, longitude: float, remarks: set[Remark]) -> tuple[float, float] | None:
    if latitude == 0 and longitude == 0:  # a place in the Gulf of Guinea
        remarks.add(Remark.POSITION_ZERO)
        return None
    if not (abs(latitude) <= 90 and abs(longitude) <= 360):
        remarks.add(Remark.POSITION_OFF_THE_GLOBE)
        return None
    if abs(longitude) > 180:
        remarks.add(Remark.BEYOND_180)
        longitude -= math.copysign(360, longitude)
    return latitude, longitude


def _axis(parts: Sequence[float], reference: Any, letters: str, remarks: set[Remark]) -> _Axis | None:
    """Degrees, degrees and decimal minutes, or all three; a part that is 0/0 behind a fraction says nothing and is nothing."""
    if len(parts) > 3 or any(math.isinf(part) for part in parts) or math.isnan(parts[0]):
        return None
    degrees, minutes, seconds = (*parts, math.nan, math.nan)[:3]
    if math.isnan(minutes) and seconds > 0:
        return None
    last = degrees if math.isnan(minutes) else minutes
    if math.isnan(seconds) and last == int(last):
        remarks.add(Remark.POSITION_COARSE)
    minutes, seconds = (0.0 if math.isnan(part) else part for part in (minutes, seconds))
    if abs(minutes) > 60 or abs(seconds) > 60:
        return None
    letter = text(reference).upper()[:1]
    return _Axis(
        value=abs(degrees) + abs(minutes) / 60 + abs(seconds) / 3600,
        is_negative=any(part < 0 for part in (degrees, minutes, seconds)),
        letter=letter if letter and letter in letters else None,
    )


def _signed(axis: _Axis, other: float | None, remarks: set[Remark]) -> float | None:
    """The number with its sign: a letter and a sign together never cancel out. None where nothing says which side."""
    by_letter = axis.letter in ("S", "W")
    same = other is not None and abs(abs(other) - axis.value) < _SAME_DEGREES
    if axis.letter is not None and by_letter >= axis.is_negative:
        return -axis.value if by_letter else axis.value
    if axis.letter is not None and not same:
        remarks.add(Remark.SIGN_CONTRADICTS)
        return -axis.value
    if same:
        return math.copysign(axis.value, other or 0.0)
    if axis.is_negative:
        remarks.add(Remark.SIGN_OF_NUMBER)
        return -axis.value
    return 0.0 if axis.value == 0 else None


def _in_wgs84(latitude: float, longitude: float, datum: str, remarks: set[Remark]) -> tuple[float, float]:
    word = re.sub(r"[^A-Z0-9]", "", datum.upper())
    if word in _WGS84 or not word.strip("0"):
        return latitude, longitude
    if word != "TOKYO":
        remarks.add(Remark.DATUM_UNKNOWN)
        return latitude, longitude
    try:
        north, east = to_geographic([longitude], [latitude], _TOKYO)
    except CvglError:
        remarks.add(Remark.DATUM_UNKNOWN)
        return latitude, longitude
    remarks.add(Remark.DATUM_CONVERTED)
    return float(north[0]), float(east[0])


def numbers(value: Any) -> list[float]:
    """A field as numbers: rationals, floats, pairs of whole numbers, one alone, or text; NaN for n/0; empty where absent."""
    if value is None:
        return []
    if isinstance(value, (str, bytes)):
        degrees = coordinate(text(value))
        return [] if degrees is None else [degrees]
    parts = value if isinstance(value, (tuple, list)) else (value,)
    return [_number(part) for part in parts]


def _number(part: Any) -> float:
    try:
        if isinstance(part, (tuple, list)):
            numerator, denominator = part
        else:
            numerator, denominator = getattr(part, "numerator", part), getattr(part, "denominator", 1)
        if denominator == 0:
            return math.nan
        if isinstance(numerator, int) and numerator >= 2**31:
            numerator -= 2**32  # a negative number that was written into an unsigned field
        return float(numerator) / float(denominator)
    except MALFORMED_ERRORS:
        return math.nan


def text(value: Any) -> str:
    """A field as text without blanks and NULs around it; what follows a NUL was left over in the buffer."""
    if isinstance(value, (tuple, list)):
        value = value[0] if len(value) == 1 else ""
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    return "" if value is None else str(value).strip("\0 \t\r\n").split("\0")[0].strip()
