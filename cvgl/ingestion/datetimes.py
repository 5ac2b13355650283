"""Dates and times as people, tables and cameras write them: ISO 8601 in its usual forms, EXIF's colons, epoch numbers."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

DAY = timedelta(days=1)
# Cells that stand for no time. Zeros, colons, dashes and blanks alone are recognised by holding no digit but 0.
_NOTHING = frozenset({"", "nan", "nat", "none", "null", "na", "n/a", "nil", "unknown"})
# 1990 to 2100: a number in this range of seconds, or of parts of them, is a moment and can hardly be anything else.
_FIRST, _LAST = 631_152_000, 4_102_444_800
_PER_SECOND = (1, 10**3, 10**6, 10**9)
_ZONE = r"(?P<zone>Z|(?:UTC|GMT)?\s*[+\-\u2212]\s*\d{1,2}(?::?\d{2})?(?::?\d{2})?|UTC|GMT)?"
_SEPARATED = re.compile(
    r"(?P<year>\d{4})(?P<sep>[-:/.])(?P<month>\d{1,2})(?P=sep)(?P<day>\d{1,2})"
    r"(?:(?:\s*[T,;_]\s*|\s+)"
    r"(?P<hour>\d{1,2})(?P<colon>[:.\-])(?P<minute>\d{1,2})"
    r"(?:(?P=colon)(?P<second>\d{1,2})(?:[.,:](?P<fraction>\d+)|[.,])?)?"
    r"\s*(?P<half>[AP]\.?M\.?)?\s*" + _ZONE + r")?",
    re.IGNORECASE,
)
_COMPACT = re.compile(
    r"(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})"
    r"(?:[T_\-\s]?(?P<hour>\d{2})(?P<minute>\d{2})(?:(?P<second>\d{2})(?:[.,](?P<fraction>\d+))?)?\s*" + _ZONE + r")?",
    re.IGNORECASE,
)
# EXIF writes blanks for what is not known: a date, and a time of blanks and colons.
_DATE_ALONE = re.compile(r"(\d{4})[-:/.](\d{1,2})[-:/.](\d{1,2})[\s:T.\-]*")
_OFFSET = re.compile(r"(?:UTC|GMT)?\s*([+\-\u2212])\s*(\d{1,2}):?(\d{2})?:?(\d{2})?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Moment:
    """A date and time as written.

    Attributes:
        clock: what a clock on the spot shows; naive.
        offset: how far that clock is ahead of UTC; None where nothing says so.
        has_time: False where only a date is written; `clock` is its midnight.
        hour_24: the hour was written as 24.
    """

    clock: datetime
    offset: timedelta | None = None
    has_time: bool = True
    hour_24: bool = False

    def utc(self) -> datetime:
        """The moment in UTC; one without a zone is taken as UTC.

        Raises:
            OverflowError: it lies outside of the calendar there.
        """
        return (self.clock - (self.offset or timedelta())).replace(tzinfo=UTC)


def is_blank_time(text: str) -> bool:
    """Whether a text stands for no time: blanks, zeros, dashes and colons alone, or a word such as NaN."""
    return text.strip("\0 \t\r\n").lower() in _NOTHING or not re.search(r"[1-9A-Za-z]", text)


def read_moment(text: str, *, by_camera: bool = False) -> Moment:
    """Reads a date, with or without a time, fraction of any length and zone.

    Args:
        text: ``2024-05-01T12:00:00.5+02:00``, ``2024-05-01 12:00 +0200``, ``2024:05:01 12:00:00``, ``20240501T120000Z`` ...
        by_camera: an hour of 24 is the first of the date beside it, as the phones that write it mean (2015:08:22 24:08:19 is
            eight minutes after that date's midnight). Otherwise 24:00 ends the date, as ISO 8601 has it.

    Raises:
        ValueError: it is none, or outside of the calendar.
    """
    written = text.strip("\0 \t\r\n")
    match = _SEPARATED.fullmatch(written) or _COMPACT.fullmatch(written)
    if match is None:
        blank_time = _DATE_ALONE.fullmatch(written)
        if blank_time is not None:
            year, month, day = (int(part) for part in blank_time.groups())
            return Moment(datetime(year, month, day), has_time=False)
        return _iso(written)
    parts = match.groupdict()
    midnight = datetime(int(parts["year"]), int(parts["month"]), int(parts["day"]))
    if parts["hour"] is None:
        return Moment(midnight, has_time=False)
    if parts.get("colon") == "-" and parts["second"] is None:
        return _iso(written)  # 12-05 is noon, five hours behind UTC
    hour, minute, second = int(parts["hour"]), int(parts["minute"]), int(parts["second"] or 0)
    hour = _of_half_day(hour, parts.get("half"))
    if hour == 24 and by_camera:
        hour, hour_24 = 0, True
    else:
        hour_24 = hour == 24
    if hour > 24 or minute > 59 or second > 60 or (hour == 24 and (minute or second)):
        raise ValueError(f"{text!r} names no time of day")
    micro = int((parts["fraction"] or "0")[:6].ljust(6, "0"))
    clock = _shifted(midnight, timedelta(hours=hour, minutes=minute, seconds=second, microseconds=micro))
    zone = parts["zone"]
    return Moment(clock, None if zone is None else read_offset(zone), hour_24=hour_24)


def read_offset(text: str) -> timedelta:
    """Reads a zone: ``Z``, ``+02:00``, ``+0200``, ``+02``, ``-5:30``.

    Raises:
        ValueError: it is none, or a day or more.
    """
    written = text.strip("\0 \t\r\n")
    if written.upper() in ("Z", "UTC", "GMT"):
        return timedelta()
    match = _OFFSET.fullmatch(written)
    if match is None:
        raise ValueError(f"{text!r} is not a distance from UTC")
    sign, hours, minutes, seconds = match.groups()
    offset = timedelta(hours=int(hours), minutes=int(minutes or 0), seconds=int(seconds or 0))
    if offset >= DAY or int(minutes or 0) > 59:
        raise ValueError(f"{text!r} is no distance from UTC")
    return offset if sign == "+" else -offset


def read_epoch(number: float) -> datetime | None:
    """Seconds since 1970, or their thousandths to billionths; None where it is in 1990 to 2100 as none of these."""
    if not math.isfinite(number):
        return None
    for per_second in _PER_SECOND:
        if _FIRST <= number / per_second < _LAST:
            whole, rest = divmod(number, per_second)
            return datetime.fromtimestamp(int(whole), UTC) + timedelta(seconds=rest / per_second)
    return None


def _iso(written: str) -> Moment:
    """Forms of ISO 8601 that are rarely met: weeks, a time without minutes."""
    moment = datetime.fromisoformat(written)
    offset = moment.utcoffset()
    return Moment(moment.replace(tzinfo=None), offset, has_time="T" in written.upper() or ":" in written)


def _of_half_day(hour: int, half: str | None) -> int:
    if half is None:
        return hour
    if not 1 <= hour <= 12:
        raise ValueError(f"there is no hour {hour} of half a day")
    return hour % 12 + (12 if half.upper().startswith("P") else 0)


def _shifted(moment: datetime, by: timedelta) -> datetime:
    try:
        return moment + by
    except OverflowError as error:
        raise ValueError("the time lies outside of the calendar") from error
