"""Positions of many pictures in one frame, and the distances between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cvgl.errors import DataError
from cvgl.geo import LOCAL_CRS, haversine_m, planar_m, to_geographic

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float64Array = NDArray[np.float64]

GEOGRAPHIC = "geographic"
# Coordinates of these are degrees, or metres that are only right at the equator: distances need the sphere.
_NOT_METRIC = frozenset({"EPSG:4326", "EPSG:3857", "EPSG:900913", "OGC:CRS84"})
_BLOCK_PAIRS = 2_000_000  # distances held at once: 16 MB


@dataclass(frozen=True, slots=True)
class Positions:
    """Positions of pictures in one frame.

    Attributes:
        frame: ``"geographic"``, or the CRS that all planar positions share.
        coordinates: float64 (n, 2): latitude and longitude in degrees, or x and y; NaN where unknown.
    """

    frame: str
    coordinates: Float64Array

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> Positions:
        return Positions(self.frame, self.coordinates[np.asarray(rows, np.int64)])

    @property
    def known(self) -> NDArray[np.bool_]:
        return np.asarray(np.isfinite(self.coordinates).all(1))

    def distance_m(self, other: Positions) -> Float64Array:
        """Metres between positions of two sets of the same frame, row by row; NaN where one is unknown."""
        a, b = self.coordinates.T, other.coordinates.T
        return _measure(self.frame)(a[0], a[1], b[0], b[1])

    def nearest(self, references: Positions) -> NDArray[np.int64]:
        """Row of the nearest reference, the first among equally near ones; -1 where nothing is known.

        Args:
            references: positions in the same frame.
        """
        found = np.full(len(self.coordinates), -1, np.int64)
        candidates, asked = np.flatnonzero(references.known), np.flatnonzero(self.known)
        if not len(candidates):
            return found
        b = references.coordinates[candidates].T
        step = max(1, _BLOCK_PAIRS // len(candidates))
        for start in range(0, len(asked), step):
            rows = asked[start : start + step]
            a = self.coordinates[rows].T[:, :, None]
            found[rows] = candidates[_measure(self.frame)(a[0], a[1], b[0], b[1]).argmin(1)]
        return found


def _measure(frame: str) -> Callable[..., Float64Array]:
    return haversine_m if frame == GEOGRAPHIC else planar_m


def positions_of(rows: Sequence[Mapping[str, Any]]) -> Positions:
    """Brings the positions of table rows into one frame.

    Planar positions that share a CRS stay planar. Where frames are mixed, everything becomes latitude and longitude.

    Args:
        rows: with the keys latitude, longitude, x, y, crs (`cvgl.schemas`); None where unknown.

    Raises:
        DataError: some positions are in a local frame and others are not, so no distance between them exists.
        MissingDependencyError: frames are mixed and pyproj is not installed.
    """
    geographic = _columns(rows, "latitude", "longitude")
    planar = _columns(rows, "x", "y")
    has_geographic, has_planar = (np.isfinite(side).all(1) for side in (geographic, planar))
    frames = np.asarray([row.get("crs") or LOCAL_CRS for row in rows], dtype=object)
    only_planar = has_planar & ~has_geographic
    if not only_planar.any():
        return Positions(GEOGRAPHIC, geographic)
    shared = set(frames[has_planar])
    if len(shared) == 1 and not (has_geographic & ~has_planar).any() and not shared & _NOT_METRIC:
        return Positions(str(shared.pop()), planar)
    for crs in sorted(set(frames[only_planar])):
        chosen = only_planar & (frames == crs)
        geographic[chosen] = _converted(planar[chosen], str(crs))
    return Positions(GEOGRAPHIC, geographic)


def _converted(planar: Float64Array, crs: str) -> Float64Array:
    if crs == LOCAL_CRS:
        raise DataError(
            "some positions are in a local metric frame and others are not",
            where="positions of the data set",
            fix="give all positions in one frame, or the CRS of the local one",
        )
    return np.stack(to_geographic(planar[:, 0], planar[:, 1], crs), axis=1)


def _columns(rows: Sequence[Mapping[str, Any]], first: str, second: str) -> Float64Array:
    values = [(row.get(first), row.get(second)) for row in rows]
    return np.asarray([(np.nan, np.nan) if None in pair else pair for pair in values], np.float64).reshape(len(rows), 2)
