"""Images without a zone, and what is said of cameras' fields."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cvgl.geo import Position
from cvgl.ingestion.camera.record import SENTENCES, Remark, ZoneSource
from cvgl.ingestion.camera.zones import camera_notes, with_neighbours_zones
from cvgl.ingestion.entries import Entry, Reason
from cvgl.ingestion.scan_cache import Scan
from cvgl.types import View

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


def scan(name: str, clock: datetime, offset_hours: float | None = None, camera: str = "GoPro", **more: Any) -> Scan:
    offset = None if offset_hours is None else offset_hours * 3600
    source = ZoneSource.NOTHING if offset is None else ZoneSource.GPS
    at = clock - timedelta(seconds=offset or 0)
    return Scan(uri=name, captured_at=at, zone_source=source, utc_offset_s=offset, camera=camera, **more)


def settled(scans: Any, from_camera: bool = True) -> Any:
    by_path = {Path(item.uri): item for item in scans}
    entries = [Entry(path, View.DRONE, from_camera=from_camera) for path in by_path]
    result = with_neighbours_zones(entries, by_path)
    return [(result[path].captured_at, result[path].zone_source) for path in by_path], camera_notes(entries, result)


def test_a_flight_with_a_lost_fix_stays_in_one_piece() -> None:
    scans = [scan(f"/f/{n}.jpg", NOON + timedelta(seconds=n), None if n == 2 else -4) for n in range(4)]
    result, notes = settled(scans)
    assert [at for at, _ in result] == [NOON + timedelta(hours=4, seconds=n) for n in range(4)]
    assert result[2][1] is ZoneSource.NEIGHBOURS
    assert notes == ["1 image has local time without zone; taken in the zone of the same camera's other images in the folder"]


def test_the_nearest_image_tells_the_zone() -> None:
    scans = [scan("/f/a", NOON, 1), scan("/f/b", NOON + timedelta(hours=3)), scan("/f/c", NOON + timedelta(hours=4), 2)]
    assert settled(scans)[0][1][0] == NOON + timedelta(hours=1)


def test_another_camera_folder_or_day_tells_nothing() -> None:
    scans = [
        scan("/f/a", NOON, -4),
        scan("/f/b", NOON, camera="DJI"),
        scan("/g/c", NOON),
        scan("/f/d", NOON + timedelta(hours=25)),
    ]
    result, notes = settled(scans)
    assert [source for _, source in result[1:]] == [ZoneSource.NOTHING] * 3
    assert notes == ["3 images have local time without zone; taken as UTC"]


def test_where_the_camera_does_not_count_nothing_is_changed_or_said() -> None:
    scans = [scan("/f/a", NOON, -4), scan("/f/b", NOON, remarks=(Remark.STATUS_VOID,))]
    result, notes = settled(scans, from_camera=False)
    assert (result[1], notes) == ((NOON, ZoneSource.NOTHING), [])


def test_remarks_are_counted_in_their_order() -> None:
    marks = (Remark.POSITION_ZERO, Remark.ZONE_UNREADABLE)
    scans = [scan(f"/f/{n}", NOON, 0, remarks=marks[: 1 + n % 2]) for n in range(4)]
    scans.append(Scan(uri="/f/bad", reason=Reason.DAMAGED))
    expected = [f"4 images {SENTENCES[marks[0]]}", f"2 images {SENTENCES[marks[1]]}"]
    assert settled(scans)[1] == expected


def test_images_that_need_nothing_of_their_camera_are_not_counted() -> None:
    sample = scan("/f/a", NOON, remarks=(Remark.POSITION_ZERO,))
    entry = Entry(Path("/f/a"), View.DRONE, from_camera=True, captured_at=NOON, position=Position(latitude=1.0, longitude=2.0))
    assert camera_notes([entry], {entry.path: sample}) == []


def test_every_remark_has_a_sentence() -> None:
    assert set(SENTENCES) == set(Remark)
