"""When an image was taken: the camera's clock, and what says how far it was from UTC.

Cameras write the local time. In this order: a zone beside it (OffsetTimeOriginal, OffsetTimeDigitized, OffsetTime), the
receiver's UTC beside it (GPSDateStamp, GPSTimeStamp), a zone in XMP. A receiver's stamp may be seconds or minutes old, so only
the zone is taken from it; the clock keeps the order of images.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from cvgl.ingestion.camera.position import numbers, text
from cvgl.ingestion.camera.record import Remark, ZoneSource
from cvgl.ingestion.camera.xmp import Xmp
from cvgl.ingestion.datetimes import DAY, Moment, is_blank_time, read_moment, read_offset

GPS_TIME, GPS_DATE = 7, 29
# Time, its fraction, its zone: as taken, as digitised. OffsetTime (of the last change) stands for either.
_TAKEN, _DIGITIZED, _OFFSET = (0x9003, 0x9291, 0x9011), (0x9004, 0x9292, 0x9012), 0x9010
_TIME_ZONE_OFFSET = 0x882A  # TIFF/EP: whole hours
_MAX_OFFSET = timedelta(hours=14)
_STEP = timedelta(minutes=15)
_TOLERANCE = timedelta(minutes=5)
# Zones that are or were in use since there are digital cameras, in minutes.
_IN_USE = frozenset(
    {60 * hours for hours in range(-11, 15)}
    | {-570, -270, -210, -150, 210, 270, 330, 345, 390, 510, 525, 570, 630, 690, 765, 825}
)
_DATE_LINE = -150.0  # degrees; west of it there are zones on both sides of the date line
_WEEKS_OF_GPS = 1024 * 7  # days after which old receivers count from the start again


@dataclass(frozen=True, slots=True)
class CaptureTime:
    """When, in UTC as far as known; see `CameraRecord`."""

    at: datetime | None = None
    zone_source: ZoneSource | None = None
    utc_offset: timedelta | None = None


def read_capture_time(
    fields: Mapping[int, Any],
    gps: Mapping[int, Any],
    xmp: Xmp,
    longitude: float | None,
    remarks: set[Remark],
    *,
    has_camera: bool,
) -> CaptureTime:
    """The time of an image.

    Args:
        fields: EXIF's own fields by tag, of any type.
        gps: EXIF's GPS fields.
        xmp: the image's XMP.
        longitude: degrees; tells two zones apart that are a day apart.
        remarks: what was dropped or interpreted is added.
        has_camera: the image names its camera. Without, XMP's CreateDate is that of the file.
    """
    notes: set[Remark] = set()
    stamp = _receiver_time(gps, xmp)
    moment = _by_clock(fields, xmp, notes, has_camera=has_camera)
    if moment is None:
        remarks |= notes
        if stamp is None or stamp.day is None:
            return CaptureTime()
        remarks.add(Remark.TIME_FROM_GPS)
        at = datetime(stamp.day.year, stamp.day.month, stamp.day.day, tzinfo=UTC) + stamp.time
        return CaptureTime(at, ZoneSource.GPS, timedelta())
    offset, source = moment.offset, ZoneSource.STATED
    if offset is None:
        offset = None if stamp is None else zone_between(moment.clock, stamp.time, stamp.day, longitude)
        source = ZoneSource.GPS
    if offset is None:
        offset, source = _zone_of_xmp(moment, xmp), ZoneSource.XMP
    if moment.hour_24:
        notes.add(Remark.HOUR_24)
    remarks |= notes
    try:
        at = replace(moment, offset=offset).utc()
    except OverflowError:
        remarks.add(Remark.TIME_UNREADABLE)
        return CaptureTime()
    return CaptureTime(at, ZoneSource.NOTHING if offset is None else source, offset)


def zone_between(clock: datetime, utc_time: timedelta, utc_day: date | None, longitude: float | None) -> timedelta | None:
    """How far a clock is ahead of UTC, by UTC's reading beside it; None where that gives no zone in use.

    The date beside the receiver's time is a day off in some cameras, and 1024 weeks in old receivers, so that the time of day
    decides, and the date only between zones that are a day apart.

    Args:
        clock: local date and time.
        utc_time: time of day.
        utc_day: date; None where none is written.
        longitude: degrees east, if known.
    """
    since_midnight = clock - datetime(clock.year, clock.month, clock.day)
    difference = since_midnight - utc_time
    rounded = round(difference / _STEP) * _STEP
    if abs(difference - rounded) > _TOLERANCE:
        return None
    candidates = [offset for offset in (rounded - DAY, rounded, rounded + DAY) if offset / timedelta(minutes=1) in _IN_USE]
    if not candidates:
        return None
    days = None if utc_day is None else (clock.date() - utc_day).days
    if days is not None:
        days -= round(days / _WEEKS_OF_GPS) * _WEEKS_OF_GPS
        if abs(days) > 2:
            return None  # a stamp of another day says nothing of this one
    by_date = None if days is None else rounded + days * DAY
    if longitude is not None and longitude > _DATE_LINE:
        return min(candidates, key=lambda offset: abs(offset / timedelta(hours=1) - longitude / 15))
    return by_date if by_date in candidates else min(candidates, key=abs)


@dataclass(frozen=True, slots=True)
class _ReceiverTime:
    """UTC as a receiver tells it: time of day, and a date where one is written."""

    time: timedelta
    day: date | None


def _receiver_time(gps: Mapping[int, Any], xmp: Xmp) -> _ReceiverTime | None:
    time = _time_of_day(gps.get(GPS_TIME))
    day = _day(text(gps.get(GPS_DATE)))
    # Zeros without a date are what cameras write that have no fix.
    if time is not None and (time or day is not None):
        return _ReceiverTime(time, day)
    for written in (xmp.text("exif", "GPSTimeStamp"), xmp.drone_text("UTCAtExposure")):
        moment = _moment_or_none(written)
        if moment is not None and moment.has_time:
            utc = moment.utc()
            return _ReceiverTime(utc.replace(tzinfo=None) - datetime(utc.year, utc.month, utc.day), utc.date())
    return None


def _time_of_day(value: Any) -> timedelta | None:
    if isinstance(value, (str, bytes)):
        match = re.fullmatch(r"(\d{1,2}):(\d{1,2}):(\d{1,2}(?:[.,]\d+)?)", text(value))
        parts = [float(part.replace(",", ".")) for part in match.groups()] if match else []
    else:
        parts = numbers(value)
    if len(parts) != 3 or not all(math.isfinite(part) and part >= 0 for part in parts):
        return None
    hours, minutes, seconds = parts
    time = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    return time if hours < 25 and minutes < 61 and seconds < 62 and time <= DAY else None


def _day(written: str) -> date | None:
    match = re.fullmatch(r"(\d{4})[-:/.\s](\d{1,2})[-:/.\s](\d{1,2})", written) or re.fullmatch(r"(\d{4})(\d\d)(\d\d)", written)
    try:
        return date(*(int(part) for part in match.groups())) if match else None
    except ValueError:
        return None


def _by_clock(fields: Mapping[int, Any], xmp: Xmp, remarks: set[Remark], *, has_camera: bool) -> Moment | None:
    """The clock's reading, from the first field that has one."""
    for moment, is_xmp in _readings(fields, xmp, remarks, has_camera=has_camera):
        if moment.has_time:
            # Fields before this one that could not be read cost nothing.
            remarks -= {Remark.TIME_UNREADABLE, Remark.TIME_WITHOUT_CLOCK}
            if is_xmp:
                remarks.add(Remark.TIME_FROM_XMP)
            return moment
        if not is_xmp:
            remarks.add(Remark.TIME_WITHOUT_CLOCK)
    return None


