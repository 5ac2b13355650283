"""How far figures would move with other test queries: percentile intervals of a paired bootstrap.

Queries are not drawn one by one where they are not independent: images of one place are drawn together (Cameron, Gelbach
and Miller 2008), and images taken in a row as blocks of consecutive ones, with the last followed by the first (Politis and
Romano 1992). Every configuration is judged on the same draws, so what is common to two of them cancels in their difference.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cvgl.config import Settings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float64Array = NDArray[np.float64]

RESAMPLES = 1000
SEED = 0
LEVEL = 0.95
BLOCK = 25
"""Consecutive images in a block, where there are enough of them: at a frame a second, a flight has left the tile."""

_ROUNDING = 1e-9  # a difference of equal rates is not always 0
_FEWEST_BLOCKS = 8  # of shorter runs: below this the intervals would be narrow for want of blocks


class Interval(Settings):
    """A rate or a difference of rates, as fractions, with the bounds of its interval (95 % where nothing else is said)."""

    value: float
    low: float
    high: float

    @property
    def above_zero(self) -> bool:
        """Whether the whole interval lies above zero."""
        return self.low > _ROUNDING

    @property
    def below_zero(self) -> bool:
        """Whether the whole interval lies below zero."""
        return self.high < -_ROUNDING


@dataclass(frozen=True, slots=True)
class Units:
    """What is drawn.

    Attributes:
        rows: which queries belong to each unit; a query may be in several.
        drawn: units in a resample.
        name: for people.
    """

    rows: tuple[NDArray[np.int64], ...]
    drawn: int
    name: str


def by_place(places: Sequence[Hashable]) -> Units:
    """All queries of a place are one unit; as many units are drawn as there are places."""
    rows: dict[Hashable, list[int]] = {}
    for row, place in enumerate(places):
        rows.setdefault(place, []).append(row)
    return Units(tuple(np.asarray(members, np.int64) for members in rows.values()), len(rows), f"{len(rows)} places")


def by_blocks(order: NDArray[np.int64]) -> Units:
    """Blocks of consecutive queries; every query begins one.

    Args:
        order: int64 (n,), the queries in the order taken, one run after the other.
    """
    n = len(order)
    length = max(1, min(BLOCK, n // _FEWEST_BLOCKS))
    rows = order[(np.arange(n)[:, None] + np.arange(length)) % max(n, 1)]
    return Units(tuple(rows), -(-n // length), f"blocks of {length} consecutive images")


def resampled_rates(values: Float64Array, units: Units, resamples: int = RESAMPLES, seed: int = SEED) -> Float64Array:
    """Rates of C configurations on the same resamples.

    Args:
        values: float64 (C, n), what each query scored; NaN where it does not count.
        units: of the n queries.
        resamples: how many.
        seed: of the draws.

    Returns:
        float64 (C, resamples); NaN where no drawn query counts.
    """
    counted = np.isfinite(values)
    scores = np.where(counted, values, 0)
    totals = np.stack([scores[:, rows].sum(axis=1) for rows in units.rows], axis=1)
    counts = np.stack([counted[:, rows].sum(axis=1) for rows in units.rows], axis=1)
    rng = np.random.default_rng(seed)
    rates = np.empty((len(values), resamples))
    for i in range(resamples):
        drawn = rng.integers(0, len(units.rows), units.drawn)
        weight = np.bincount(drawn, minlength=len(units.rows)).astype(np.float64)
        of = counts @ weight
        rates[:, i] = np.where(of > 0, totals @ weight, np.nan) / np.where(of > 0, of, 1)
    return rates


def resampled_medians(values: Float64Array, units: Units, resamples: int = RESAMPLES, seed: int = SEED) -> Float64Array:
    """Medians of C configurations on the same resamples, and on the same draws as `resampled_rates`.

    Args:
        values: float64 (C, n), what each query came to; NaN where it does not count.
        units: of the n queries.
        resamples: how many.
        seed: of the draws.

    Returns:
        float64 (C, resamples); NaN where no drawn query counts. A median of an even number is the lower one.
    """
    rows = np.concatenate(units.rows) if units.rows else np.zeros(0, np.int64)
    unit = np.repeat(np.arange(len(units.rows)), [len(members) for members in units.rows])
    orders = [np.argsort(members, kind="stable")[: int(np.isfinite(members).sum())] for members in values]  # NaN sorts last
    rng = np.random.default_rng(seed)
    medians = np.full((len(values), resamples), np.nan)
    for i in range(resamples):
        drawn = rng.integers(0, len(units.rows), units.drawn)
        weight = np.bincount(drawn, minlength=len(units.rows)).astype(np.float64)
        of = np.bincount(rows, weights=weight[unit], minlength=values.shape[1])
        for row, order in enumerate(orders):
            summed = np.cumsum(of[order])
            if len(summed) and summed[-1] > 0:
                medians[row, i] = values[row, order[np.searchsorted(summed, summed[-1] / 2)]]
    return medians


def interval(value: float, resampled: Float64Array, level: float = LEVEL) -> Interval:
    """The value with the percentiles of what resampling made of it; the bounds hold the value even where it is extreme."""
    finite = resampled[np.isfinite(resampled)]
    if not len(finite):
        return Interval(value=value, low=value, high=value)
    low, high = np.percentile(finite, [50 * (1 - level), 50 * (1 + level)])
    return Interval(value=value, low=min(float(low), value), high=max(float(high), value))
