"""Two sides on the very same questions, in metres; and one side against chance. With intervals, from the draws of `paired`.

R@1 says how often the right place comes first and nothing of how far off the others are. Two figures do: the share of queries
placed within a radius, and the typical (median) error. Both are told at the grain of the map: the radius is its spacing, and
errors below half of it count as equal, since the nearest reference is no nearer than that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from pydantic import Field

from cvgl.config import Settings
from cvgl.errors import DataError
from cvgl.retrieval.bootstrap import Interval, Units, interval, resampled_medians, resampled_rates
from cvgl.retrieval.paired import Answered, Asked, Draw, groups_of, laid_out

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float64Array: TypeAlias = NDArray[np.float64]

MEDIAN_RESAMPLES = 2_000
"""At most, of medians: each takes a pass over all queries, and the bounds hardly move beyond that."""

_ROUNDING = 1e-9


class DistanceDifference(Settings):
    """How far off both sides are, each figure the mean over directions and protocols. Metres and fractions."""

    against: str = Field(description="champion, or frozen")
    radius_m: float = Field(description="spacing of the map: the median distance from a reference to the nearest other one")
    challenger_m: float = Field(description="median error; over several directions the geometric mean of their medians")
    incumbent_m: float
    growth: Interval = Field(description="natural logarithm of challenger_m / incumbent_m, errors below half the radius equal")
    challenger_within: float = Field(description="share of queries within the radius")
    incumbent_within: float
    within: Interval = Field(description="challenger minus incumbent")
    level: float = Field(description="of the intervals, two-sided")
    resamples: int
    seed: int
    units: str = Field(description="what was drawn")
    n_queries: int = Field(description="with a distance on both sides")

    @property
    def is_farther(self) -> bool:
        """Whether one of the two figures is worse and the other not better."""
        return (self.growth.value > _ROUNDING and self.within.value <= _ROUNDING) or (
            self.within.value < -_ROUNDING and self.growth.value >= -_ROUNDING
        )

    @property
    def is_nearer(self) -> bool:
        """Whether one of the two figures is better and the other not worse."""
        return (self.growth.value < -_ROUNDING and self.within.value >= -_ROUNDING) or (
            self.within.value > _ROUNDING and self.growth.value <= _ROUNDING
        )

    @property
    def is_farther_with_confidence(self) -> bool:
        """Whether one of the two figures is worse with confidence, and the other not better with confidence."""
        worse = self.growth.above_zero or self.within.below_zero
        return worse and not (self.growth.below_zero or self.within.above_zero)

    def __str__(self) -> str:
        low, high = (np.expm1(bound) for bound in (self.growth.low, self.growth.high))
        return (
            f"median error {metres(self.challenger_m)} against {metres(self.incumbent_m)} "
            f"({np.expm1(self.growth.value):+.1%} [{low:+.1%}, {high:+.1%}]), within {metres(self.radius_m)} "
            f"{self.challenger_within:.1%} against {self.incumbent_within:.1%} "
            f"({self.within.value:+.1%} [{self.within.low:+.1%}, {self.within.high:+.1%}]) at {self.level:.0%}, "
            f"{self.n_queries} queries"
        )


class Chance(Settings):
    """R@1 of one side beside what a draw from the gallery would find, both the mean over directions and protocols."""

    recall: Interval
    chance: float
    level: float = Field(description="of the interval, two-sided")
    resamples: int
    seed: int
    units: str = Field(description="what was drawn")
    n_queries: int

    @property
    def is_beaten(self) -> bool:
        """Whether the whole interval lies above chance."""
        return self.recall.low > self.chance + _ROUNDING

    def __str__(self) -> str:
        recall = self.recall
        return (
            f"R@1 {recall.value:.1%} [{recall.low:.1%}, {recall.high:.1%}] at {self.level:.0%}, {self.resamples} resamples of "
            f"{self.units}, and a draw from the gallery finds {self.chance:.2%}"
        )


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A figure of each side over all questions.

    Attributes:
        sides: of each side.
        resampled: of each side, float64 (resamples,).
        units: what was drawn.
    """

    sides: tuple[float, ...]
    resampled: tuple[Float64Array, ...]
    units: str


def metres(value: float) -> str:
    """A length for people, to three digits."""
    return f"{value / 1000:,.3g} km" if value >= 10_000 else f"{value:.4g} m" if value >= 1000 else f"{value:.3g} m"


