"""Distances in metres on the ground, in every frame that positions can have."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from cvgl.geo.frames import WGS84, frame_of, is_local
from cvgl.geo.sphere import planar_m, to_local_m

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Float64Array = NDArray[np.float64]

GEOGRAPHIC = "geographic"
"""Name of the frame of latitude and longitude in degrees, WGS 84; others are ``"local"`` and those of `canonical_crs`."""

TRUE_TO_SCALE = 0.005
"""A CRS whose metres differ from the ground's by less than this is drawn and walked in as it is."""

_BLOCK_PAIRS = 2_000_000  # pairs of positions compared at once: 48 MB
_EQUALLY_NEAR_M = 1e-4  # chords are right to some nanometres; positions are known to far less


def ground_distance_m(frame: str, first: ArrayLike, second: ArrayLike) -> Float64Array:
    """Metres on the ground between positions of one frame: along the geodesic of the frame's own ellipsoid.

    Args:
        frame: ``"geographic"`` (latitude and longitude in degrees, WGS 84), ``"local"``, or a CRS (x east, y north).
        first: float (..., 2), NaN where unknown.
        second: float (..., 2), of a shape that broadcasts with `first`.

    Returns:
        float64 (...), NaN where one of the two is unknown or no place of the CRS.

    Raises:
        DataError: the CRS is unknown, or not on Earth.
    """
    a, b = np.broadcast_arrays(np.asarray(first, float), np.asarray(second, float))
    if is_local(frame):
        return planar_m(a[..., 0], a[..., 1], b[..., 0], b[..., 1])
    (longitude_a, latitude_a), (longitude_b, latitude_b) = own_degrees(frame, a), own_degrees(frame, b)
    *_, metres = _geod(frame).inv(*(np.ravel(each) for each in (longitude_a, latitude_a, longitude_b, latitude_b)))
    return np.asarray(metres, np.float64).reshape(a.shape[:-1])


def nearest_rows(frame: str, positions: Float64Array, references: Float64Array) -> NDArray[np.int64]:
    """Row of the nearest reference of each position, the first among equally near ones.

    Args:
        frame: see `ground_distance_m`.
        positions: float64 (n, 2), all known.
        references: float64 (N, 2), all known, N >= 1.

    Returns:
        int64 (n,).
    """
    points, candidates = in_space(frame, positions), in_space(frame, references)
    rows = np.zeros(len(points), np.int64)
    step = max(1, _BLOCK_PAIRS // len(candidates))
    for start in range(0, len(points), step):
        block = points[start : start + step]
        squares = np.zeros((len(block), len(candidates)))
        for axis in range(candidates.shape[1]):
            squares += np.square(block[:, axis, None] - candidates[None, :, axis])
        chords = np.sqrt(squares)
        rows[start : start + step] = (chords <= chords.min(axis=1, keepdims=True) + _EQUALLY_NEAR_M).argmax(axis=1)
    return rows


def in_space(frame: str, positions: Float64Array) -> Float64Array:
    """Positions (n, 2) as points between which straight lines order as distances on the ground do, metres.

    Returns:
        float64 (n, 3), from the middle of the frame's ellipsoid; (n, 2) of ``"local"``.
    """
    if is_local(frame):
        return positions
    longitude, latitude = np.radians(own_degrees(frame, positions))
    geod = _geod(frame)
    normal = geod.a / np.sqrt(1 - geod.es * np.square(np.sin(latitude)))
    across = normal * np.cos(latitude)
    up = normal * (1 - geod.es) * np.sin(latitude)
    return np.stack([across * np.cos(longitude), across * np.sin(longitude), up], axis=1)


def own_degrees(frame: str, positions: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Positions (..., 2) -> longitude and latitude in degrees of the frame's own datum; not of ``"local"``."""
    if frame == GEOGRAPHIC:
        return positions[..., 1], positions[..., 0]
    return frame_of(frame).degrees(positions[..., 0], positions[..., 1])


def local_m(frame: str, positions: Float64Array) -> Float64Array:
    """East and north in metres, float64 (n, 2), for areas of some tens of km, whatever the frame.

    A metric CRS that is true to scale there stays as it is. Degrees and CRSs in other units or of a larger distortion are laid
    out around their middle, which then is (0, 0).

    Args:
        frame: see `ground_distance_m`.
        positions: float64 (n, 2), NaN where unknown.
    """
    if frame == GEOGRAPHIC:
        return to_local_m(positions[:, 0], positions[:, 1])
    if is_true_to_scale(frame, positions):
        return positions
    longitude, latitude = own_degrees(frame, positions)
    finite = np.isfinite(longitude)
    laid_out = np.full(positions.shape, np.nan)
    if finite.any():
        directions = np.exp(1j * np.radians(longitude[finite]))
        n, middle = int(finite.sum()), float(np.degrees(np.angle(directions.mean())))
        azimuth, _, metres = _geod(frame).inv(
            np.full(n, middle), np.full(n, latitude[finite].mean()), longitude[finite], latitude[finite]
        )
        laid_out[finite] = np.stack([metres * np.sin(np.radians(azimuth)), metres * np.cos(np.radians(azimuth))], axis=1)
    return laid_out


def is_true_to_scale(frame: str, positions: Float64Array) -> bool:
    """Whether x and y are metres on the ground to half a percent, in every direction, where these positions lie.

    Args:
        frame: ``"local"``, for which it is so, or a CRS.
        positions: float64 (n, 2), NaN where unknown.
    """
    if is_local(frame):
        return True
    finite = positions[np.isfinite(positions).all(1)]
    if frame_of(frame).is_geographic or not len(finite):
        return False
    low, high = finite.min(axis=0), finite.max(axis=0)
    at = np.array([low, high, (low + high) / 2, (low[0], high[1]), (high[0], low[1])])
    for step in ((50.0, 0.0), (0.0, 50.0), (35.0, 35.0), (35.0, -35.0)):
        ends = at + np.asarray(step)
        ratio = ground_distance_m(frame, at, ends) / np.hypot(*step)
        if not (np.abs(ratio - 1) < TRUE_TO_SCALE).all():
            return False
    return True


@lru_cache(maxsize=512)
def _geod(frame: str) -> Any:
    return frame_of(WGS84).geod if frame == GEOGRAPHIC else frame_of(frame).geod
