"""Rows of a table that name one image: what they agree on counts, and what they contradict one another in does not."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cvgl.errors import DataError
from cvgl.geo import LOCAL_CRS, Position, same_crs, to_geographic
from cvgl.ingestion import fields
from cvgl.ingestion.entries import Reason, Refusal, RefusedError, printable
from cvgl.ingestion.name_matching import Match, common_parts
from cvgl.ingestion.records import Cell
from cvgl.ingestion.remarks import Remark

_DEGREES, _UNITS, _DEGREES_BY_WAY_OF_A_CRS = 1e-6, 0.01, 1e-4  # less is how numbers are rounded
_OF_POSITIONS = ("latitude", "longitude", "latitude_ref", "longitude_ref", "x", "y", "crs")
_OTHERS: Mapping[str, Reason] = {
    "location_id": Reason.CONFLICTING_LOCATION,
    "captured_at": Reason.BAD_ROW,
    "sequence": Reason.BAD_ROW,
}


@dataclass(frozen=True, slots=True)
class Row:
    """A row and the image that it names.

    Attributes:
        number: as an editor counts.
        name: of the image, as the row has it.
        path: of the image.
        match: how the name was recognised.
        cells: by meaning.
        remark: takes what is worth a note about the row.
    """

    number: int
    name: str
    path: Path
    match: Match
    cells: Mapping[str, Cell]
    remark: Remark


def positions_differ(first: Position | None, second: Position | None) -> bool:
    """Whether two positions are different places; False where one is none, or they cannot be compared."""
    if first is None or second is None:
        return False
    if first.latitude is not None and second.latitude is not None:
        return _apart(first.latitude, second.latitude, _DEGREES) or _apart(first.longitude, second.longitude, _DEGREES)
    if first.crs is not None and second.crs is not None and same_crs(first.crs, second.crs):
        return _apart(first.x, second.x, _UNITS) or _apart(first.y, second.y, _UNITS)
    try:
        angles = _degrees(first), _degrees(second)
    except DataError:
        return False
    return any(_apart(a, b, _DEGREES_BY_WAY_OF_A_CRS) for a, b in zip(*angles, strict=True))


def _apart(a: float | None, b: float | None, tolerance: float) -> bool:
    return a is not None and b is not None and abs(a - b) > tolerance


def _degrees(position: Position) -> tuple[float, float]:
    if position.latitude is not None and position.longitude is not None:
        return position.latitude, position.longitude
    latitude, longitude = to_geographic(position.x or 0.0, position.y or 0.0, position.crs or LOCAL_CRS)
    return float(latitude), float(longitude)


def doubtful_rows(rows: Iterable[Row]) -> dict[int, RefusedError]:
    """Rows that were recognised by the last parts of their names only, and of which something else is meant.

    Returns:
        Why each cannot be used, by its number.
    """
    doubts: dict[int, RefusedError] = {}
    for path, group in rows_by_path(rows).items():
        weak = [row for row in group if row.match is Match.LAST_PARTS]
        most = max((common_parts(row.name, path) for row in weak), default=0)
        best = [row for row in weak if common_parts(row.name, path) == most]
        if len({row.name for row in best}) > 1:
            best = []
        surest = next((row for row in group if row.match is not Match.LAST_PARTS), None) or (best[0] if best else None)
        for row in weak:
            if surest is None:
                detail = f"rows {_numbers(weak)} name images in several folders, and only {path.name} has their last parts"
                doubts[row.number] = RefusedError(Reason.AMBIGUOUS, detail)
            elif row.name != surest.name:
                detail = f"only {path.name} has the last parts of this name, and row {surest.number} names more of its path"
                doubts[row.number] = RefusedError(Reason.MISSING, detail)
    return doubts


def rows_by_path(rows: Iterable[Row]) -> dict[Path, list[Row]]:
    """Rows by the image that they name, in their order."""
    groups: dict[Path, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.path].append(row)
    return groups


def merge_rows(rows: Sequence[Row], table: Path) -> tuple[Mapping[str, Cell], list[Refusal]]:
    """What several rows say of one image together.

    Cells that one row fills and another leaves empty count. Where two rows state different positions, labels, times or
    sequences, none of them counts. Subsets are united.

    Returns:
        The cells, and a refusal for each contradiction.
    """
    refusals: list[Refusal] = []
    cells = {name: _first(rows, name) for name in dict.fromkeys(name for row in rows for name in row.cells)}
    placed: list[tuple[Row, Position]] = []
    for row in rows:
        try:
            position = fields.position(row.cells)
        except RefusedError as refused:
            refusals.append(_refusal(table, row, refused.reason, refused.detail))
        else:
            placed += [(row, position)] if position is not None else []
    pair = next(((a, b) for a, b in itertools.combinations(placed, 2) if positions_differ(a[1], b[1])), None)
    stated = None if pair is not None else next((row for row, _ in placed), None)
    cells |= {name: None if stated is None else stated.cells[name] for name in _OF_POSITIONS if name in cells}
    if pair is not None:
        (first, here), (second, there) = pair
        words = f"with different positions, {format_position(here)} and {format_position(there)}; it is taken in without either"
        refusals.append(contradiction(table, first, second, Reason.CONFLICTING_POSITION, words))
    for name, reason in _OTHERS.items():
        texts = {text: row for row in reversed(rows) if (text := fields.text(row.cells.get(name))) is not None}
        if len(texts) > 1:
            first, second = sorted(texts.values(), key=lambda row: row.number)[:2]
            values = f"{fields.text(first.cells[name])} and {fields.text(second.cells[name])}"
            words = f"with different cells of {name}, {values}; it is taken in without either"
            refusals.append(contradiction(table, first, second, reason, words))
            cells[name] = None
    if "subset" in cells:
        cells["subset"] = ";".join(text for row in rows if (text := _subsets(row.cells["subset"])))
    return cells, refusals


def contradiction(table: Path, first: Row, second: Row, reason: Reason, words: str) -> Refusal:
    """The refusal of what two rows say of an image."""
    return _refusal(table, second, reason, f"rows {first.number} and {second.number} name {first.path.name} {words}")


def format_position(position: Position) -> str:
    """A position in a sentence."""
    if position.latitude is not None and position.longitude is not None:
        return f"({position.latitude:.7g}, {position.longitude:.7g})"
    return f"({position.x:.10g}, {position.y:.10g}) in {position.crs}"


def _first(rows: Sequence[Row], name: str) -> Cell:
    return next((row.cells[name] for row in rows if not fields.is_missing(row.cells.get(name))), None)


def _subsets(cell: Cell) -> str:
    return ";".join(map(str, cell)) if isinstance(cell, (list, tuple)) else fields.text(cell) or ""


def _numbers(rows: Sequence[Row]) -> str:
    return " and ".join(str(row.number) for row in rows[:2]) + (" and others" if len(rows) > 2 else "")


def _refusal(table: Path, row: Row, reason: Reason, detail: str) -> Refusal:
    return Refusal(printable(f"{table}:{row.number}: {row.name}"), reason, printable(detail))
