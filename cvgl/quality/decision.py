"""What the gate says of a challenger, as it is kept in the lake."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from cvgl.quality.paired_comparison import Contest
from cvgl.retrieval.paired import Difference
from cvgl.retrieval.paired_distance import Chance, DistanceDifference

Incumbent = Literal["champion", "frozen"]


class Comparison(BaseModel):
    """R@1 of both sides in one direction under one protocol."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    against: Incumbent
    direction: str
    protocol: str
    challenger: float
    incumbent: float
    n_queries: int

    @property
    def difference(self) -> float:
        """Figure of the challenger less that of the incumbent."""
        return self.challenger - self.incumbent


class Mended(BaseModel):
    """That a map was published for nothing but its references' positions: a correction of data, and no contest.

    Attributes:
        moved, gone, total: references whose position differed, that were no longer in the dataset, and all of the old map.
        furthest_m: the largest correction, metres; none where it could not be measured.
        map_before, map: versions of the map.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    moved: int
    gone: int
    total: int
    furthest_m: float | None = None
    map_before: str
    map: str


class GateDecision(BaseModel):
    """What the gate decided and from which figures.

    Attributes:
        verdict: promoted (the challenger takes over), refused, or unchanged (the challenger is the champion already).
        reason: one sentence for a person.
        comparisons: the figures compared, the champion's first.
        difference: to the champion, query by query, or to the frozen descriptors where nothing serves; none without labels.
        distances: how far off both sides are, to the champion and to the frozen descriptors; empty where no true position is
            known.
        chance: the challenger's R@1 with its interval, beside that of random answers; none without labels.
        contest: with the champion, without labels; none where labels decide, or no images are left for it.
        obstacle: why challenger and champion are not comparable; empty where they are. A mended obstacle is judged anew.
        positions: what was mended, where the same adapter serves with other positions; none where that was not the matter.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    verdict: Literal["promoted", "refused", "unchanged"]
    reason: str
    comparisons: tuple[Comparison, ...] = ()
    quality: dict[str, str] = Field(default_factory=dict, description="what is said without labels, by a short name")
    difference: Difference | None = None
    distances: tuple[DistanceDifference, ...] = ()
    chance: Chance | None = None
    contest: Contest | None = None
    obstacle: str = ""
    positions: Mended | None = None

    @property
    def evidence(self) -> tuple[str, ...]:
        """What the gate went by, a line for people each; in the order in which it is asked."""
        lines = [f"on the same rows: {comparison}" for comparison in (self.difference, self.contest) if comparison is not None]
        lines += [f"in metres, beside the {comparison.against}: {comparison}" for comparison in self.distances]
        return (*lines, *([] if self.chance is None else [f"beside chance: {self.chance}"]))