def _readings(fields: Mapping[int, Any], xmp: Xmp, remarks: set[Remark], *, has_camera: bool) -> Iterator[tuple[Moment, bool]]:
    yield from ((moment, False) for moment in _of_exif(fields, _TAKEN, remarks))
    for written in (xmp.text("exif", "DateTimeOriginal"), xmp.text("photoshop", "DateCreated")):
        yield from ((moment, True) for moment in _some(_moment_or_none(written)))
    yield from ((moment, False) for moment in _of_exif(fields, _DIGITIZED, remarks))
    written = xmp.text("xmp", "CreateDate") if has_camera else ""
    yield from ((moment, True) for moment in _some(_moment_or_none(written)))


def _of_exif(fields: Mapping[int, Any], tags: tuple[int, int, int], remarks: set[Remark]) -> Iterator[Moment]:
    time, fraction, zone = (text(fields.get(tag)) for tag in tags)
    if is_blank_time(time):
        return
    try:
        moment = read_moment(time, by_camera=True)
    except ValueError:
        remarks.add(Remark.TIME_UNREADABLE)
        return
    digits = re.sub(r"\s", "", fraction)
    if moment.has_time and moment.clock.microsecond == 0 and re.fullmatch(r"[0-9]+", digits):
        moment = replace(moment, clock=moment.clock.replace(microsecond=int(digits[:6].ljust(6, "0"))))
    if moment.offset is None:
        moment = replace(moment, offset=_stated_zone(fields, zone, remarks))
    yield moment


def _stated_zone(fields: Mapping[int, Any], first: str, remarks: set[Remark]) -> timedelta | None:
    others = (text(fields.get(tag)) for tag in (_TAKEN[2], _DIGITIZED[2], _OFFSET))
    for written in (first, *others):
        if not re.search(r"[0-9A-Za-z]", written):
            continue  # blanks and a colon: not known
        try:
            offset = read_offset(written)
        except ValueError:
            remarks.add(Remark.ZONE_UNREADABLE)
            continue
        if abs(offset) <= _MAX_OFFSET:
            remarks -= {Remark.ZONE_UNREADABLE}
            return offset
        remarks.add(Remark.ZONE_UNREADABLE)
    hours = [number for number in numbers(fields.get(_TIME_ZONE_OFFSET)) if math.isfinite(number)]
    if hours and abs(timedelta(hours=hours[0])) <= _MAX_OFFSET:
        return timedelta(hours=hours[0])
    return None


def _zone_of_xmp(moment: Moment, xmp: Xmp) -> timedelta | None:
    """The zone of a time in XMP that tells the same clock's reading."""
    for prefix, name in (("exif", "DateTimeOriginal"), ("photoshop", "DateCreated"), ("xmp", "CreateDate")):
        other = _moment_or_none(xmp.text(prefix, name))
        if other is not None and other.offset is not None and abs(other.clock - moment.clock) < timedelta(minutes=1):
            return other.offset if abs(other.offset) <= _MAX_OFFSET else None
    return None


def _moment_or_none(written: str) -> Moment | None:
    if is_blank_time(written):
        return None
    try:
        return read_moment(written)
    except ValueError:
        return None


def _some(moment: Moment | None) -> tuple[Moment, ...]:
    return () if moment is None else (moment,)
