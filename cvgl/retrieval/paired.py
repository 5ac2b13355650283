"""Two sides on the very same questions: how many more places one finds, and how sure that is.

A paired bootstrap over queries (`cvgl.retrieval.bootstrap`): both sides answer every query that is drawn, so what makes a query
hard for both cancels. Places are drawn whole, with all of their queries in all directions; images taken in a row in blocks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from pydantic import Field

from cvgl.config import Settings
from cvgl.errors import DataError
from cvgl.hashing import digest_json
from cvgl.retrieval.bootstrap import Interval, Units, by_blocks, by_place, interval, resampled_rates

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float64Array = NDArray[np.float64]

Asked: TypeAlias = tuple[str, str]
"""A direction and the name of a protocol."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What one side came to in one direction under one protocol, for queries whose place is known.

    Attributes:
        image_ids: of the queries.
        places: what each of them shows.
        right: bool (n,), whether the first answer shows that place.
        distance_m: float64 (n,), metres from the first answer to the true position; NaN where unknown; None where none is.
        n_right: int64 (n,), right answers in the gallery; None where it is not known.
    """

    image_ids: tuple[str, ...]
    places: tuple[str, ...]
    right: NDArray[np.bool_]
    distance_m: Float64Array | None = None
    n_right: NDArray[np.int64] | None = None


class Difference(Settings):
    """R@1 of both sides, each the mean over directions and protocols, and by how much they differ. Fractions."""

    against: str = Field(description="champion, or frozen where nothing serves yet")
    challenger: float
    incumbent: float
    interval: Interval = Field(description="challenger minus incumbent")
    level: float = Field(description="of the interval, two-sided")
    resamples: int
    seed: int
    units: str = Field(description="what was drawn")
    n_queries: int
    rows: str = Field(description="hash over directions, protocols, queries and their places")

    def passes_margin(self, margin: float) -> bool:
        """Whether the challenger is better with confidence or, with a margin, not worse by more than that with confidence."""
        return self.interval.above_zero if margin == 0 else self.interval.low >= -margin - 1e-12

    def __str__(self) -> str:
        low, high = self.interval.low, self.interval.high
        return (
            f"R@1 {self.challenger:.1%} against {self.incumbent:.1%}, {self.interval.value:+.1%} "
            f"[{low:+.1%}, {high:+.1%}] at {self.level:.0%}, {self.resamples} resamples of {self.units}"
        )


@dataclass(frozen=True, slots=True)
class Draw:
    """How often, from which seed, for an interval of which level."""

    resamples: int
    seed: int
    level: float


def difference(
    ours: Mapping[Asked, Answered],
    theirs: Mapping[Asked, Answered],
    runs: Mapping[str, Sequence[str]],
    draw: Draw,
    against: str = "champion",
) -> Difference:
    """Compares two sides query by query.

    Args:
        ours: the challenger's answers.
        theirs: the incumbent's answers to the same.
        runs: by direction, its queries in the order taken, one run after another; directions without sequences are missing.
        draw: of the bootstrap.
        against: who the incumbent is.

    Raises:
        DataError: they did not answer the same questions, or there is none.
    """
    if differs := obstacle(ours, theirs):
        raise DataError(f"not comparable because {differs}", where="paired comparison", fix="evaluate both runs again")
    resampled, units = [], []
    for direction, questions in groups_of(ours, runs).items():
        sides = [{task: side[task].right for task in questions} for side in (ours, theirs)]
        moved, drawn = _resampled(ours, questions, sides, runs.get(direction), draw)
        resampled.append(moved * len(questions) / len(ours))
        units.append(drawn.name)
    # Directions that cannot be drawn together count as if they erred together: the wider interval of the two extremes.
    together = resampled[0] if len(resampled) == 1 else np.sum([np.sort(rates) for rates in resampled], axis=0)
    rates = [float(np.mean([side[task].right.mean() for task in sorted(ours)])) for side in (ours, theirs)]
    return Difference(
        against=against,
        challenger=rates[0],
        incumbent=rates[1],
        interval=interval(rates[0] - rates[1], together, draw.level),
        level=draw.level,
        resamples=draw.resamples,
        seed=draw.seed,
        units=", ".join(dict.fromkeys(units)),
        n_queries=len({(task[0], image) for task, answered in ours.items() for image in answered.image_ids}),
        rows=digest_json([[task, answered.image_ids, answered.places] for task, answered in sorted(ours.items())]),
    )


def obstacle(ours: Mapping[Asked, Answered], theirs: Mapping[Asked, Answered]) -> str:
    """Why two sides did not answer the same questions; empty where they did."""
    if not ours and not theirs:
        return "neither has answered a query whose place is known"
    for task in sorted(set(ours) ^ set(theirs)):
        return f"only one of them was asked {task[0]} under {task[1]}"
    for task, answered in sorted(ours.items()):
        other = theirs[task]
        if answered.image_ids != other.image_ids:
            return f"{len(set(answered.image_ids) ^ set(other.image_ids))} queries were put to one of them only, {task[0]}"
        if answered.places != other.places:
            return f"they were asked for different places, {task[0]} under {task[1]}"
    return ""


def groups_of(ours: Mapping[Asked, Answered], runs: Mapping[str, Sequence[str]]) -> dict[str, list[Asked]]:
    """Questions that are drawn together: those of each direction with sequences, and, under "", all others."""
    groups: dict[str, list[Asked]] = {}
    for task in sorted(ours):
        groups.setdefault(task[0] if task[0] in runs else "", []).append(task)
    return groups


def laid_out(
    ours: Mapping[Asked, Answered],
    questions: Sequence[Asked],
    sides: Sequence[Mapping[Asked, NDArray[np.generic]]],
    run: Sequence[str] | None,
) -> tuple[Float64Array, Units]:
    """What each side came to on each query, with the units to draw.

    Args:
        ours: whose queries and places count.
        questions: those of one group.
        sides: by question, one value a query, in the order of `ours`.
        run: the queries in the order taken; None: places are drawn.

    Returns:
        float64 (sides, questions, queries of any question), NaN where a query was not asked; and the units.
    """
    places = {
        (task[0], image): place
        for task in questions
        for image, place in zip(ours[task].image_ids, ours[task].places, strict=True)
    }
    row = {query: number for number, query in enumerate(places)}
    values = np.full((len(sides), len(questions), len(row)), np.nan)
    for number, task in enumerate(questions):
        columns = [row[task[0], image] for image in ours[task].image_ids]
        for side, answered in enumerate(sides):
            values[side, number, columns] = answered[task]
    if run is None:
        return values, by_place(list(places.values()))
    direction = questions[0][0]
    return values, by_blocks(np.array([row[direction, image] for image in run if (direction, image) in row], np.int64))


def _resampled(
    ours: Mapping[Asked, Answered],
    questions: Sequence[Asked],
    sides: Sequence[Mapping[Asked, NDArray[np.generic]]],
    run: Sequence[str] | None,
    draw: Draw,
) -> tuple[Float64Array, Units]:
    """Challenger minus incumbent, mean over the questions, float64 (resamples,); and what was drawn."""
    values, units = laid_out(ours, questions, sides, run)
    rates = resampled_rates(values.reshape(2 * len(questions), values.shape[2]), units, draw.resamples, draw.seed)
    return np.asarray((rates[: len(questions)] - rates[len(questions) :]).mean(axis=0)), units
