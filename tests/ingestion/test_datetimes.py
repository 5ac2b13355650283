"""Times as they are written in tables and by cameras."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvgl.ingestion.datetimes import is_blank_time, read_epoch, read_moment, read_offset

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "written",
    [
        "2024-05-01T12:00:00Z",
        "2024-05-01 12:00:00",
        "2024-05-01T12:00",
        "2024-05-01T14:00:00+02:00",
        "2024-05-01T14:00:00+0200",
        "2024-05-01T14:00:00+02",
        "2024-05-01 14:00:00 +02:00",
        "2024-05-01 14:00:00 UTC+2",
        "2024-05-01T07:00:00-5:00",
        "2024-05-01T07:00-05:00",
        "2024-05-01T07:00:00\u221205:00",
        "2024-05-01T17:30:00.000+05:30",
        "2024-05-01t12:00:00z",
        "2024-05-01 12:00:00 UTC",
        "2024-05-01T12:00:00,0",
        "2024-05-01T12:00:00.000000000",
        "2024:05:01 12:00:00",
        "2024:5:1 12:0:0",
        "2024/05/01 12:00:00",
        "2024.05.01 12.00.00",
        "2024-05-01 12-00-00",
        "2024-05-01_12:00:00",
        "20240501T120000Z",
        "20240501120000",
        "20240501_120000",
        "2024-05-01 12:00:00 PM",
        "2024-05-01T12",
        "2024-05-01T12Z",
        "2024-W18-3T12:00:00",
        " 2024-05-01T12:00:00Z\0 ",
        "2024-05-01T11:59:60Z",
    ],
)
def test_one_moment_in_many_forms(written: str) -> None:
    assert read_moment(written).utc() == NOON


@pytest.mark.parametrize("written", ["2024-05-01", "2024:05:01", "2024/5/1", "20240501", "2024:05:01   :  :  ", "2024-05-01T"])
def test_dates_without_a_time(written: str) -> None:
    moment = read_moment(written)
    assert (moment.utc(), moment.has_time) == (datetime(2024, 5, 1, tzinfo=UTC), False)


@pytest.mark.parametrize(
    ("fraction", "micro"), [("5", 500_000), ("05", 50_000), ("1234567", 123_456), ("999999999999", 999_999), ("000001", 1)]
)
@pytest.mark.parametrize("point", [".", ","])
def test_fractions_of_any_length(fraction: Any, micro: Any, point: Any) -> None:
    assert read_moment(f"2024-05-01T12:00:00{point}{fraction}Z").utc() == NOON + timedelta(microseconds=micro)


def test_24_oclock_ends_a_date_and_begins_one_in_phones() -> None:
    assert read_moment("2024-04-30T24:00:00").utc() == datetime(2024, 5, 1, tzinfo=UTC)
    phone = read_moment("2015:08:22 24:08:19", by_camera=True)
    assert (phone.utc(), phone.hour_24) == (datetime(2015, 8, 22, 0, 8, 19, tzinfo=UTC), True)


@pytest.mark.parametrize(
    "written",
    [
        "yesterday",
        "",
        "2024",
        "5.5",
        "31.05.2024",
        "01/05/2024 12:00",
        "2024-13-01",
        "2024-02-30T12:00",
        "2024-05-01T25:00:00",
        "2024-05-01T24:00:01",
        "2024-05-01T12:60:00",
        "2024-05-01T12:00:61",
        "2024-05-01T12:00:00+24:00",
        "2024-05-01T12:00:00+02:75",
        "2024-05-01 13:00:00 PM",
        "2024-05-01T12:00:00Zulu",
        "9999-12-31T24:00:00",
        "0000-01-01T00:00:00",
    ],
)
def test_what_is_no_moment(written: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        read_moment(written)


@pytest.mark.parametrize(
    ("written", "minutes"),
    [
        ("+02:00", 120),
        ("-5:00", -300),
        ("+5:30", 330),
        ("+0530", 330),
        ("+05", 330 - 30),
        ("Z", 0),
        ("\0+01:00\0", 60),
        ("-03:30 ", -210),
    ],
)
def test_zones(written: str, minutes: Any) -> None:
    assert read_offset(written) == timedelta(minutes=minutes)


@pytest.mark.parametrize("written", ["", "   ", ":", "02:00", "CEST", "+", "+25", "+1:2:3:4"])
def test_what_is_no_zone(written: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        read_offset(written)


@pytest.mark.parametrize(
    "written",
    ["", "  ", "0000:00:00 00:00:00", "    :  :     :  :  ", "----:--:--", "\0\0", "NaN", "nat", "null", "None", "NA"],
)
def test_what_stands_for_no_time(written: str) -> None:
    assert is_blank_time(written)


@pytest.mark.parametrize("number", [1714564800, 1714564800.0, 1714564800000, 1714564800000000, 1714564800000000000])
def test_seconds_since_1970_and_their_parts(number: Any) -> None:
    assert read_epoch(number) == NOON


@pytest.mark.parametrize("number", [5.5, 0, -1714564800, 20240501, 20240501120000, 45413.5, float("nan"), float("inf"), 1e30])
def test_numbers_that_may_be_anything(number: Any) -> None:
    assert read_epoch(number) is None


@given(st.datetimes(datetime(1900, 1, 2), datetime(2200, 1, 1)), st.integers(-14 * 60, 14 * 60))
def test_what_python_writes_is_read(moment: Any, minutes: Any) -> None:
    written = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    assert read_moment(written.isoformat()).utc() == written


@given(st.text(max_size=40))
def test_any_text_is_a_moment_or_a_reason(written: str) -> None:
    try:
        read_moment(written)
    except ValueError:
        return
    assert any(letter.isdecimal() for letter in written)
