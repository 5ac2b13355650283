"""When an image was taken: zones from EXIF, the receiver's UTC and XMP; times in every form that cameras write."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from cvgl.ingestion.camera.clock import read_capture_time, zone_between
from cvgl.ingestion.camera.record import CameraRecord, Remark, ZoneSource
from cvgl.ingestion.camera.xmp import Xmp
from cvgl.ingestion.exif import read_exif
from tests.data.metadata import SHORT, exif_bytes, jpeg, rationals, text, xmp_packet

TAKEN, DIGITIZED, CHANGED = 0x9003, 0x9004, 0x0132
FRACTION, ZONE, ZONE_DIGITIZED, ZONE_CHANGED = 0x9291, 0x9011, 0x9012, 0x9010
MAKE = {0x010F: text("GoPro\0")}
CLOCK = text("2024:05:01 12:00:00\0")
UTC_STAMP = {7: rationals(16, 0, (31, 10)), 29: text("2024:05:01\0")}


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]  # year to microsecond


def record(fields: Any, gps: dict[int, Any] | None = None, xmp: bytes = b"", main: Any = None) -> CameraRecord:
    return read_exif(*jpeg(exif_bytes(MAKE if main is None else main, fields, gps or {}), xmp))


def test_local_time_without_a_zone_is_the_clocks_reading() -> None:
    result = record({TAKEN: CLOCK})
    assert (result.captured_at, result.zone_source, result.utc_offset) == (utc(2024, 5, 1, 12), ZoneSource.NOTHING, None)
    assert result.remarks == ()


def test_the_receivers_time_tells_the_zone_and_the_clock_keeps_the_order() -> None:
    result = record({TAKEN: CLOCK, FRACTION: text("25\0")}, UTC_STAMP)
    assert result.captured_at == utc(2024, 5, 1, 16, 0, 0, 250_000)
    assert (result.zone_source, result.utc_offset) == (ZoneSource.GPS, timedelta(hours=-4))


@pytest.mark.parametrize(
    ("zone", "hour", "minute"),
    [
        ("+02:00", 10, 0),
        ("-5:00", 17, 0),
        ("+5:30", 6, 30),
        ("+0530", 6, 30),
        ("+02", 10, 0),
        ("Z", 12, 0),
        ("+02:00\0 ", 10, 0),
    ],
)
@pytest.mark.parametrize("tag", [ZONE, ZONE_DIGITIZED, ZONE_CHANGED])
def test_a_stated_zone_wins(zone: str, hour: int, minute: int, tag: int) -> None:
    result = record({TAKEN: CLOCK, tag: text(f"{zone}\0")}, UTC_STAMP)
    assert (result.captured_at, result.zone_source) == (utc(2024, 5, 1, hour, minute), ZoneSource.STATED)


@pytest.mark.parametrize("zone", ["   ", ":", "   :  ", "      \0", "+  :  "])
def test_a_blank_zone_is_none(zone: str) -> None:
    result = record({TAKEN: CLOCK, ZONE: text(f"{zone}\0")})
    assert (result.captured_at, result.zone_source, result.remarks) == (utc(2024, 5, 1, 12), ZoneSource.NOTHING, ())


@pytest.mark.parametrize("zone", ["CEST", "+99:00", "+15:00", "02:00"])
def test_a_zone_without_sense_costs_nothing_but_itself(zone: str) -> None:
    result = record({TAKEN: CLOCK, ZONE: text(f"{zone}\0")})
    assert (result.captured_at, result.remarks) == (utc(2024, 5, 1, 12), (Remark.ZONE_UNREADABLE,))
    assert record({TAKEN: CLOCK, ZONE: text(f"{zone}\0")}, UTC_STAMP).zone_source is ZoneSource.GPS
    assert record({TAKEN: CLOCK, ZONE: text(f"{zone}\0"), ZONE_CHANGED: text("+02:00\0")}).remarks == ()


def test_whole_hours_of_tiff_ep() -> None:
    result = record({TAKEN: CLOCK}, main={0x882A: (SHORT, [2])})
    assert (result.captured_at, result.zone_source) == (utc(2024, 5, 1, 10), ZoneSource.STATED)


@pytest.mark.parametrize(
    "written",
    [
        "2024:05:01 12:00:00",
        "2024:5:1 12:0:0",
        "2024:05:01T12:00:00",
        "2024-05-01 12:00:00",
        "2024/05/01 12:00:00",
        "2024:05:01 12-00-00",
        "2024:05:01 14:00:00+02:00",
        "2024:05:01 12:00",
        "2024:05:01 11:59:60",
        "2024:05:01 12:00:00 \0",
        "2024:05:01 12:00:00\0left over",
        "2024:05:01 12:00:00 PM",
    ],
)
def test_times_in_every_form(written: str) -> None:
    result = record({TAKEN: text(written + "\0")})
    assert (result.captured_at, result.remarks) == (utc(2024, 5, 1, 12), ())


@pytest.mark.parametrize(
    ("written", "digits"),
    [
        ("2024:05:01 12:00:00.5", ""),
        ("2024:05:01 12:00:00,5", "9"),
        ("2024:05:01 12:00:00", "5 "),
        ("2024:05:01 12:00:00", "50000000"),
    ],
)
def test_fractions(written: str, digits: str) -> None:
    result = record({TAKEN: text(written + "\0"), FRACTION: text(digits + "\0")})
    assert result.captured_at == utc(2024, 5, 1, 12, 0, 0, 500_000)


@pytest.mark.parametrize("digits", ["", "   ", "x", "-5", "\u00b2"])
def test_fractions_without_sense_cost_nothing(digits: str) -> None:
    assert record({TAKEN: CLOCK, FRACTION: text(digits + "\0")}).captured_at == utc(2024, 5, 1, 12)


def test_midnight_of_phones_that_count_from_1_to_24() -> None:
    result = record({TAKEN: text("2016:01:26 24:48:30\0")})
    assert (result.captured_at, result.remarks) == (utc(2016, 1, 26, 0, 48, 30), (Remark.HOUR_24,))


@pytest.mark.parametrize("written", ["0000:00:00 00:00:00", "    :  :     :  :  ", "", "   ", "----:--:-- --:--:--"])
def test_blank_times_are_none(written: str) -> None:
    result = record({TAKEN: text(written + "\0")})
    assert (result.captured_at, result.zone_source, result.remarks) == (None, None, ())


@pytest.mark.parametrize(
    ("written", "remark"),
    [
        ("2024:13:01 12:00:00", Remark.TIME_UNREADABLE),
        ("noon", Remark.TIME_UNREADABLE),
        ("0001:01:01 00:00:00+10:00", Remark.TIME_UNREADABLE),
        ("2024:05:01   :  :  ", Remark.TIME_WITHOUT_CLOCK),
        ("2024:05:01", Remark.TIME_WITHOUT_CLOCK),
    ],
)
def test_what_is_passed_over_is_said(written: str, remark: Remark) -> None:
    result = record({TAKEN: text(written + "\0")})
    assert (result.captured_at, result.remarks) == (None, (remark,))


def test_bytes_and_fields_beside_their_folder() -> None:
    assert record({TAKEN: (7, b"2024:05:01 12:00:00\0")}).captured_at == utc(2024, 5, 1, 12)
    assert record({}, main={TAKEN: CLOCK}).captured_at == utc(2024, 5, 1, 12)


def test_other_fields_where_the_first_has_no_time() -> None:
    assert record({TAKEN: text("    :  :     :  :  \0"), DIGITIZED: CLOCK}).captured_at == utc(2024, 5, 1, 12)
    assert record({}, main={CHANGED: CLOCK}).captured_at is None  # when it was last edited


def test_the_receivers_time_alone() -> None:
    result = record({}, UTC_STAMP)
    assert (result.captured_at, result.zone_source) == (utc(2024, 5, 1, 16, 0, 3, 100_000), ZoneSource.GPS)
    assert result.remarks == (Remark.TIME_FROM_GPS,)
    assert record({}, {7: rationals(0, 0, 0)}).captured_at is None
    assert record({}, {7: rationals(16, 0, 0)}).captured_at is None


@pytest.mark.parametrize(
    "gps",
    [
        {7: rationals(16, 0, 0), 29: text("2024-05-01\0")},
        {7: rationals(16, 0, 0), 29: (7, b"2024:05:01\0")},
        {7: text("16:00:00.5\0"), 29: text("2024:05:01\0")},
        {7: rationals(16, 0, 0)},
        {7: rationals(16, 0, 0), 29: text("2024:05:02\0")},
        {7: rationals(16, 0, 0), 29: text("2024:04:30\0")},
        {7: rationals(16, 0, 0), 29: text("2004:09:15\0")},
        {7: rationals(16, 0, 0), 29: text("    :  :  \0")},
    ],
)
def test_stamps_in_any_form_and_dates_that_are_off(gps: dict[int, Any]) -> None:
    assert record({TAKEN: CLOCK}, gps).captured_at == utc(2024, 5, 1, 16)


@pytest.mark.parametrize(
    "gps",
    [
        {7: rationals(0, 0, 0)},
        {7: rationals(16, 37, 0), 29: text("2024:05:01\0")},
        {7: rationals(16, 0, 0), 29: text("2023:01:01\0")},
        {7: rationals((16, 0), 0, 0), 29: text("2024:05:01\0")},
        {7: rationals(99, 0, 0), 29: text("2024:05:01\0")},
        {7: rationals(16, 0), 29: text("2024:05:01\0")},
        {29: text("2024:05:01\0")},
    ],
)
def test_stamps_that_say_nothing(gps: dict[int, Any]) -> None:
    result = record({TAKEN: CLOCK}, gps)
    assert (result.captured_at, result.zone_source) == (utc(2024, 5, 1, 12), ZoneSource.NOTHING)


@pytest.mark.parametrize(
    ("clock", "stamp", "day", "longitude", "hours"),
    [
        ("12:00", "16:00", 1, -80.0, -4),
        ("12:04", "16:00", 1, -80.0, -4),
        ("17:30", "12:00", 1, 77.0, 5.5),
        ("17:45", "12:00", 1, 85.0, 5.75),
        ("01:00", "23:00", 30, 15.0, 2),
        ("01:00", "23:00", 1, 15.0, 2),
        ("23:00", "03:00", 2, -60.0, -4),
        ("12:00", "00:00", 1, 174.0, 12),
        ("12:00", "23:00", 30, 174.0, 13),
        ("12:00", "23:00", 1, 174.0, 13),
        ("12:00", "22:00", 30, -157.0, 14),
        ("12:00", "22:00", 1, -157.0, -10),
        ("12:00", "22:00", 1, None, -10),
        ("12:00", "22:00", None, None, -10),
        ("12:00", "22:00", 30, None, 14),
        ("12:00", "12:00", 1, None, 0),
        ("12:07", "12:00", 1, None, None),
        ("12:15", "12:00", 1, None, None),
    ],
)
def test_zones_from_a_receivers_reading(clock: str, stamp: Any, day: Any, longitude: Any, hours: Any) -> None:
    hour, minute = (int(part) for part in clock.split(":"))
    utc_time = timedelta(hours=int(stamp[:2]), minutes=int(stamp[3:]))
    utc_day = None if day is None else date(2024, 4 if day == 30 else 5, day)
    result = zone_between(datetime(2024, 5, 1, hour, minute), utc_time, utc_day, longitude)
    assert result == (None if hours is None else timedelta(hours=hours))


def test_the_longitude_in_the_image_tells_zones_apart() -> None:
    gps = {1: text("S\0"), 2: rationals(36, 50, (1, 3)), 3: text("E\0"), 4: rationals(174, 45, (1, 3))}
    stamp = {7: rationals(23, 0, 0), 29: text("2024:05:01\0")}
    assert record({TAKEN: CLOCK}, gps | stamp).utc_offset == timedelta(hours=13)


@pytest.mark.parametrize(
    "attributes",
    [
        'exif:DateTimeOriginal="2024-05-01T12:00:00+02:00"',
        'xmp:CreateDate="2024-05-01T12:00:00.37+02:00"',
        'photoshop:DateCreated="2024-05-01T12:00:00+02:00"',
    ],
)
def test_xmp_tells_the_zone_of_the_same_reading(attributes: Any) -> None:
    result = record({TAKEN: CLOCK}, xmp=xmp_packet(attributes))
    assert (result.captured_at, result.zone_source) == (utc(2024, 5, 1, 10), ZoneSource.XMP)
    other = record({TAKEN: text("2024:05:01 13:30:00\0")}, xmp=xmp_packet(attributes))
    assert (other.captured_at, other.zone_source) == (utc(2024, 5, 1, 13, 30), ZoneSource.NOTHING)


@pytest.mark.parametrize(
    "attributes", ['drone-dji:UTCAtExposure="2024-05-01T10:00:00.123456"', 'exif:GPSTimeStamp="2024-05-01T10:00:00Z"']
)
def test_utc_that_only_xmp_tells(attributes: Any) -> None:
    result = record({TAKEN: CLOCK}, xmp=xmp_packet(attributes))
    assert (result.captured_at, result.zone_source) == (utc(2024, 5, 1, 10), ZoneSource.GPS)


def test_times_that_only_xmp_holds() -> None:
    result = record({}, xmp=xmp_packet('exif:DateTimeOriginal="2024-05-01T12:00:00.5+02:00"'))
    assert (result.captured_at, result.remarks) == (utc(2024, 5, 1, 10, 0, 0, 500_000), (Remark.TIME_FROM_XMP,))
    create = xmp_packet('xmp:CreateDate="2024-05-01T12:00:00"')
    assert record({}, xmp=create).captured_at == utc(2024, 5, 1, 12)
    assert record({}, xmp=create, main={}).captured_at is None  # of a file that no camera made
    assert record({}, xmp=xmp_packet('xmp:CreateDate="2024-05-01"')).captured_at is None


def test_fields_of_any_type_raise_nothing() -> None:
    for value in (b"\xff\xfe", 5, (1, 2), [], {}, 1.5, object()):
        fields = dict.fromkeys((TAKEN, FRACTION, ZONE, DIGITIZED, 0x882A), value)
        assert read_capture_time(fields, dict.fromkeys((7, 29), value), Xmp(), None, set(), has_camera=True).at is None
