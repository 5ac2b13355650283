"""Merging of entries by content: one content is one image under any number of names; contradictions are refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from cvgl.geo import Position
from cvgl.ingestion.contradictions import format_position, positions_differ
from cvgl.ingestion.entries import Entry, PositionSource, Reason, Refusal, RefusedError, printable
from cvgl.ingestion.georeference.position_sources import position_of
from cvgl.ingestion.scan_cache import Scan
from cvgl.types import Subset, View


@dataclass(frozen=True, slots=True)
class SourceImage:
    """One content, with everything that its names say about it. Width and height are those of the upright image."""

    image_id: str
    uri: str
    view: View
    subsets: tuple[Subset, ...]
    width: int
    height: int
    location_id: str | None = None
    position: Position | None = None
    captured_at: datetime | None = None
    sequence: str | None = None
    position_source: PositionSource | None = None
    remark: str = ""  # about the position, for a person


def merge_entries(
    entries: Iterable[Entry], scans: Mapping[Path, Scan], earlier: Mapping[str, SourceImage]
) -> tuple[dict[str, SourceImage], list[Refusal]]:
    """Unites the names of each content.

    The first name stays. Another name in another role (University-1652 has the same drone image among the queries and
    in the gallery) adds its role; one that adds nothing is a duplicate; one that contradicts the first in view or
    location is refused for that.

    Args:
        entries: in the order in which names come first.
        scans: of every entry's path.
        earlier: by image_id, images that came under names outside of this source and are still there.

    Returns:
        Images of this source by image_id, in the order of their first names, and what was refused.
    """
    united: dict[str, SourceImage] = {}
    accepted: set[str] = set()
    # Only within one source is a second name a duplicate; what another source brought is simply known.
    roles: dict[str, set[Subset]] = {}
    refusals: list[Refusal] = []
    for entry in entries:
        scan = scans[entry.path]
        name = entry.label or str(entry.path)
        try:
            image = _image(entry, scan)
            taken = roles.setdefault(image.image_id, set())
            first = united.get(image.image_id) or earlier.get(image.image_id)
            united[image.image_id] = image if first is None else _merged(first, image, taken)
            taken.update(image.subsets)
            accepted.add(image.uri)
        except RefusedError as refused:
            # A manifest may name one file twice; then the path alone would put an accepted image into quarantine.
            uri = f"{name}: {entry.path}" if entry.label and str(entry.path) in accepted else str(entry.path)
            refusals.append(Refusal(printable(uri), refused.reason, refused.detail, entry.view))
    return united, refusals


def _image(entry: Entry, scan: Scan) -> SourceImage:
    if scan.reason is not None:
        raise RefusedError(scan.reason, scan.detail)
    width, height = (scan.height, scan.width) if scan.turned else (scan.width, scan.height)
    sourced = position_of(entry, scan)
    camera_time = scan.captured_at if entry.from_camera else None
    return SourceImage(
        image_id=scan.image_id,
        uri=str(entry.path),
        view=entry.view,
        subsets=tuple(sorted(entry.subsets)),
        width=width,
        height=height,
        location_id=entry.location_id,
        position=sourced.position,
        captured_at=entry.captured_at or camera_time,
        sequence=entry.sequence,
        position_source=sourced.source,
        remark=sourced.remark,
    )


def _merged(first: SourceImage, other: SourceImage, taken: Set[Subset]) -> SourceImage:
    _check_agreement(first, other)
    elsewhere = positions_differ(first.position, other.position)
    if taken and set(other.subsets) <= taken:
        other_position = (
            f", which has another position, {format_position(first.position)}" if elsewhere and first.position else ""
        )
        raise RefusedError(Reason.DUPLICATE, f"the same image as {printable(first.uri)}{other_position}")
    if taken and elsewhere and first.position and other.position:
        raise RefusedError(
            Reason.CONFLICTING_POSITION,
            f"the same image lies at {format_position(first.position)} under the name {printable(first.uri)}, "
            f"and at {format_position(other.position)} under this one",
        )
    return replace(
        first,
        subsets=tuple(sorted({*first.subsets, *other.subsets})),
        location_id=first.location_id or other.location_id,
        position=first.position or other.position,
        captured_at=first.captured_at or other.captured_at,
        sequence=first.sequence or other.sequence,
        position_source=first.position_source if first.position else other.position_source,
        remark=first.remark or other.remark,
    )


def _check_agreement(first: SourceImage, other: SourceImage) -> None:
    name = printable(first.uri)
    if first.view is not other.view:
        raise RefusedError(Reason.CONFLICTING_VIEW, f"the same image is a {first.view} image under the name {name}")
    if first.location_id and other.location_id and first.location_id != other.location_id:
        raise RefusedError(
            Reason.CONFLICTING_LOCATION, f"the same image shows location {first.location_id} under the name {name}"
        )
