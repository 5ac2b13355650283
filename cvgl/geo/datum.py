"""From a CRS to latitude and longitude of WGS 84: which shift of datum is known there, and how well.

PROJ passes numbers on unchanged where it knows no shift (its "ballpark"), which is up to some hundreds of metres wrong and not
said. Here that is an error, and every result says how right it is.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cvgl.errors import DataError
from cvgl.geo.frames import WGS84, Frame, frame_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Float64Array = NDArray[np.float64]

# Datums that PROJ knows no way from to WGS 84, though by their definition they realise the same system (ITRS) or, as those of
# North America, one within 2 m of it. By pyproj's name of the datum; ITRF's and IGS's own frames it calls dynamic.
_SAME_BY_DEFINITION = re.compile(
    r"China 2000|SIRGAS|NAD83|North American Datum of 1983|Posiciones Geodesicas Argentinas|Israeli Geodetic Datum 2005"
    r"|European Terrestrial Reference System 1989|ETRS89|Latvian coordinate system 2020"
)
_SAME_M = 4.0  # how far those lie from WGS 84 at most: plates have moved since, and NAD83's origin lies 2 m off
_MARGIN = 0.2  # degrees that a shift is used beyond the area it was made for: tiles at a border
_FIX = "install PROJ's grids (projsync, or the environment variable PROJ_DATA), or give positions in WGS 84 (EPSG:4326)"


class Geographic(NamedTuple):
    """Positions in WGS 84.

    Attributes:
        latitude, longitude: float64, degrees; NaN where there is none.
        accuracy_m: float64, how far off they may be because of the datum: 0 where none is left; NaN where PROJ does not say.
        without_shift: bool, positions on Earth for which no shift of datum is known.
    """

    latitude: Float64Array
    longitude: Float64Array
    accuracy_m: Float64Array
    without_shift: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Shift:
    transformer: Any
    bounds: tuple[float, float, float, float] | None
    accuracy_m: float

    def covers(self, longitude: Float64Array, latitude: Float64Array) -> NDArray[np.bool_]:
        if self.bounds is None:
            return np.ones(len(longitude), bool)
        return within_bounds(self.bounds, longitude, latitude, _MARGIN)

    @property
    def rank(self) -> tuple[float, float]:
        """The most accurate first, among equals the one for the smaller area."""
        west, south, east, north = self.bounds or (-180.0, -90.0, 180.0, 90.0)
        return np.inf if np.isnan(self.accuracy_m) else self.accuracy_m, ((east - west) % 360 or 360) * (north - south)


def to_geographic(x: ArrayLike, y: ArrayLike, crs: str) -> tuple[Float64Array, Float64Array]:
    """Planar -> (latitude, longitude) in degrees, WGS 84; NaN where x and y are no place of the CRS.

    Raises:
        DataError: the CRS is unknown, or ``"local"``, which has no place on Earth; or no shift of its datum to WGS 84 is known
            at one of the positions.
    """
    converted = to_wgs84(x, y, crs)
    if converted.without_shift.any():
        row = int(np.argmax(converted.without_shift.ravel()))
        raise no_shift(crs, float(np.ravel(x)[row]), float(np.ravel(y)[row]))
    return converted.latitude, converted.longitude


def to_wgs84(x: ArrayLike, y: ArrayLike, crs: str) -> Geographic:
    """Planar -> latitude and longitude with what is known about them.

    Raises:
        DataError: the CRS is unknown, or ``"local"``, which has no place on Earth.
    """
    frame = frame_of(crs)
    x, y = np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float))
    shape, across, up = x.shape, x.ravel(), y.ravel()
    longitude, latitude = frame.degrees(across, up)
    longitude = longitude + frame.meridian
    result = np.full((3, len(across)), np.nan)
    remaining = np.isfinite(longitude)
    for shift in _shifts(frame):
        rows = np.flatnonzero(remaining & shift.covers(longitude, latitude))
        if len(rows):
            result[1, rows], result[0, rows] = shift.transformer.transform(across[rows], up[rows])
            result[2, rows] = shift.accuracy_m
            remaining[rows] = False
    if remaining.any() and _is_same_by_definition(frame):
        result[0, remaining], result[1, remaining], result[2, remaining] = latitude[remaining], longitude[remaining], _SAME_M
        remaining[:] = False
    result[:2, ~np.isfinite(result[:2]).all(0)] = np.nan
    outside = np.abs(result[1]) > 180
    result[1, outside] = (result[1, outside] + 180) % 360 - 180
    latitudes, longitudes, accuracy_m = (each.reshape(shape) for each in result)
    return Geographic(latitudes, longitudes, accuracy_m, remaining.reshape(shape))


def no_shift(crs: str, x: float, y: float) -> DataError:
    """The error that says why a position has no latitude and longitude."""
    frame = frame_of(crs)
    longitude, latitude = (float(each) for each in frame.degrees(x, y))
    return DataError(
        f"no shift from the datum of {frame.horizontal.name} ({frame.geodetic.name}) to WGS 84 is known at"
        f" {latitude:.2f}, {longitude + frame.meridian:.2f}: without it latitude and longitude are up to some hundreds of"
        " metres off",
        where=f"crs {frame.label}",
        fix=_with_grids(missing_grids(crs)),
    )


def missing_grids(crs: str) -> tuple[str, ...]:
    """Files of PROJ's that are not installed and would make latitude and longitude more right, the best shift's."""
    operations = [
        operation
        for operation in _ways(frame_of(crs)).unavailable
        if operation.grids and not all(grid.available for grid in operation.grids)
    ]
    if not operations:
        return ()
    best = min(operations, key=lambda operation: operation.accuracy if operation.accuracy >= 0 else np.inf)
    return tuple(grid.short_name for grid in best.grids if not grid.available)


def within_bounds(
    bounds: tuple[float, float, float, float], longitude: ArrayLike, latitude: ArrayLike, margin: float = 0.0
) -> NDArray[np.bool_]:
    """Which positions in degrees lie in west, south, east, north, or at most `margin` degrees outside; over +-180, too."""
    west, south, east, north = bounds
    width = (east - west) % 360 or 360.0
    eastwards = (np.asarray(longitude, float) - west + margin) % 360
    latitude = np.asarray(latitude, float)
    inside = (eastwards <= width + 2 * margin) | (width + 2 * margin >= 360)
    return np.asarray(inside & (south - margin <= latitude) & (latitude <= north + margin))


def _with_grids(names: tuple[str, ...]) -> str:
    return _FIX if not names else f"{_FIX}; {', '.join(names[:3])} would do"


def _is_same_by_definition(frame: Frame) -> bool:
    if frame.crs.is_bound:
        return False
    datum = frame.geodetic.datum
    return datum.type_name.startswith("Dynamic") or _SAME_BY_DEFINITION.match(datum.name) is not None


class _Ways(NamedTuple):
    transformers: tuple[Any, ...]
    unavailable: tuple[Any, ...]


@lru_cache(maxsize=64)
def _ways(frame: Frame) -> _Ways:
    import pyproj

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a better operation is not available: said with its metres
        try:
            group = pyproj.transformer.TransformerGroup(frame.crs, WGS84, always_xy=True, allow_ballpark=False)
        except (IndexError, pyproj.exceptions.ProjError):
            # A chain of operations that PROJ cannot give x first (EPSG:9474) fails the whole group, up to pyproj 3.7.
            return _Ways((), ())
    return _Ways(tuple(group.transformers), tuple(group.unavailable_operations))


@lru_cache(maxsize=64)
def _shifts(frame: Frame) -> tuple[_Shift, ...]:
    shifts = []
    for transformer in _ways(frame).transformers:
        area, accuracy = transformer.area_of_use, transformer.accuracy
        shifts.append(_Shift(transformer, None if area is None else area.bounds, accuracy if accuracy >= 0 else np.nan))
    return tuple(sorted(shifts, key=lambda shift: shift.rank))
