"""Degrees and planes without a library of projections: checks, the sphere, and straight lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Float64Array = NDArray[np.float64]

EARTH_RADIUS_M = 6_371_008.8  # mean radius R1 (IUGG)


def haversine_m(latitude_a: ArrayLike, longitude_a: ArrayLike, latitude_b: ArrayLike, longitude_b: ArrayLike) -> Float64Array:
    """Great-circle distance in metres between positions in degrees; broadcasts, NaN in gives NaN out.

    Right to 0.6 %, as far as the Earth is no sphere; `ground_distance_m` is right to a millimetre.
    """
    phi_a, phi_b = np.radians(np.asarray(latitude_a, float)), np.radians(np.asarray(latitude_b, float))
    half_phi = (phi_b - phi_a) / 2
    half_lambda = np.radians(np.asarray(longitude_b, float) - np.asarray(longitude_a, float)) / 2
    h = np.sin(half_phi) ** 2 + np.cos(phi_a) * np.cos(phi_b) * np.sin(half_lambda) ** 2
    # Rounding can push h above 1 at antipodes, where arcsin would give NaN.
    return np.asarray(2 * EARTH_RADIUS_M * np.arcsin(np.sqrt(np.clip(h, 0, 1))))


def planar_m(x_a: ArrayLike, y_a: ArrayLike, x_b: ArrayLike, y_b: ArrayLike) -> Float64Array:
    """Straight distance between positions in a metric frame (``"local"``); for a CRS, see `ground_distance_m`."""
    return np.asarray(
        np.hypot(np.asarray(x_b, float) - np.asarray(x_a, float), np.asarray(y_b, float) - np.asarray(y_a, float))
    )


def to_local_m(latitude: ArrayLike, longitude: ArrayLike) -> Float64Array:
    """Positions in degrees -> east and north in metres of their own middle, float64 (n, 2), for areas of some tens of km.

    Equirectangular around the mean, on the sphere: distances of 10 km are right to 0.7 % up to 60 degrees of latitude.
    """
    phi, lam = np.radians(np.asarray(latitude, float)), np.radians(np.asarray(longitude, float))
    middle = np.angle(np.exp(1j * lam).mean())  # of directions: an area across the antimeridian stays in one piece
    east = np.angle(np.exp(1j * (lam - middle))) * np.cos(phi.mean())
    return np.asarray(EARTH_RADIUS_M * np.stack([east, phi - phi.mean()], axis=1))


def check_geographic(latitude: float, longitude: float) -> str | None:
    """What is wrong with a position in degrees, or None."""
    if not (np.isfinite(latitude) and np.isfinite(longitude)):
        return "the position is not a number"
    if not -90 <= latitude <= 90:
        return f"latitude {latitude} lies outside -90..90"
    if not -180 <= longitude <= 180:
        return f"longitude {longitude} lies outside -180..180"
    return None
