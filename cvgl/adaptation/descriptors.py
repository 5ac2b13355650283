"""Validation of descriptors: float32 rows, finite, of the expected dimension; row blocks and normalisation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from cvgl.errors import DataError

if TYPE_CHECKING:
    from cvgl.types import Float32Array

BLOCK_ROWS = 8192
"""Rows worked on at once: 8192 x 2048 float32 are 64 MiB."""


def checked(features: Any, name: str, dimension: int | None = None, *, at_least: int = 1) -> Float32Array:
    """Descriptors as a C-ordered float32 array, without a copy where they are one already.

    Args:
        features: anything that numpy turns into an (n, d) array of floating-point numbers.
        name: of the array in messages.
        dimension: expected d; None for any.
        at_least: minimum number of rows.

    Raises:
        DataError: not a matrix of real numbers, too few rows, another dimension, or a value that is not finite.
    """
    try:
        array = np.asarray(features)
    except (ValueError, TypeError) as error:
        raise DataError(f"{name} cannot be read as an array: {error}", fix="give a float32 array of shape (n, d)") from error
    if array.ndim != 2 or array.shape[1] == 0:
        raise DataError(f"{name} has shape {array.shape}, not (n, d)", fix="give one descriptor a row")
    if not np.issubdtype(array.dtype, np.floating):
        raise DataError(f"{name} holds {array.dtype}, not floating-point numbers", fix="give a float32 array")
    if len(array) < at_least:
        raise DataError(
            f"{name} has {len(array)} rows where at least {at_least} are needed",
            fix="ingest and extract images of this view, in the subset that is asked for",
        )
    if dimension is not None and array.shape[1] != dimension:
        raise DataError(
            f"{name} has {array.shape[1]} dimensions where {dimension} are expected",
            fix="use descriptors of one frozen model with the same settings throughout",
        )
    values = np.ascontiguousarray(array, dtype=np.float32)
    _refuse_non_finite(values, name)
    return values


def _refuse_non_finite(values: Float32Array, name: str) -> None:
    for start, block in blocks(values):
        bad = ~np.isfinite(block).all(axis=1)
        if bad.any():
            raise DataError(
                f"{name} holds NaN or infinite values, first in row {start + int(bad.argmax())}",
                fix="extract the features again; a half-precision model may have overflowed",
            )


def blocks(values: Float32Array) -> Iterator[tuple[int, Float32Array]]:
    """Consecutive slices of at most `BLOCK_ROWS` rows, each with the index of its first row."""
    for start in range(0, len(values), BLOCK_ROWS):
        yield start, values[start : start + BLOCK_ROWS]


def unit_rows(values: Float32Array) -> Float32Array:
    """L2-normalises rows in float32; a row of zeros stays zero."""
    # Scaling by the largest entry first keeps squares of very large or very small entries in range.
    largest = np.abs(values).max(axis=1, keepdims=True)
    scaled = values / np.where(largest > 0, largest, 1)
    norms = np.sqrt(np.einsum("ij,ij->i", scaled, scaled))[:, None]
    units: Float32Array = (scaled / np.where(norms > 0, norms, 1)).astype(np.float32, copy=False)
    return units


def in_blocks(features: Any, name: str, d0: int, d: int, transform: Callable[[Float32Array], Float32Array]) -> Float32Array:
    """Applies `transform` to blocks of rows, so that memory beyond input and output does not grow with their number.

    Args:
        features: (n, d0), n may be 0.
        name: of the array in messages.
        d0: expected dimension.
        d: dimension of the result.
        transform: float32 (m, d0) -> float32 (m, d), row by row.

    Returns:
        float32 (n, d).

    Raises:
        DataError: see `checked`.
    """
    values = checked(features, name, d0, at_least=0)
    mapped = np.empty((len(values), d), dtype=np.float32)
    for start, block in blocks(values):
        mapped[start : start + len(block)] = transform(block)
    return mapped
