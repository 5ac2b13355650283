"""Values of more than 8 bits, signed ones and fractions -> 8 bits: one rule, stated in docs/how-to/ingestion.md.

Values that fill their range are scaled by it: 16-bit whole numbers by 1/256, fractions between 0 and 1 by 255, and numbers
between 0 and 255 are taken as they are. Where that leaves few of the 256 levels (nothing reaches a quarter of the range, or the
middle 96 % span fewer than 32), an image is stretched between the 2nd and the 98th percentile of its own values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

_MIN_LEVELS = 32  # that the middle 96 % of an image's values must span, of 256
_MIN_TOP = 64  # level that the greatest value must reach: a quarter of the range
_PERCENTILES = (2.0, 98.0)
# An image is not stretched further than until 1/32 of its brightness fills the range: below lies noise.
_MIN_CONTRAST = 1 / 32
_SAMPLE = 1_000_000
MAX_INTERMEDIATE = 0.25  # of an alpha channel that is a mask: soft edges
# What programs write for "nothing here" without saying so: where one of them is an image's least or greatest value.
_SENTINELS = (-9999.0, -99999.0, -32767.0, -32768.0, -2147483648.0, 1e20, -1e20)
_SENTINEL_MAGNITUDE = 1e30  # 3.4e38, 9.97e36 and the like, with either sign


@dataclass(frozen=True, slots=True)
class Scale:
    """value -> (value - low) x factor, cut off below 0 and above 255.

    Attributes:
        stretched: by the image's own values, so that what is missing becomes white instead of black.
        nodata: values that mean "nothing here".
    """

    low: float
    factor: float
    stretched: bool = False
    nodata: tuple[float, ...] = ()

    def apply(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Any shape and number type -> uint8 of the same shape."""
        with np.errstate(invalid="ignore", over="ignore"):
            scaled = (values.astype(np.float64) - self.low) * self.factor
            levels = np.nan_to_num(scaled, nan=0.0, posinf=255.0, neginf=0.0).clip(0, 255).astype(np.uint8)
        if self.stretched:
            levels[~present(values, self.nodata)] = 255
        return levels


@dataclass(frozen=True, slots=True)
class Survey:
    """What is to be known of an image's values.

    Attributes:
        nodata: values that mean "nothing here".
        whole: they are whole numbers.
        least, greatest: of all values; infinite where there is none.
        sample: float64, of at most about a million, the same for the same image.
    """

    nodata: tuple[float, ...]
    whole: bool
    least: float
    greatest: float
    sample: NDArray[np.float64]

    @classmethod
    def of(cls, strips: Iterable[NDArray[Any]], step: int, nodata: tuple[float, ...]) -> Survey:
        """Looks at all values, and keeps those of every `step`-th row and column."""
        whole, least, greatest = True, float("inf"), float("-inf")
        samples = [np.zeros(0)]
        for strip in strips:
            whole &= bool(np.issubdtype(strip.dtype, np.integer))
            usable = strip[present(strip, nodata)]
            if usable.size:
                least, greatest = min(least, float(usable.min())), max(greatest, float(usable.max()))
            thinned = strip[::step, ::step]
            samples.append(thinned[present(thinned, nodata)].astype(np.float64).ravel())
        return cls(nodata, whole, least, greatest, np.concatenate(samples))


def present(values: NDArray[Any], nodata: tuple[float, ...]) -> NDArray[np.bool_]:
    """Which values are measurements: finite, of a size that occurs, and none that means "nothing here"."""
    if np.issubdtype(values.dtype, np.integer):
        usable = np.ones(values.shape, np.bool_)
    else:
        usable = np.isfinite(values) & (np.abs(values) < _SENTINEL_MAGNITUDE)
    for value in nodata:
        usable &= values != value
    return usable


def choose_scale(strips: Callable[[], Iterable[NDArray[Any]]], pixels: int, nodata: float | None) -> Scale:
    """How an image's values become 8 bits.

    Args:
        strips: gives all of its values, as (rows, width) or (rows, width, channels), each time that it is called; the scale
            is common to all channels.
        pixels: width x height.
        nodata: what means "nothing here" by the file's own word.
    """
    stated = () if nodata is None or not np.isfinite(nodata) else (float(nodata),)
    step = max(1, int((pixels / _SAMPLE) ** 0.5))
    survey = Survey.of(strips(), step, stated)
    sentinels = tuple(value for value in _SENTINELS if value in (survey.least, survey.greatest))
    if sentinels and nodata is None and survey.least < survey.greatest:
        survey = Survey.of(strips(), step, sentinels)
    return _scale(survey)


def _scale(survey: Survey) -> Scale:
    if not survey.sample.size:
        return Scale(0.0, 0.0, nodata=survey.nodata)
    low, high = (float(value) for value in np.percentile(survey.sample, _PERCENTILES))
    least, greatest = survey.least, survey.greatest
    for most, factor in _fixed(survey):
        enough = int(high * factor) - int(low * factor) >= _MIN_LEVELS and int(greatest * factor) >= _MIN_TOP
        if least >= 0 and greatest <= most and (enough or least == greatest):
            return Scale(0.0, factor, nodata=survey.nodata)
    if low == high:
        low, high = least, greatest
    if low == high:
        return Scale(0.0, 0.0, nodata=survey.nodata)
    least_width = max(abs(low), abs(high)) * _MIN_CONTRAST
    if high - low < least_width:
        middle = (low + high) / 2
        low, high = middle - least_width / 2, middle + least_width / 2
    return Scale(low, 255 / (high - low), stretched=True, nodata=survey.nodata)


def _fixed(survey: Survey) -> tuple[tuple[float, float], ...]:
    """(greatest value, factor) of the scales that do not depend on an image's own values, the first that fits counts."""
    sixteen, eight, unit = (65535.0, 1 / 256), (255.0, 1.0), (1.0, 255.0)
    return (sixteen, eight) if survey.whole else (unit, eight, sixteen)


def spans_few_levels(values: NDArray[np.uint8]) -> bool:
    """Whether 8-bit values lie on so few levels that an original of more bits is worth a stretch."""
    step = max(1, int((values.shape[0] * values.shape[1] / _SAMPLE) ** 0.5))
    low, high = np.percentile(values[::step, ::step], _PERCENTILES)
    return bool(int(high) - int(low) < _MIN_LEVELS or values.max() < _MIN_TOP)


def is_mask(histogram: list[int], full: int = 255) -> bool:
    """Whether a fourth channel is a mask rather than a band of light: nearly all of it is 0 or full.

    GDAL writes a fourth band as alpha, whatever it is.

    Args:
        histogram: how often each value occurs.
        full: the value of what hides nothing.
    """
    total = sum(histogram)
    return total == 0 or total - histogram[0] - histogram[full] <= MAX_INTERMEDIATE * total
