"""Positions of many images in one frame, and the distances between them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cvgl.errors import DataError
from cvgl.geo import GEOGRAPHIC, LOCAL_CRS, canonical_crs, ground_distance_m, local_m, nearest_rows, own_degrees, to_geographic

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float64Array = NDArray[np.float64]

logger = logging.getLogger(__name__)

# What these make of WGS 84 is no plane to walk in; their degrees are those that tables have as latitude and longitude.
_AS_DEGREES = frozenset({"EPSG:4326", "EPSG:3857", "EPSG:900913"})


@dataclass(frozen=True, slots=True)
class Positions:
    """Positions of images in one frame.

    Attributes:
        frame: ``"geographic"``, or the CRS that all planar positions share.
        coordinates: float64 (n, 2): latitude and longitude in degrees, or x and y; NaN where unknown.
    """

    frame: str
    coordinates: Float64Array

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> Positions:
        """Positions of the given rows."""
        return Positions(self.frame, self.coordinates[np.asarray(rows, np.int64)])

    @property
    def known(self) -> NDArray[np.bool_]:
        """Boolean (N,): which rows have a position."""
        return np.asarray(np.isfinite(self.coordinates).all(1))

    def distance_m(self, other: Positions) -> Float64Array:
        """Metres on the ground between positions of two sets of the same frame, row by row; NaN where one is unknown."""
        return ground_distance_m(self.frame, self.coordinates, other.coordinates)

    def nearest(self, references: Positions) -> NDArray[np.int64]:
        """Row of the nearest reference, the first among equally near ones; -1 where nothing is known.

        Args:
            references: positions in the same frame.
        """
        rows = np.full(len(self.coordinates), -1, np.int64)
        candidates, located = np.flatnonzero(references.known), np.flatnonzero(self.known)
        if len(candidates) and len(located):
            nearest = nearest_rows(self.frame, self.coordinates[located], references.coordinates[candidates])
            rows[located] = candidates[nearest]
        return rows

    def local_m(self) -> Float64Array:
        """East and north in metres, float64 (n, 2), for areas of some tens of km; NaN where unknown (`cvgl.geo.local_m`)."""
        return local_m(self.frame, self.coordinates)


def positions_of(rows: Sequence[Mapping[str, Any]]) -> Positions:
    """Brings the positions of table rows into one frame.

    Planar positions that share a CRS stay in it, whatever their rows call it: between them no shift of datum is needed. Where
    frames are mixed, everything becomes latitude and longitude.

    Args:
        rows: with the keys latitude, longitude, x, y, crs (`cvgl.schemas`); None where unknown.

    Raises:
        DataError: some positions are in a local frame and others are not, so no distance between them exists; a CRS is unknown;
            or frames are mixed and PROJ knows no way from one of them to WGS 84.
    """
    geographic = _columns(rows, "latitude", "longitude")
    planar = _columns(rows, "x", "y")
    has_geographic, has_planar = (np.isfinite(side).all(1) for side in (geographic, planar))
    only_planar = has_planar & ~has_geographic
    if not only_planar.any():
        return Positions(GEOGRAPHIC, geographic)
    frames = np.asarray([row.get("crs") or LOCAL_CRS for row in rows], dtype=object)
    names = {crs: _canonical(crs) for crs in sorted(set(frames[has_planar]))}
    frames = np.asarray([names.get(crs) for crs in frames], dtype=object)
    shared = set(names.values())
    if len(shared) == 1 and not (has_geographic & ~has_planar).any() and not shared & _AS_DEGREES:
        return Positions(*_on_earth(shared.pop(), planar))
    for crs in sorted(set(frames[only_planar])):
        chosen = only_planar & (frames == crs)
        geographic[chosen] = _converted(planar[chosen], str(crs))
    return Positions(GEOGRAPHIC, geographic)


def _canonical(crs: str) -> str:
    try:
        return canonical_crs(crs)
    except DataError as error:  # taken in before words were checked
        fix = "mend the crs in the source (the column, or the .prj file) and ingest it again"
        raise DataError(error.what, where="positions of the data set", fix=fix) from error


def _converted(planar: Float64Array, crs: str) -> Float64Array:
    if crs == LOCAL_CRS:
        raise DataError(
            "some positions are in a local metric frame and others are not",
            where="positions of the data set",
            fix="give all positions in one frame, or the CRS of the local one",
        )
    return np.stack(to_geographic(planar[:, 0], planar[:, 1], crs), axis=1)


def _on_earth(crs: str, planar: Float64Array) -> tuple[str, Float64Array]:
    """Takes positions that are no place of their CRS for unknown, and says so."""
    if crs != LOCAL_CRS:
        nowhere = np.isfinite(planar).all(1) & np.isnan(own_degrees(crs, planar)[0])
        if nowhere.any():
            logger.warning("%d positions in %s are no place of it, and count as unknown", nowhere.sum(), crs)
            planar = np.where(nowhere[:, None], np.nan, planar)
    return crs, planar


def _columns(rows: Sequence[Mapping[str, Any]], first: str, second: str) -> Float64Array:
    values = [(row.get(first), row.get(second)) for row in rows]
    return np.asarray([(np.nan, np.nan) if None in pair else pair for pair in values], np.float64).reshape(len(rows), 2)
