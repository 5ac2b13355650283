"""Which queries of an evaluation a figure shows, chosen from the table of queries alone and the same way each time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from cvgl.reporting.figures import Similarities
from cvgl.reporting.results import STAGE_NAMES
from cvgl.types import Representation

_COSINES = (
    Representation.FROZEN,
    Representation.STANDARDISED,
    Representation.ADAPTED,
)  # stages whose scores are similarities of two descriptors


@dataclass(frozen=True, slots=True)
class Question:
    """One direction under one protocol: what figures are drawn for.

    Attributes:
        direction: e.g. ``"drone_to_satellite"``.
        protocol: the first one that the direction was evaluated by.
        stages: stage -> rows of `cvgl.schemas.QUERIES`, sorted by image_id.
    """

    direction: str
    protocol: str
    stages: dict[Representation, pa.Table]

    @property
    def labelled(self) -> bool:
        """Some query has a known place, so that answers can be right or wrong."""
        return any(table.num_rows > table["location_id"].null_count for table in self.stages.values())


@dataclass(frozen=True, slots=True)
class Choice:
    """A query to show, by its image id, and why."""

    image_id: str
    remark: str


def questions(queries: pa.Table) -> list[Question]:
    """Splits a table of queries by direction; of several protocols the first is shown."""
    first: dict[str, str] = {}
    pairs = queries.group_by(["direction", "protocol"], use_threads=False).aggregate([])
    for direction, protocol in zip(pairs["direction"].to_pylist(), pairs["protocol"].to_pylist(), strict=True):
        first.setdefault(direction, protocol)
    return [Question(direction, protocol, dict(_stages(queries, direction, protocol))) for direction, protocol in first.items()]


def _stages(queries: pa.Table, direction: str, protocol: str) -> Iterator[tuple[Representation, pa.Table]]:
    in_question = pc.and_(pc.equal(queries["direction"], direction), pc.equal(queries["protocol"], protocol))
    rows = queries.filter(in_question)
    for stage in STAGE_NAMES:
        table = rows.filter(pc.equal(rows["stage"], str(stage)))
        if table.num_rows:
            yield stage, table.sort_by("image_id")


def similarities(question: Question) -> list[Similarities]:
    """Top-1 similarities of every stage that has some, split by right and wrong (Fig. 11).

    Queries without a known place are left out, and stages whose scores are no cosines.
    """
    panels = []
    for stage, table in question.stages.items():
        if stage not in _COSINES:
            continue
        answered = table.filter(
            pc.and_(pc.greater(pc.list_value_length(table["top_ids"]), 0), pc.is_valid(table["location_id"]))
        )
        if answered.num_rows == 0:
            continue
        score, correct = pc.list_element(answered["top_scores"], 0), pc.list_element(answered["top_correct"], 0)
        matched, unmatched = score.filter(correct), score.filter(pc.invert(correct))
        panels.append(Similarities(STAGE_NAMES[stage], matched.to_numpy(), unmatched.to_numpy()))
    return panels


def examples(question: Question, count: int = 6) -> list[Choice]:
    """Queries that show what the adaptation changed: corrected, lost and kept ones, each with how many there are.

    Image ids are hashes, so their order is a fair draw: the examples are not picked for their looks.
    """
    before, after = question.stages.get(Representation.FROZEN), question.stages.get(Representation.ADAPTED)
    if before is None or after is None or not question.labelled:
        table = after or before or next(iter(question.stages.values()))
        return [Choice(image_id, "") for image_id in table["image_id"].to_pylist()[:count]]
    earlier = dict(zip(before["image_id"].to_pylist(), before["rank"].to_pylist(), strict=True))
    kinds: dict[str, list[tuple[str, str]]] = {
        "corrected by the adaptation": [],
        "lost by the adaptation": [],
        "right before and after": [],
    }
    rows = zip(after["image_id"].to_pylist(), after["location_id"].to_pylist(), after["rank"].to_pylist(), strict=True)
    total = 0
    for image_id, location, rank in rows:
        if rank is None or image_id not in earlier:
            continue
        total += 1
        was, now = earlier[image_id] == 1, rank == 1
        if was or now:
            kinds[list(kinds)[0 if now and not was else 1 if was and not now else 2]].append((image_id, location))
    shares = zip(kinds.items(), (count // 2, count - count // 2 - count // 6, count // 6), strict=True)
    return [
        Choice(image_id, f"{kind} ({len(candidates)} of {total} queries)")
        for (kind, candidates), wanted in shares
        for image_id in _of_distinct_places(candidates, wanted)
    ]


def hardest(question: Question, count: int = 8) -> list[Choice]:
    """Queries whose right answer comes last, at the best stage there is; one a place. Empty when all are right."""
    table = question.stages.get(Representation.ADAPTED) or next(iter(question.stages.values()))
    missed = table.filter(pc.greater(table["rank"], 1))
    ordered = missed.sort_by([("rank", "descending"), ("average_precision", "ascending"), ("image_id", "ascending")])
    columns = [ordered[name].to_pylist() for name in ("image_id", "location_id", "rank", "distance_m")]
    remarks = {
        image_id: f"right answer at rank {rank:,}" + ("" if metres is None else f"; first answer {metres:,.0f} m off")
        for image_id, _, rank, metres in zip(*columns, strict=True)
    }
    chosen = _of_distinct_places(list(zip(*columns[:2], strict=True)), count)
    return [Choice(image_id, remarks[image_id]) for image_id in chosen]


def rows_of(table: pa.Table, image_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The rows of some queries, by image id."""
    chosen = table.filter(pc.is_in(table["image_id"], pa.array(list(image_ids), pa.string())))
    return {row["image_id"]: row for row in chosen.to_pylist()}


def _of_distinct_places(candidates: Sequence[tuple[str, str | None]], wanted: int) -> list[str]:
    """The first `wanted` ids, places not yet shown before others."""
    places: set[str | None] = set()
    fresh: list[str] = []
    repeated: list[str] = []
    for image_id, location in candidates:
        (repeated if location in places else fresh).append(image_id)
        places.add(location)
        if len(fresh) >= wanted:
            break
    return [*fresh, *repeated][:wanted]
