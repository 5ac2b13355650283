"""From the cells of a table to positions, times, views and subsets; each with the sentence that says what is wrong."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime

from cvgl.datasets.entries import Position, Reason, RefusedError
from cvgl.datasets.moments import Moment, is_nothing, read_epoch, read_moment
from cvgl.datasets.records import Cell
from cvgl.errors import DataError
from cvgl.geo import canonical_crs, check_geographic, check_planar, is_wgs84
from cvgl.types import Subset, View

# Names that people give to the folders and rows of a view, in lower case and without separators.
VIEW_NAMES: Mapping[str, View] = {
    **dict.fromkeys(("drone", "drones", "uav", "uavs", "query", "queries"), View.DRONE),
    **dict.fromkeys(
        ("satellite", "satellites", "sat", "map", "maps", "reference", "references", "tile", "tiles", "gallery", "overhead"),
        View.SATELLITE,
    ),
    **dict.fromkeys(("ground", "street", "streets", "streetview", "panorama", "panoramas", "pano"), View.GROUND),
}
# Every column that means something, by the names it may have.
COLUMNS: Mapping[str, str] = {
    **{name: name for name in ("path", "view", "latitude", "longitude", "x", "y", "crs", "captured_at", "sequence")},
    "subset": "subset",
    "location_id": "location_id",
    # Other names in common use.
    "filename": "path",
    "lat": "latitude",
    "lon": "longitude",
    "lng": "longitude",
    "subsets": "subset",
}


def view_named(name: str) -> View | None:
    """The view that a folder or cell names, whatever its case and separators."""
    return VIEW_NAMES.get(name.strip().lower().replace("_", "").replace("-", "").replace(" ", ""))


def text(cell: Cell) -> str | None:
    """A cell as text without blanks around it; None when empty."""
    if cell is None:
        return None
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)  # a column of whole numbers with gaps arrives as floats
    return str(cell).strip() or None


def view(cell: Cell) -> View:
    """Reads a view, or refuses."""
    name = text(cell)
    found = view_named(name) if name else None
    if found is None:
        raise RefusedError(Reason.UNKNOWN_VIEW, f"'{name or ''}' is not a view; known are {', '.join(View)}")
    return found


def subsets(cell: Cell) -> tuple[Subset, ...]:
    """Reads subsets, separated by any of ``; , |`` or blanks, or as a list; empty when the cell is."""
    if isinstance(cell, (list, tuple)):
        names = [str(name) for name in cell]
    else:
        names = (text(cell) or "").replace(";", " ").replace(",", " ").replace("|", " ").split()
    known = {str(subset) for subset in Subset}
    for name in names:
        if name.lower() not in known:
            raise RefusedError(Reason.UNKNOWN_SUBSET, f"'{name}' is not a subset; known are {', '.join(Subset)}")
    return tuple(sorted({Subset(name.lower()) for name in names}))


def captured_at(cell: Cell) -> datetime | None:
    """Reads a time, in UTC: ISO 8601, EXIF's colons, a date, or seconds and their parts since 1970; without a zone it is UTC.

    Raises:
        RefusedError: the cell holds something else.
    """
    if isinstance(cell, datetime) and cell != cell:  # what pandas writes for no time
        return None
    if isinstance(cell, (datetime, date)):
        written, moment = str(cell), _of_calendar(cell)
    else:
        written = text(cell) or ""
        if is_nothing(written):
            return None
        epoch = _epoch(written)
        if epoch is not None:
            return epoch
        try:
            moment = read_moment(written)
        except ValueError as error:
            raise RefusedError(
                Reason.BAD_TIME, f"'{written}' is not a time; write it like 2024-05-31T14:03:00+02:00"
            ) from error
    try:
        return moment.utc()
    except OverflowError as error:
        raise RefusedError(Reason.BAD_TIME, f"'{written}' does not fit the calendar in UTC") from error


def _of_calendar(cell: date) -> Moment:
    if not isinstance(cell, datetime):
        return Moment(datetime(cell.year, cell.month, cell.day), has_time=False)
    plain = datetime(cell.year, cell.month, cell.day, cell.hour, cell.minute, cell.second, cell.microsecond)
    return Moment(plain, cell.utcoffset())


def _epoch(written: str) -> datetime | None:
    """Seconds since 1970 where the number can be nothing else."""
    return read_epoch(float(written)) if re.fullmatch(r"\d+(\.\d*)?([eE][+]?\d+)?", written) else None


def position(cells: Mapping[str, Cell]) -> Position | None:
    """Reads latitude and longitude, or x, y and crs, or both; None when the cells are empty."""
    latitude, longitude = _pair(cells, "latitude", "longitude")
    x, y = _pair(cells, "x", "y")
    crs = text(cells.get("crs"))
    place = None
    if x is not None and y is not None:
        if crs is None:
            raise RefusedError(Reason.BAD_POSITION, "x and y say nothing without a crs; for a metric frame write 'local'")
        place = planar(x, y, crs)
    if latitude is None or longitude is None:
        return place
    if place is None and crs is not None and not _is_degrees(crs):
        raise RefusedError(Reason.BAD_POSITION, f"latitude and longitude are WGS 84, but the crs is '{crs}'")
    degrees = geographic(latitude, longitude)
    return degrees if place is None else replace(place, latitude=degrees.latitude, longitude=degrees.longitude)


def geographic(latitude: float, longitude: float) -> Position:
    """A position in degrees, or a refusal."""
    problem = check_geographic(latitude, longitude)
    if problem:
        raise RefusedError(Reason.BAD_POSITION, problem)
    return Position(latitude=latitude, longitude=longitude)


def planar(x: float, y: float, crs: str) -> Position:
    """A position in a CRS, x east and y north; degrees east and north in WGS 84 become what they are.

    Raises:
        RefusedError: positions on Earth cannot be in this CRS, or x and y cannot be a place of it.
    """
    try:
        if is_wgs84(crs):
            return geographic(latitude=y, longitude=x)
        name = canonical_crs(crs)
    except DataError as error:
        raise RefusedError(Reason.BAD_POSITION, f"{error.what}; {error.fix}") from error
    problem = check_planar(x, y, name)
    if problem:
        raise RefusedError(Reason.BAD_POSITION, problem)
    return Position(x=x, y=y, crs=name)


def _is_degrees(crs: str) -> bool:
    try:
        return is_wgs84(crs)
    except DataError:
        return False


def _pair(cells: Mapping[str, Cell], first: str, second: str) -> tuple[float, float] | tuple[None, None]:
    a, b = _number(cells.get(first), first), _number(cells.get(second), second)
    if a is None and b is None:
        return None, None
    if a is None or b is None:
        given, absent = (second, first) if a is None else (first, second)
        raise RefusedError(Reason.BAD_POSITION, f"the {given} is given and the {absent} is not")
    return a, b


def _number(cell: Cell, name: str) -> float | None:
    written = text(cell) if isinstance(cell, str) else cell
    if written is None:
        return None
    try:
        value = float(written)  # type: ignore[arg-type]  # whatever a Parquet column holds; TypeError is caught
    except (TypeError, ValueError) as error:
        raise RefusedError(Reason.BAD_POSITION, f"the {name} '{written}' is not a number") from error
    if not math.isfinite(value):
        raise RefusedError(Reason.BAD_POSITION, f"the {name} is '{written}', which is not a place")
    return value
