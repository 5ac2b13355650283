"""Positions and the distances between them.

A position is either geographic (degrees, WGS 84) or planar (x east, y north, in a CRS). The CRS ``"local"`` is a metric
frame without a known place on Earth, such as a map with a world file and no projection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cvgl.errors import DataError, require

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Float64Array = NDArray[np.float64]

EARTH_RADIUS_M = 6_371_008.8  # mean radius R1 (IUGG); distances of a few km are right to 0.5 % at any latitude
LOCAL_CRS = "local"


def haversine_m(latitude_a: ArrayLike, longitude_a: ArrayLike, latitude_b: ArrayLike, longitude_b: ArrayLike) -> Float64Array:
    """Great-circle distance in metres between positions in degrees; broadcasts, NaN in gives NaN out."""
    phi_a, phi_b = np.radians(np.asarray(latitude_a, float)), np.radians(np.asarray(latitude_b, float))
    half_phi = (phi_b - phi_a) / 2
    half_lambda = np.radians(np.asarray(longitude_b, float) - np.asarray(longitude_a, float)) / 2
    h = np.sin(half_phi) ** 2 + np.cos(phi_a) * np.cos(phi_b) * np.sin(half_lambda) ** 2
    # Rounding can push h above 1 at antipodes, where arcsin would give NaN.
    return np.asarray(2 * EARTH_RADIUS_M * np.arcsin(np.sqrt(np.clip(h, 0, 1))))


def planar_m(x_a: ArrayLike, y_a: ArrayLike, x_b: ArrayLike, y_b: ArrayLike) -> Float64Array:
    """Straight distance between planar positions, in their unit (metres for ``"local"`` and projected metric CRSs)."""
    return np.asarray(
        np.hypot(np.asarray(x_b, float) - np.asarray(x_a, float), np.asarray(y_b, float) - np.asarray(y_a, float))
    )


def to_local_m(latitude: ArrayLike, longitude: ArrayLike) -> Float64Array:
    """Positions in degrees -> east and north in metres of their own middle, float64 (n, 2), for areas of some tens of km.

    Equirectangular around the mean: distances of 10 km are right to 0.1 % up to 60 degrees of latitude.
    """
    phi, lam = np.radians(np.asarray(latitude, float)), np.radians(np.asarray(longitude, float))
    middle = np.angle(np.exp(1j * lam).mean())  # of directions: an area across the antimeridian stays in one piece
    east = np.angle(np.exp(1j * (lam - middle))) * np.cos(phi.mean())
    return np.asarray(EARTH_RADIUS_M * np.stack([east, phi - phi.mean()], axis=1))


def to_geographic(x: ArrayLike, y: ArrayLike, crs: str) -> tuple[Float64Array, Float64Array]:
    """Planar -> (latitude, longitude) in degrees, WGS 84.

    Raises:
        DataError: the CRS is unknown, or ``"local"``, which has no place on Earth.
        MissingDependencyError: pyproj is not installed.
    """
    if crs == LOCAL_CRS:
        raise DataError("a local metric frame has no latitude and longitude", where="crs", fix="give the CRS of the map")
    pyproj: Any = require("pyproj", extra="pipeline", purpose=f"convert positions from {crs} to latitude and longitude")
    try:
        transformer = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    except pyproj.exceptions.CRSError as error:
        raise DataError(f"'{crs}' is not a coordinate reference system", where="crs", fix="write it like EPSG:32632") from error
    longitude, latitude = transformer.transform(np.asarray(x, float), np.asarray(y, float))
    return np.asarray(latitude), np.asarray(longitude)


def check_geographic(latitude: float, longitude: float) -> str | None:
    """What is wrong with a position in degrees, or None."""
    if not (np.isfinite(latitude) and np.isfinite(longitude)):
        return "the position is not a number"
    if not -90 <= latitude <= 90:
        return f"latitude {latitude} lies outside -90..90"
    if not -180 <= longitude <= 180:
        return f"longitude {longitude} lies outside -180..180"
    return None
