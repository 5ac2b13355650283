"""From the cells of a table to positions, times, views and subsets; each with the sentence that says what is wrong."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache

from cvgl.errors import DataError
from cvgl.geo import Position, canonical_crs, check_geographic, check_planar, frame_of, in_area_of_use, is_local, is_wgs84
from cvgl.ingestion.coordinates import read_number
from cvgl.ingestion.datetimes import Moment, is_blank_time, read_epoch, read_moment
from cvgl.ingestion.entries import Reason, RefusedError
from cvgl.ingestion.records import Cell
from cvgl.ingestion.remarks import Remark, ignore_remark
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
# Names that other programs write; they count where none of the above is there for the same thing.
FOREIGN_COLUMNS: Mapping[str, str] = {
    **dict.fromkeys(("file", "filepath", "image", "imagename", "image path", "sourcefile"), "path"),
    **dict.fromkeys(("gpslatitude", "gpslat", "latitudedeg", "latitudedegrees", "latdeg"), "latitude"),
    **dict.fromkeys(
        ("gpslongitude", "gpslon", "gpslng", "gpslong", "long", "longitudedeg", "longitudedegrees", "londeg", "lngdeg"),
        "longitude",
    ),
    **dict.fromkeys(("gpslatituderef", "latituderef"), "latitude_ref"),
    **dict.fromkeys(("gpslongituderef", "longituderef"), "longitude_ref"),
    **dict.fromkeys(("locationid", "placeid"), "location_id"),
    **dict.fromkeys(("capturedat",), "captured_at"),
}
# What programs write where they have nothing to say; a place of such a name has to be called otherwise.
MISSING_WORDS = frozenset(
    {
        "",
        "na",
        "n/a",
        "n.a.",
        "#n/a",
        "#na",
        "#n/a n/a",
        "<na>",
        "nan",
        "-nan",
        "+nan",
        "nat",
        "null",
        "(null)",
        "#null!",
        "nil",
    }
    | {"none", "missing", "undefined", "unknown", "not available", "-", "--", "---", "?", "\\n", "1.#ind", "-1.#ind", "1.#qnan"}
    | {"-1.#qnan", "#value!", "#ref!", "#div/0!", "#num!", "#name?"}
)
_NO_FIX = "which stands for no fix: taken in without that position"
_FARTHEST_FROM_ZERO = 5e-7  # degrees, some centimetres: six decimals of nothing


def view_named(name: str) -> View | None:
    """The view that a folder or cell names, whatever its case and separators."""
    return VIEW_NAMES.get(name.strip().lower().replace("_", "").replace("-", "").replace(" ", ""))


def column_meaning(name: str) -> str | None:
    """What a column means by one of the names that other programs give it, units left out; None where nothing is known."""
    plain = re.sub(r"[\s_.:-]", "", re.sub(r"[(\[].*?[)\]]", "", name.lower()))
    # x and y alone: with a unit beside them they may be pixels.
    return FOREIGN_COLUMNS.get(plain) or (COLUMNS.get(plain) if plain not in ("x", "y") else None)


def is_missing(cell: Cell) -> bool:
    """Whether a cell says nothing: empty, blank, NaN, or a word such as NA, null or None."""
    if cell is None or isinstance(cell, (float, Decimal)):
        return cell is None or math.isnan(cell)
    return isinstance(cell, str) and cell.strip().lower() in MISSING_WORDS


def text(cell: Cell) -> str | None:
    """A cell as text without blanks around it; None when it says nothing."""
    if is_missing(cell):
        return None
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)  # a column of whole numbers with gaps arrives as floats
    return str(cell).strip()


def view(cell: Cell) -> View:
    """Reads a view, or refuses."""
    name = text(cell)
    named_view = view_named(name) if name else None
    if named_view is None:
        raise RefusedError(Reason.UNKNOWN_VIEW, f"'{name or ''}' is not a view; known are {', '.join(View)}")
    return named_view


def subsets(cell: Cell) -> tuple[Subset, ...]:
    """Reads subsets, separated by any of ``; , |`` or blanks, or as a list; empty when the cell is."""
    if isinstance(cell, (list, tuple)):
        names = [name for item in cell if (name := text(item)) is not None]
    else:
        names = (text(cell) or "").replace(";", " ").replace(",", " ").replace("|", " ").split()
    subset_names = {str(subset) for subset in Subset}
    for name in names:
        if name.lower() not in subset_names:
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
        if is_blank_time(written):
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


def position(cells: Mapping[str, Cell], remark: Remark = ignore_remark) -> Position | None:
    """Reads latitude and longitude, or x, y and crs, or both; None when the cells say nothing.

    Half of a pair, and 0, 0 where that means "no fix", are no position either, and are remarked on.

    Raises:
        RefusedError: something is there that is no position.
    """
    latitude, longitude = _pair(cells, "latitude", "longitude", remark)
    x, y = _pair(cells, "x", "y", remark)
    crs = text(cells.get("crs"))
    planar_position = None
    if x is not None and y is not None:
        if crs is None:
            word = cells.get("crs")
            none = f", and '{word}' is none" if isinstance(word, str) and word.strip() else ""
            raise RefusedError(
                Reason.BAD_POSITION,
                f"x and y say nothing without a crs such as EPSG:32632{none}; for a metric frame write 'local'",
            )
        if x == 0 and y == 0 and not _is_origin_used(crs):
            remark(f"x and y are 0, 0, where {crs} is not used; {_NO_FIX}")
        else:
            planar_position = _unless_unset(planar(x, y, crs), remark)
    if latitude is None or longitude is None:
        return planar_position
    if planar_position is None and x is None and crs is not None and not _is_degrees(crs):
        raise RefusedError(Reason.BAD_POSITION, f"latitude and longitude are WGS 84, but the crs is '{crs}'")
    degrees = _unless_unset(geographic(latitude, longitude), remark)
    if planar_position is None or degrees is None:
        return degrees or planar_position
    return planar_position.model_copy(update={"latitude": degrees.latitude, "longitude": degrees.longitude})


def _unless_unset(position: Position, remark: Remark) -> Position | None:
    """A position, or None where it is the 0, 0 in degrees that devices and programs write without a fix."""
    if position.latitude is None or position.longitude is None or not _is_zero(position.latitude, position.longitude):
        return position
    remark(f"latitude and longitude are 0, 0; {_NO_FIX}")
    return None


def _is_zero(latitude: float, longitude: float) -> bool:
    return abs(latitude) < _FARTHEST_FROM_ZERO and abs(longitude) < _FARTHEST_FROM_ZERO


@lru_cache(maxsize=64)
def _is_origin_used(crs: str) -> bool:
    """Whether x = 0, y = 0 is a place where a CRS is meant to be used; so it is where nobody says where that is."""
    if is_local(crs):
        return True
    try:
        frame = frame_of(crs)
    except DataError:
        return True  # whoever judges the CRS says what is wrong
    longitude, latitude = (float(angle) for angle in frame.degrees(0.0, 0.0))
    if frame.horizontal.area_of_use is None:
        return frame.horizontal.utm_zone is None and not math.isnan(longitude)
    return bool(in_area_of_use(0.0, 0.0, crs)) and not _is_zero(latitude, longitude)


def geographic(latitude: float, longitude: float) -> Position:
    """A position in degrees, or a refusal."""
    problem = check_geographic(latitude, longitude)
    if problem and not check_geographic(longitude, latitude):
        problem += "; latitude and longitude look exchanged"
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


def _pair(cells: Mapping[str, Cell], first: str, second: str, remark: Remark) -> tuple[float, float] | tuple[None, None]:
    a, b = _number(cells, first, remark), _number(cells, second, remark)
    if a is not None and b is not None:
        return a, b
    if a is not None or b is not None:
        present, absent = (second, first) if a is None else (first, second)
        remark(f"there is {_article(present)} and no {absent}; taken in without that position")
    return None, None


def _article(name: str) -> str:
    return f"an {name}" if name == "x" else f"a {name}"


def _number(cells: Mapping[str, Cell], name: str, remark: Remark) -> float | None:
    cell = cells.get(name)
    if is_missing(cell):
        return None
    value, form = read_number(cell, name)
    if form is not None:
        remark(f"{form} were read in columns of positions")
    direction = text(cells.get(f"{name}_ref"))
    return value if direction is None else _directed(value, name, direction)


def _directed(value: float, name: str, direction: str) -> float:
    """A number with the sign that the column beside it states, as exiftool writes them."""
    words = {"latitude": {"n": 1, "north": 1, "s": -1, "south": -1}, "longitude": {"e": 1, "east": 1, "w": -1, "west": -1}}
    sign = words[name].get(direction.lower())
    if sign is None:
        raise RefusedError(Reason.BAD_POSITION, f"'{direction}' is no direction of a {name}")
    if sign > 0 > value:
        raise RefusedError(Reason.BAD_POSITION, f"the {name} {value} is negative, and '{direction}' stands beside it")
    return abs(value) * sign
