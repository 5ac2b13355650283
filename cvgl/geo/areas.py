"""Where a CRS is meant to be used, and what that says about x and y that are offered as positions in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cvgl.geo.datum import within_bounds
from cvgl.geo.frames import Frame, frame_of, is_local

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

FAR_OUTSIDE = 3.0
"""Degrees beyond its area of use up to which a CRS is in use: a survey that begins in one zone may end in the next."""


def check_planar(x: float, y: float, crs: str) -> str | None:
    """What is wrong with x and y as a position in a CRS, or None.

    Exchanged axes are seen where the position as given lies far outside of the CRS's area of use, and in it with x and y
    exchanged; degrees in place of metres likewise. Where both are in the area (those of EPSG:2180, 3035 and 3414 are nearly
    square), a position alone cannot tell.

    Raises:
        DataError: the CRS is unknown.
    """
    if not (np.isfinite(x) and np.isfinite(y)):
        return "the position is not a number"
    if is_local(crs):
        return None
    frame = frame_of(crs)
    if frame.horizontal.area_of_use is None:
        return None if np.isfinite(frame.degrees(x, y)[0]) else _nowhere(frame, x, y)
    if in_area_of_use(x, y, crs):
        return None
    if not frame.is_geographic and abs(x) <= 180 and abs(y) <= 90 and within_bounds(frame.horizontal.area_of_use.bounds, x, y):
        unit = frame.unit[0]
        return f"x {x:.10g}, y {y:.10g} are degrees, and {frame.label} counts in {unit}s: give its {unit}s, or say EPSG:4326"
    if in_area_of_use(x, y, crs, FAR_OUTSIDE):
        return None
    if in_area_of_use(y, x, crs):
        return (
            f"x {x:.10g}, y {y:.10g} lies far outside of the area that {frame.label} is for,"
            " and in it with x and y exchanged: x is east and y is north, also where the CRS names north first"
        )
    return None if np.isfinite(frame.degrees(x, y)[0]) else _nowhere(frame, x, y)


def in_area_of_use(x: ArrayLike, y: ArrayLike, crs: str, margin: float = 0.0) -> NDArray[np.bool_]:
    """Which positions lie in the area that a CRS is for, or at most so many degrees outside; all where it names none.

    Positions that are no place of the CRS at all lie outside.
    """
    frame = frame_of(crs)
    longitude, latitude = frame.degrees(x, y)
    area = frame.horizontal.area_of_use
    if area is None:
        return np.isfinite(longitude)
    return np.isfinite(longitude) & within_bounds(area.bounds, longitude + frame.meridian, latitude, margin)


def _nowhere(frame: Frame, x: float, y: float) -> str:
    return f"x {x:.10g}, y {y:.10g} is no place of {frame.label}: x is east and y is north, in {frame.unit[0]}s"
