"""The bank of oriented filters behind GIST (Oliva & Torralba 2001, "Modeling the shape of the scene", Section 3).

Everything happens in the Fourier domain. A filter of a coarse scale passes low frequencies only, so its response is
computed on a coarser grid from the middle of the spectrum: the same values at fewer positions, at a fraction of the cost.

Written in numpy, not torch: the transforms are small, and one thread for each of several images is faster than several
threads for one, above all on a machine that does something else beside.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cvgl.types import Float32Array

SCALES = 4
ORIENTATIONS = 8
GRID = 4
_FINEST = 0.3  # centre frequency of the finest scale in cycles per pixel
_STEP = 1.85  # ratio of centre frequencies of neighbouring scales
_RADIAL_SHARPNESS = 3.5  # of the Gaussian over (frequency / centre - 1)
_REACH = 2.4  # a filter has fallen to 1e-3 at this multiple of its centre frequency
_CUTOFF_CYCLES = 4.0  # the prefilter removes structure coarser than this many cycles per image
_CONTRAST_FLOOR = 0.2  # keeps the local contrast normalisation from amplifying flat ground


@dataclass(frozen=True, slots=True)
class FilterBank:
    """Transfer functions for images of `size` pixels a side, mirrored outward by `margin`.

    Attributes:
        lowpass: (N, N // 2 + 1), of the prefilter, N = size + 2 margin.
        scales: for each scale its filters (ORIENTATIONS, N / reduction, N / reduction) and the reduction.
    """

    size: int
    margin: int
    lowpass: Float32Array
    scales: tuple[tuple[Float32Array, int], ...]


@cache
def filter_bank(size: int) -> FilterBank:
    """Builds the filters for square images; `size` is a multiple of 32."""
    margin = size // 8
    padded = size + 2 * margin
    down, across = np.fft.fftfreq(padded)[:, None], np.fft.rfftfreq(padded)[None]
    sigma = _CUTOFF_CYCLES / size / math.sqrt(math.log(2))
    lowpass = np.exp(-(down**2 + across**2) / sigma**2).astype(np.float32)
    return FilterBank(size, margin, lowpass, tuple(_scale(padded, index) for index in range(SCALES)))


def _scale(padded: int, index: int) -> tuple[Float32Array, int]:
    centre = _FINEST / _STEP**index
    reduction = 1
    while reduction < 4 and centre * _REACH <= 0.5 / (2 * reduction):
        reduction *= 2
    frequencies = np.fft.fftfreq(padded // reduction, d=float(reduction))
    down, across = frequencies[:, None], frequencies[None]
    radial = -_RADIAL_SHARPNESS * (np.sqrt(down**2 + across**2) / centre - 1) ** 2
    angles = np.arctan2(down, across)
    filters = []
    for orientation in range(ORIENTATIONS):
        turned = np.remainder(angles + math.pi * orientation / ORIENTATIONS + math.pi, 2 * math.pi) - math.pi
        filters.append(np.exp(radial - 2 * math.pi * (ORIENTATIONS / 8) ** 2 * turned**2))
    return np.stack(filters).astype(np.float32), reduction


def prefilter(luminance: Float32Array, bank: FilterBank) -> Float32Array:
    """Removes slow illumination, then divides by the local contrast.

    Args:
        luminance: (B, size, size) in [0, 1].
        bank: of `filter_bank(size)`.

    Returns:
        (B, N, N), still with its margin.
    """
    # The logarithm turns a change of exposure into a constant, which the high-pass then removes.
    margins = ((0, 0), (bank.margin, bank.margin), (bank.margin, bank.margin))
    padded = np.pad(np.log1p(luminance * np.float32(255)), margins, mode="reflect")
    detail = padded - _blur(padded, bank)
    contrast = np.sqrt(np.maximum(_blur(detail * detail, bank), 0))
    return np.divide(detail, np.float32(_CONTRAST_FLOOR) + contrast, dtype=np.float32)


def _blur(values: Float32Array, bank: FilterBank) -> Float32Array:
    blurred = np.fft.irfft2(np.fft.rfft2(values) * bank.lowpass, s=values.shape[-2:], axes=(-2, -1))
    return blurred.astype(np.float32, copy=False)  # numpy computes it in float32 already; its stubs declare float64


def energies(filtered: Float32Array, bank: FilterBank) -> Float32Array:
    """Mean magnitude of each filter's response in each cell of the grid.

    Args:
        filtered: (B, N, N), from `prefilter`.
        bank: the same as for `prefilter`.

    Returns:
        (B, SCALES, ORIENTATIONS, GRID, GRID), not negative.
    """
    spectrum = np.fft.fft2(filtered, norm="forward").astype(np.complex64, copy=False)
    cells = np.empty((len(filtered), SCALES, ORIENTATIONS, GRID, GRID), dtype=np.float32)
    for scale, (filters, reduction) in enumerate(bank.scales):
        middle = _middle(spectrum, filters.shape[-1])
        inside = slice(bank.margin // reduction, -(bank.margin // reduction))
        for orientation, transfer in enumerate(filters):
            response = np.fft.ifft2(middle * transfer, norm="forward")[:, inside, inside]
            cells[:, scale, orientation] = cell_means(np.sqrt(response.real**2 + response.imag**2))
    return cells


def cell_means(values: Float32Array) -> Float32Array:
    """Means over the cells of the grid: (..., H, W) -> (..., GRID, GRID); H and W are multiples of GRID."""
    height, width = values.shape[-2:]
    means: Float32Array = values.reshape(*values.shape[:-2], GRID, height // GRID, GRID, width // GRID).mean((-3, -1))
    return means


def _middle(spectrum: NDArray[np.complex64], width: int) -> NDArray[np.complex64]:
    """The `width` lowest frequencies each way of a spectrum in FFT order."""
    if width == spectrum.shape[-1]:
        return spectrum
    frequencies = np.r_[0 : width // 2, -(width // 2) : 0]
    return spectrum[:, frequencies[:, None], frequencies]