def distance_difference(
    ours: Mapping[Asked, Answered],
    theirs: Mapping[Asked, Answered],
    runs: Mapping[str, Sequence[str]],
    draw: Draw,
    radius_m: float,
    against: str = "champion",
) -> DistanceDifference | None:
    """Compares the errors of two sides query by query; None where no query has an error on both.

    Args:
        ours: the challenger's answers, with `distance_m`.
        theirs: the incumbent's, to the same queries.
        runs: by direction, its queries in the order taken; directions without sequences are missing.
        draw: of the bootstrap.
        radius_m: spacing of the map, above 0.
        against: who the incumbent is.

    Raises:
        DataError: the radius is no length.
    """
    if not np.isfinite(radius_m) or radius_m <= 0:
        raise DataError("the spacing of the map is no length", where=f"{radius_m} m", fix="give a spacing above 0 m")
    pairs = {task: (_on_both(ours[task], theirs[task]), _on_both(theirs[task], ours[task])) for task in ours if task in theirs}
    pairs = {task: pair for task, pair in pairs.items() if np.isfinite(pair[0]).any()}
    if not pairs:
        return None
    answered = {task: ours[task] for task in pairs}

    def values(of: Asked, side: int) -> Float64Array:
        return pairs[of][side]

    near = _over_questions(
        answered, runs, draw, 2, lambda of, side: np.where(np.isnan(values(of, side)), np.nan, values(of, side) <= radius_m)
    )
    floor = radius_m / 2
    far = _over_questions(answered, runs, draw, 2, lambda of, side: np.log(np.maximum(values(of, side), floor)), medians=True)
    typical = [float(np.exp(np.mean([_log_median(values(of, side)) for of in pairs]))) for side in (0, 1)]
    return DistanceDifference(
        against=against,
        radius_m=radius_m,
        challenger_m=typical[0],
        incumbent_m=typical[1],
        growth=interval(far.sides[0] - far.sides[1], far.resampled[0] - far.resampled[1], draw.level),
        challenger_within=near.sides[0],
        incumbent_within=near.sides[1],
        within=interval(near.sides[0] - near.sides[1], near.resampled[0] - near.resampled[1], draw.level),
        level=draw.level,
        resamples=min(draw.resamples, MEDIAN_RESAMPLES),
        seed=draw.seed,
        units=near.units,
        n_queries=len(
            {
                (of[0], image)
                for of, pair in pairs.items()
                for image, is_known in zip(ours[of].image_ids, np.isfinite(pair[0]), strict=True)
                if is_known
            }
        ),
    )


def against_chance(
    ours: Mapping[Asked, Answered], galleries: Mapping[Asked, int], runs: Mapping[str, Sequence[str]], draw: Draw
) -> Chance | None:
    """R@1 with its interval, beside the R@1 of random answers; None where no query's place is known.

    Args:
        ours: the answers, with `n_right`.
        galleries: images ranked, by question.
        runs: by direction, its queries in the order taken; directions without sequences are missing.
        draw: of the bootstrap.
    """
    answered = {
        of: results
        for of, results in ours.items()
        if len(results.image_ids) and galleries.get(of) and results.n_right is not None
    }
    if not answered:
        return None
    drawn = _over_questions(answered, runs, draw, 1, lambda of, side: answered[of].right.astype(np.float64))
    chances = [float(np.mean(np.asarray(results.n_right, np.float64) / galleries[of])) for of, results in answered.items()]
    return Chance(
        recall=interval(drawn.sides[0], drawn.resampled[0], draw.level),
        chance=float(np.mean(chances)),
        level=draw.level,
        resamples=draw.resamples,
        seed=draw.seed,
        units=drawn.units,
        n_queries=len({(of[0], image) for of, results in answered.items() for image in results.image_ids}),
    )


def _on_both(own: Answered, other: Answered) -> Float64Array:
    """Errors of one side where the other has one, too; NaN elsewhere."""
    if own.distance_m is None or other.distance_m is None:
        return np.full(len(own.image_ids), np.nan)
    return np.where(np.isfinite(own.distance_m) & np.isfinite(other.distance_m), own.distance_m, np.nan)


def _log_median(errors: Float64Array) -> float:
    """Of errors in metres; below a millimetre nothing is told apart, so that a median of 0 has a logarithm."""
    return float(np.log(max(np.nanmedian(errors), 1e-3)))


def _over_questions(
    answered: Mapping[Asked, Answered],
    runs: Mapping[str, Sequence[str]],
    draw: Draw,
    n_sides: int,
    of: Callable[[Asked, int], Float64Array],
    *,
    medians: bool = False,
) -> _Drawn:
    """A figure of each side, the mean over questions, and the same of resamples; the same draws for every figure and side."""
    parts: list[list[Float64Array]] = [[] for _ in range(n_sides)]
    names: list[str] = []
    resamples = min(draw.resamples, MEDIAN_RESAMPLES) if medians else draw.resamples
    for direction, questions in groups_of(answered, runs).items():
        sides = [{question: of(question, side) for question in questions} for side in range(n_sides)]
        values, units = laid_out(answered, questions, sides, runs.get(direction))
        names.append(units.name)
        flat = values.reshape(n_sides * len(questions), values.shape[2])
        resampled = _resampled(flat, units, resamples, draw.seed, medians=medians)
        for side in range(n_sides):
            rows = resampled[side * len(questions) : (side + 1) * len(questions)]
            parts[side].append(np.asarray(rows.mean(axis=0) * len(questions) / len(answered)))
    middle = np.nanmedian if medians else np.nanmean
    whole = tuple(float(np.mean([middle(of(task, side)) for task in answered])) for side in range(n_sides))
    return _Drawn(whole, tuple(np.sum(side, axis=0) for side in parts), ", ".join(dict.fromkeys(names)))


def _resampled(values: Float64Array, units: Units, resamples: int, seed: int, *, medians: bool) -> Float64Array:
    figures = resampled_medians if medians else resampled_rates
    return figures(values, units, resamples, seed)
