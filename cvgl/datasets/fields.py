"""From the cells of a table to positions, times, views and subsets; each with the sentence that says what is wrong."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from cvgl.datasets.entries import Position, Reason, RefusedError
from cvgl.datasets.records import Cell
from cvgl.geo import check_geographic
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
_GEOGRAPHIC = frozenset({"epsg:4326", "ogc:crs84", "crs84", "wgs84", "wgs 84"})


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
    """Reads an ISO 8601 time; one without a zone counts as UTC."""
    moment = cell if isinstance(cell, datetime) else None
    written = text(cell)
    if written is None:
        return None
    if moment is None:
        try:
            moment = datetime.fromisoformat(written)
        except ValueError as error:
            raise RefusedError(
                Reason.BAD_TIME, f"'{written}' is not a time; write it like 2024-05-31T14:03:00+02:00"
            ) from error
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError as error:
        raise RefusedError(Reason.BAD_TIME, f"'{written}' does not fit the calendar in UTC") from error


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
    if place is None and crs is not None and not is_geographic(crs):
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
    """A position in a CRS; degrees east and north in WGS 84 become what they are."""
    return geographic(latitude=y, longitude=x) if is_geographic(crs) else Position(x=x, y=y, crs=crs)


def is_geographic(crs: str) -> bool:
    """Whether a CRS is WGS 84 in degrees, by its usual names or as the WKT of a .prj file."""
    name = crs.lower()
    return name in _GEOGRAPHIC or (name.startswith(("geogcs[", "geogcrs[")) and re.search(r"wgs.?(19)?84", name) is not None)


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
