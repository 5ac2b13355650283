"""Zones that images of one camera have from each other, and what is said of cameras' fields at an ingestion."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cvgl.ingestion.camera.record import SENTENCES, Remark, ZoneSource
from cvgl.ingestion.entries import Entry
from cvgl.ingestion.scan_cache import Scan

_REACH = timedelta(hours=24)
_SURE = frozenset({ZoneSource.STATED, ZoneSource.GPS, ZoneSource.XMP})
_ZONES: Mapping[ZoneSource, str] = {
    ZoneSource.NOTHING: "have local time without zone; taken as UTC",
    ZoneSource.NEIGHBOURS: "have local time without zone; taken in the zone of the same camera's other images in the folder",
}


def with_neighbours_zones(entries: Iterable[Entry], scans: Mapping[Path, Scan]) -> dict[Path, Scan]:
    """Gives images without a zone that of the same camera's image in the same folder, nearest by the clock.

    Else a flight in which the receiver lost its fix for some images would be torn apart by the hours between local time and
    UTC.

    Args:
        entries: of one source; those whose camera does not count are left alone.
        scans: of every entry's path.
    """
    settled = dict(scans)
    groups: dict[tuple[Path, str], list[Path]] = defaultdict(list)
    for path in dict.fromkeys(entry.path for entry in entries if entry.from_camera):
        if scans[path].captured_at is not None:
            groups[path.parent, scans[path].camera].append(path)
    for paths in groups.values():
        anchors = sorted(
            (clock, scan.utc_offset_s)
            for scan in (scans[path] for path in paths)
            if (clock := _clock(scan)) is not None and scan.utc_offset_s is not None and scan.zone_source in _SURE
        )
        for path in paths if anchors else ():
            if scans[path].zone_source is ZoneSource.NOTHING:
                settled[path] = _settled(scans[path], anchors)
    return settled


def _clock(scan: Scan) -> datetime | None:
    if scan.captured_at is None:
        return None
    return scan.captured_at.astimezone(UTC) + timedelta(seconds=scan.utc_offset_s or 0)


def _settled(scan: Scan, anchors: list[tuple[datetime, int]]) -> Scan:
    clock = _clock(scan)
    if clock is None:
        return scan
    place = bisect_left(anchors, (clock, -(2**31)))
    nearest = min(anchors[max(place - 1, 0) : place + 1], key=lambda anchor: abs(anchor[0] - clock))
    if abs(nearest[0] - clock) > _REACH:
        return scan
    update = {
        "captured_at": clock - timedelta(seconds=nearest[1]),
        "utc_offset_s": nearest[1],
        "zone_source": ZoneSource.NEIGHBOURS,
    }
    return scan.model_copy(update=update)


def camera_notes(entries: Iterable[Entry], scans: Mapping[Path, Scan]) -> list[str]:
    """What a person should know of cameras' fields, counted over the images whose camera counts.

    Args:
        entries: of one source.
        scans: of every entry's path, after `with_neighbours_zones`.
    """
    remarks: Counter[Remark] = Counter()
    zones: Counter[ZoneSource] = Counter()
    without_own_position = {entry.path for entry in entries if entry.from_camera and _is_needed(entry)}
    for path in without_own_position:
        scan = scans[path]
        if scan.reason is None:
            remarks.update(Remark(word) for word in scan.remarks)
            if scan.zone_source is not None:
                zones[scan.zone_source] += 1
    notes = [_counted(zones[source], sentence) for source, sentence in _ZONES.items() if zones[source]]
    return notes + [_counted(remarks[remark], SENTENCES[remark]) for remark in Remark if remarks[remark]]


def _is_needed(entry: Entry) -> bool:
    return entry.captured_at is None or (entry.position is None and entry.world_file is None)


def _counted(count: int, sentence: str) -> str:
    """A sentence about images, or about one."""
    if count > 1:
        return f"{count} images {sentence}"
    return "1 image " + re.sub("^have", "has", re.sub("^do ", "does ", sentence))
