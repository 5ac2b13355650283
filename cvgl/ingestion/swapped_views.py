"""Views that look exchanged: what is a map, and what a camera has taken, is told by the files, not by what they show.

Two views with one image a place have the same relation whichever of them is called the map, so descriptors cannot tell. What
lies in and beside the files can: tiles have world files or lie on a grid, photographs have the moment at which they were taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cvgl.errors import DataError, GateRefusal
from cvgl.geo import Position, full_turn
from cvgl.ingestion.entries import Entry
from cvgl.ingestion.scan_cache import Scan

NEARLY_ALL = 0.9
MIN_GRID_CELLS = 16
_FIX = "put the map's tiles into satellite/ and the images to be placed into drone/ or ground/ (in a manifest: column view)"


class SwappedViewsError(GateRefusal, DataError):
    """The tiles of a map are offered as what is to be placed, and nothing is offered as a map."""

    _kind = "ExchangedViews"  # the name in --json, which programs rely on


@dataclass(frozen=True, slots=True)
class SwapSuspicion:
    """Why two views look exchanged.

    Attributes:
        reason: one sentence for a person.
        certain: nothing can be placed on such references, so the source is not taken in.
    """

    reason: str
    certain: bool

    def raise_if_certain(self, source: Path) -> None:
        """Refuses the source.

        Raises:
            ExchangedViews: the suspicion is certain.
        """
        if self.certain:
            fix = f"{_FIX}; if they are right as they are, give the references positions"
            raise SwappedViewsError(self.reason, where=source, fix=fix)


def find_swapped_views(entries: Sequence[Entry], scans: Mapping[Path, Scan], *, has_map: bool = False) -> SwapSuspicion | None:
    """Checks whether the queries look like map tiles and the references like photographs; None where they do not.

    Args:
        entries: of one source.
        scans: of every entry's path; those that are no images do not count.
        has_map: references with positions came from elsewhere.
    """
    usable = [entry for entry in entries if scans[entry.path].reason is None]
    queries = [entry for entry in usable if not entry.view.is_reference]
    references = [entry for entry in usable if entry.view.is_reference]
    if not queries or not references:
        return None
    tiles = _looks_like_tiles(queries, scans)
    if tiles and not has_map and not any(_is_placed(entry, scans[entry.path]) for entry in references):
        return SwapSuspicion(
            f"the views look exchanged: the {len(queries)} images to be placed are tiles of a map ({tiles}), and of the "
            f"{len(references)} references, which should be the map, none has a position",
            certain=True,
        )
    taken = [sum(scans[entry.path].captured_at is not None for entry in side) for side in (queries, references)]
    if not taken[0] and taken[1] >= NEARLY_ALL * len(references):
        return SwapSuspicion(
            f"the views look exchanged: {taken[1]} of the {len(references)} references were taken by a camera, by what their "
            f"EXIF says, and none of the {len(queries)} images to be placed; if so, {_FIX}",
            certain=False,
        )
    in_a_row = [sum(entry.sequence is not None for entry in side) for side in (queries, references)]
    if not in_a_row[0] and in_a_row[1] >= NEARLY_ALL * len(references):
        return SwapSuspicion(
            f"the views look exchanged: {in_a_row[1]} of the {len(references)} references were taken in a row (column "
            f"sequence), and none of the {len(queries)} images to be placed; if so, {_FIX}",
            certain=False,
        )
    return None


def _looks_like_tiles(entries: Sequence[Entry], scans: Mapping[Path, Scan]) -> str:
    """What says that images are tiles of a map; empty where nothing does."""
    if sum(entry.world_file is not None for entry in entries) >= NEARLY_ALL * len(entries):
        return "with world files beside them"
    if sum(_has_own_transform(entry, scans[entry.path]) for entry in entries) >= NEARLY_ALL * len(entries):
        return "with a position of their own, as GeoTIFFs have"
    positions = [entry.position for entry in entries if entry.position is not None]
    if len(positions) >= NEARLY_ALL * len(entries) and _is_grid(positions):
        return "on a regular grid of positions"
    return ""


def _is_grid(positions: Sequence[Position]) -> bool:
    """Whether positions lie on rows and columns that are mostly filled."""
    cells = {_cell(position) for position in positions}
    rows, columns = {row for row, _ in cells}, {column for _, column in cells}
    is_plane = min(len(rows), len(columns)) >= 3
    return len(cells) >= MIN_GRID_CELLS and is_plane and len(rows) * len(columns) <= 2 * len(cells)


def _cell(position: Position) -> tuple[float, float]:
    """Row and column, to a centimetre or a decimetre: what a table rounds differently is one row still."""
    if position.x is not None and position.y is not None:
        if position.crs is not None and full_turn(position.crs) is not None:
            return round(position.y, 6), round(position.x, 6)
        return round(position.y, 2), round(position.x, 2)
    return round(position.latitude or 0.0, 6), round(position.longitude or 0.0, 6)


def _is_placed(entry: Entry, scan: Scan) -> bool:
    """Whether a reference has a position as tiles have one: stated, by a world file, or written into EXIF by a program.

    A camera writes the time along with its own position, which is not that of the ground in the image.
    """
    by_a_program = entry.from_camera and scan.latitude is not None and scan.captured_at is None
    has_files = entry.world_file is not None or _has_own_transform(entry, scan)
    return entry.position is not None or has_files or by_a_program


def _has_own_transform(entry: Entry, scan: Scan) -> bool:
    own = scan.raster if entry.from_raster else None
    return any(each is not None and each.transform is not None for each in (own, entry.georeference))
