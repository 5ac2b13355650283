"""What was read of a camera's fields, and what was dropped or interpreted on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from cvgl.ingestion.entries import PositionSource


class Remark(StrEnum):
    """What happened to a field; stored with scans, counted for people."""

    EXIF_DAMAGED = "exif_damaged"
    XMP_DAMAGED = "xmp_damaged"
    XMP_TOO_LARGE = "xmp_too_large"
    POSITION_FROM_XMP = "position_from_xmp"
    POSITION_UNREADABLE = "position_unreadable"
    POSITION_HALF = "position_half"
    POSITION_ZERO = "position_zero"
    POSITION_OFF_THE_GLOBE = "position_off_the_globe"
    POSITION_COARSE = "position_coarse"
    STATUS_VOID = "status_void"
    NO_HEMISPHERE = "no_hemisphere"
    SIGN_OF_NUMBER = "sign_of_number"
    SIGN_CONTRADICTS = "sign_contradicts"
    BEYOND_180 = "beyond_180"
    DATUM_CONVERTED = "datum_converted"
    DATUM_UNKNOWN = "datum_unknown"
    SOURCES_CONTRADICT = "sources_contradict"
    TIME_FROM_XMP = "time_from_xmp"
    TIME_FROM_GPS = "time_from_gps"
    TIME_UNREADABLE = "time_unreadable"
    TIME_WITHOUT_CLOCK = "time_without_clock"
    HOUR_24 = "hour_24"
    ZONE_UNREADABLE = "zone_unreadable"


# Each continues "N images ".
SENTENCES: Mapping[Remark, str] = {
    Remark.EXIF_DAMAGED: "have damaged EXIF; what could be read of it was used",
    Remark.XMP_DAMAGED: "have XMP that is not well-formed XML; what could be read of it was used",
    Remark.XMP_TOO_LARGE: "have more XMP than is read; it was passed over",
    Remark.POSITION_FROM_XMP: "have their position in XMP, not in EXIF; it was taken from there",
    Remark.POSITION_UNREADABLE: "have a GPS position in EXIF that is no number; it was passed over",
    Remark.POSITION_HALF: "have a latitude or a longitude only; it was passed over",
    Remark.POSITION_ZERO: "have the position 0, 0, which cameras write without a fix; it was passed over",
    Remark.POSITION_OFF_THE_GLOBE: "have a position off the globe; it was passed over",
    Remark.POSITION_COARSE: "have a position to a whole minute or degree only (up to 1.9 km or 111 km off); it was taken",
    Remark.STATUS_VOID: "have a position although the receiver's status says that there was no fix (V); it was taken: some "
    "drones always write V, other cameras keep an old position so",
    Remark.NO_HEMISPHERE: "do not say whether they lie north or south, or east or west; the position was passed over",
    Remark.SIGN_OF_NUMBER: "have no letter for the hemisphere and a negative number; it was taken as south or west",
    Remark.SIGN_CONTRADICTS: "have a negative latitude or longitude beside N or E; it was taken as south or west",
    Remark.BEYOND_180: "have a longitude of 180 to 360 degrees; it was taken as west",
    Remark.DATUM_CONVERTED: "have a position in the Tokyo datum; it was converted to WGS 84",
    Remark.DATUM_UNKNOWN: "have a position in a datum that is not known here; it was taken as WGS 84",
    Remark.SOURCES_CONTRADICT: "have positions in EXIF and XMP that lie more than 1 km apart; EXIF's was taken",
    Remark.TIME_FROM_XMP: "have their time in XMP, not in EXIF; it was taken from there",
    Remark.TIME_FROM_GPS: "have the receiver's time only; it was taken, and is UTC",
    Remark.TIME_UNREADABLE: "have a time in EXIF that cannot be read; it was passed over",
    Remark.TIME_WITHOUT_CLOCK: "have a date without a time of day; it was passed over",
    Remark.HOUR_24: "have a time after 24 o'clock; it was taken as after midnight at the start of the date",
    Remark.ZONE_UNREADABLE: "have a time zone that cannot be read; it was passed over",
}


class ZoneSource(StrEnum):
    """What says how far a camera's clock was from UTC."""

    STATED = "stated"  # EXIF's OffsetTime, or a zone within the time
    GPS = "gps"  # the receiver's UTC beside the clock's reading
    XMP = "xmp"
    NEIGHBOURS = "neighbours"  # other images of the same camera and folder
    NOTHING = "nothing"  # the clock's reading is taken as UTC


@dataclass(frozen=True, slots=True)
class CameraRecord:
    """Where and when an image was taken, by its camera.

    Attributes:
        position: latitude and longitude in degrees, WGS 84.
        position_source: EXIF or XMP; None without a position.
        captured_at: in UTC, or the clock's reading as if it were UTC (`ZoneSource.NOTHING`).
        zone_source: None without a time.
        utc_offset: how far the clock was ahead of UTC; None where that is not known.
        camera: make and model; empty where unknown.
        remarks: each once, in the order of `Remark`.
    """

    position: tuple[float, float] | None = None
    position_source: PositionSource | None = None
    captured_at: datetime | None = None
    zone_source: ZoneSource | None = None
    utc_offset: timedelta | None = None
    camera: str = ""
    remarks: tuple[Remark, ...] = ()


def sort_remarks(remarks: set[Remark]) -> tuple[Remark, ...]:
    """Each once, in the order of the enumeration."""
    return tuple(remark for remark in Remark if remark in remarks)
