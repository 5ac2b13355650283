"""What a camera wrote into a picture: where and when it was taken (EXIF 2.32, GPS and Exif attribute information)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cvgl.geo import check_geographic

if TYPE_CHECKING:
    from PIL.Image import Exif, Image

_EXIF_FOLDER, _GPS_FOLDER = 0x8769, 0x8825
_TAKEN, _OFFSET = 0x9003, 0x9011  # DateTimeOriginal, OffsetTimeOriginal
_LATITUDE_REF, _LATITUDE, _LONGITUDE_REF, _LONGITUDE, _STATUS = 1, 2, 3, 4, 9
# A camera's fields are whatever its firmware made of them: absent, of another type, divided by zero.
_NONSENSE = (OSError, ValueError, TypeError, LookupError, ArithmeticError, SyntaxError, AttributeError)


def read_exif(picture: Image) -> tuple[tuple[float, float] | None, datetime | None]:
    """Latitude and longitude in degrees, and the time in UTC; None for what is absent or makes no sense.

    A broken field is no reason to refuse a picture: nobody stated it, a device wrote it.
    """
    try:
        exif = picture.getexif()
    except _NONSENSE:
        return None, None
    return _position(exif), _time(exif)


def _position(exif: Exif) -> tuple[float, float] | None:
    try:
        gps: Mapping[int, Any] = exif.get_ifd(_GPS_FOLDER)
        if gps.get(_STATUS) == "V":  # the receiver says that it had no fix
            return None
        latitude = _degrees(gps[_LATITUDE]) * _sign(gps[_LATITUDE_REF], "N", "S")
        longitude = _degrees(gps[_LONGITUDE]) * _sign(gps[_LONGITUDE_REF], "E", "W")
    except _NONSENSE:
        return None
    # Drones without a fix write zeros, a place in the Gulf of Guinea.
    if check_geographic(latitude, longitude) or (latitude == 0 and longitude == 0):
        return None
    return latitude, longitude


def _degrees(parts: Any) -> float:
    degrees, minutes, seconds = (float(part) for part in parts)
    return degrees + minutes / 60 + seconds / 3600


def _sign(reference: Any, positive: str, negative: str) -> int:
    return {positive: 1, negative: -1}[str(reference).strip().upper()[:1]]


def _time(exif: Exif) -> datetime | None:
    try:
        fields: Mapping[int, Any] = exif.get_ifd(_EXIF_FOLDER)
        taken = datetime.strptime(str(fields[_TAKEN]).strip("\0 "), "%Y:%m:%d %H:%M:%S")  # zone follows
        zone = str(fields.get(_OFFSET, "")).strip("\0 ")
        moment = datetime.fromisoformat(f"{taken.isoformat()}{zone}")
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except _NONSENSE:
        return None
