"""Random numbers and smooth noise that depend on nothing but a seed and a position.

Plain elementwise arithmetic only: no matrix products and no large reductions, so that the number of threads cannot change
a bit of the result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float32Array = NDArray[np.float32]
    Float64Array = NDArray[np.float64]
    FloatArray = NDArray[np.floating[Any]]
    IntArray = NDArray[np.int64]

_OFFSET = 1 << 20  # lattice indices may be negative; generators take non-negative entropy only


def stream(seed: int, *key: int) -> np.random.Generator:
    """An independent random generator for a thing named by integers (a block, a place, an image)."""
    return np.random.default_rng([seed, *(part + _OFFSET for part in key)])


def scramble(seed: int, i: IntArray, j: IntArray) -> Float32Array:
    """Hashes lattice points to uniform numbers in [0, 1); broadcasts."""
    # At least one dimension: arithmetic of numpy scalars, unlike that of arrays, warns when it wraps around.
    shape = np.broadcast_shapes(np.shape(i), np.shape(j))
    h = (np.atleast_1d(np.asarray(i, np.int64)).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) ^ (
        np.atleast_1d(np.asarray(j, np.int64)).astype(np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F)
    )
    h ^= np.uint64((seed * 0x165667B19E3779F9 + 0x27D4EB2F165667C5) % 2**64)
    h ^= h >> np.uint64(29)
    h *= np.uint64(0xBF58476D1CE4E5B9)
    h ^= h >> np.uint64(32)
    h *= np.uint64(0x94D049BB133111EB)
    h ^= h >> np.uint64(31)
    return ((h >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)).reshape(shape)


def value_noise(seed: int, x: FloatArray, y: FloatArray, wavelength: float) -> Float32Array:
    """Smooth noise on a regular grid.

    Args:
        seed: another seed is another field.
        x: (W,) ascending coordinates in metres.
        y: (H,) ascending coordinates in metres.
        wavelength: distance of the lattice points in metres.

    Returns:
        (H, W) in [0, 1); the value at a point does not depend on the rest of the grid.
    """
    column, weight_x = _lattice(x, wavelength)
    row, weight_y = _lattice(y, wavelength)
    columns, rows = np.arange(column[0], column[-1] + 2), np.arange(row[0], row[-1] + 2)
    corners = scramble(seed, columns[None, :], rows[:, None])
    top, left = row - row[0], column - column[0]
    lines = corners[top] + (corners[top + 1] - corners[top]) * weight_y[:, None]
    first = lines[:, left]
    result: Float32Array = first + (lines[:, left + 1] - first) * weight_x[None, :]
    return result


def fractal_noise(seed: int, x: FloatArray, y: FloatArray, wavelength: float, octaves: int) -> Float32Array:
    """Sum of octaves of `value_noise`, each of half the wavelength and half the weight; (H, W) in [0, 1)."""
    total = value_noise(seed, x, y, wavelength)
    for octave in range(1, octaves):
        total = total + value_noise(seed + octave, x, y, wavelength / 2**octave) * np.float32(0.5**octave)
    return total / np.float32(2 - 0.5 ** (octaves - 1))


def _lattice(coordinate: FloatArray, wavelength: float) -> tuple[IntArray, Float32Array]:
    position = coordinate / wavelength
    index = np.floor(position).astype(np.int64)
    fraction = (position - index).astype(np.float32)
    return index, fraction * fraction * (3 - 2 * fraction)
