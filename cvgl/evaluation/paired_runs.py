"""What two runs of a lake answered to the same queries, from their evaluations, and the comparison of the two.

Made from labels, like the evaluations that it reads: nothing on the training, selection or inference path imports it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cvgl.config import RegisterConfig
from cvgl.errors import CvglError
from cvgl.evaluation.evaluate import QUERIES_FILE
from cvgl.ingestion.tables import read_images
from cvgl.lake import Lake, read_parquet
from cvgl.retrieval.paired import Answered, Asked, Difference, Draw, difference
from cvgl.retrieval.paired_distance import Chance, DistanceDifference, against_chance, distance_difference
from cvgl.retrieval.positions import Positions, positions_of
from cvgl.stages.sequences import runs_of
from cvgl.summary import read_summaries
from cvgl.types import Representation, View

ROWS = pa.schema(
    [
        pa.field("direction", pa.string(), nullable=False),
        pa.field("protocol", pa.string(), nullable=False),
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("location_id", pa.string(), nullable=False),
        pa.field("challenger", pa.bool_(), nullable=False),  # whether its first answer is right
        pa.field("incumbent", pa.bool_(), nullable=False),
        pa.field("challenger_m", pa.float64()),  # metres from its first answer to the true position; null where unknown
        pa.field("incumbent_m", pa.float64()),
    ]
)
_SAMPLE, _NEAR = 500, 16  # references whose spacing is measured, and candidates for the nearest other one of each


@dataclass(frozen=True, slots=True)
class Compared:
    """A comparison, and the rows that it used.

    Attributes:
        difference: of R@1.
        distance: of the errors; none where no query has one on both sides.
        chance: the challenger beside random answers.
        rows: the queries, with what both came to.
    """

    difference: Difference
    distance: DistanceDifference | None
    chance: Chance | None
    rows: pa.Table


def compare(lake: Lake, dataset: str, run: str, champion: str | None, config: RegisterConfig) -> Compared:
    """Compares a run with the champion on the same evaluation rows, or with its own frozen descriptors.

    Args:
        lake: where both evaluations are.
        dataset: which both are of.
        run: the challenger.
        champion: none: nothing serves.
        config: resamples, seed and confidence.

    Raises:
        LakeError: an evaluation is missing or damaged.
        DataError: not comparable, with what differs.
    """
    ours = answers(lake, run, Representation.ADAPTED)
    theirs = answers(lake, run, Representation.FROZEN) if champion is None else answers(lake, champion, Representation.ADAPTED)
    draw = Draw(config.resamples, config.seed, config.confidence)
    against = "frozen" if champion is None else "champion"
    images = read_images(lake, dataset).to_pylist()
    runs = _runs(images, ours)
    comparison = difference(ours, theirs, runs, draw, against)
    galleries = {(summary.direction, summary.protocol): summary.n_gallery for summary in read_summaries(lake.evaluation(run))}
    radius = spacing_m([row for row in images if row["view"] == View.SATELLITE])
    distance = None if radius is None else distance_difference(ours, theirs, runs, draw, radius, against)
    return Compared(comparison, distance, against_chance(ours, galleries, runs, draw), _table(ours, theirs))


def spacing_m(references: Sequence[Mapping[str, Any]]) -> float | None:
    """Spacing of a map in metres: the median distance from a reference to the nearest other one elsewhere.

    Args:
        references: rows with the position columns of `cvgl.schemas.IMAGES`.

    Returns:
        None where fewer than two places are known, or no distance between them exists.
    """
    try:
        positions = positions_of(references)
    except CvglError:
        return None
    positions = positions.take(np.flatnonzero(positions.known))
    # Several images of one place are one.
    return _median_to_nearest(positions.take(np.sort(np.unique(positions.coordinates, axis=0, return_index=True)[1])))


def _median_to_nearest(positions: Positions) -> float | None:
    total = len(positions.coordinates)
    if total < 2:
        return None
    plane = positions.local_m()
    nearest = []
    for row in np.unique(np.linspace(0, total - 1, min(total, _SAMPLE)).astype(np.int64)):
        apart = np.square(plane - plane[row]).sum(axis=1)
        apart[row] = np.inf
        others = np.argpartition(apart, min(_NEAR, total - 1) - 1)[: min(_NEAR, total - 1)]
        nearest.append(positions.take([row] * len(others)).distance_m(positions.take(others)).min())
    measured = np.asarray(nearest)
    measured = measured[np.isfinite(measured) & (measured > 0)]
    return float(np.median(measured)) if len(measured) else None


def answers(lake: Lake, run: str, stage: Representation) -> dict[Asked, Answered]:
    """What a run answered at one stage to queries whose place is known, sorted by image_id.

    Raises:
        LakeError: there is no such evaluation, or it is damaged.
    """
    columns = ["stage", "direction", "protocol", "image_id", "location_id", "rank", "n_right", "distance_m"]
    table = read_parquet(lake.evaluation(run) / QUERIES_FILE, columns, kind="queries")
    wanted = pc.and_(pc.equal(table["stage"], str(stage)), pc.is_valid(table["location_id"]))
    table = table.filter(wanted).sort_by("image_id")
    by_task: dict[Asked, Answered] = {}
    for direction, protocol in sorted(set(zip(table["direction"].to_pylist(), table["protocol"].to_pylist(), strict=True))):
        rows = table.filter(pc.and_(pc.equal(table["direction"], direction), pc.equal(table["protocol"], protocol)))
        right = pc.fill_null(pc.equal(rows["rank"], 1), False).to_numpy(zero_copy_only=False)
        by_task[direction, protocol] = Answered(
            tuple(rows["image_id"].to_pylist()),
            tuple(rows["location_id"].to_pylist()),
            np.asarray(right, bool),
            np.asarray(pc.fill_null(rows["distance_m"], np.nan), np.float64),
            np.asarray(pc.fill_null(rows["n_right"], 0), np.int64),
        )
    return by_task


def _runs(pictures: Sequence[Mapping[str, Any]], ours: Mapping[Asked, Answered]) -> dict[str, list[str]]:
    """By direction, the queries in the order taken; without directions whose queries were not taken in a row."""
    row_of = {row["image_id"]: row for row in pictures}
    sequences: dict[str, list[str]] = {}
    for direction in sorted({task[0] for task in ours}):
        asked_for = sorted({image for task, answered in ours.items() if task[0] == direction for image in answered.image_ids})
        images = [row_of[image] for image in asked_for if image in row_of]
        runs = runs_of(images)
        if runs is not None and len(images) == len(asked_for):
            sequences[direction] = [images[row]["image_id"] for row in np.concatenate(runs)]
    return sequences


def _table(ours: Mapping[Asked, Answered], theirs: Mapping[Asked, Answered]) -> pa.Table:
    parts = [
        pa.table(
            {
                "direction": [task[0]] * len(answered.image_ids),
                "protocol": [task[1]] * len(answered.image_ids),
                "image_id": list(answered.image_ids),
                "location_id": list(answered.places),
                "challenger": answered.right,
                "incumbent": theirs[task].right,
                "challenger_m": _known(answered),
                "incumbent_m": _known(theirs[task]),
            },
            schema=ROWS,
        )
        for task, answered in sorted(ours.items())
    ]
    return pa.concat_tables(parts).combine_chunks()


def _known(answered: Answered) -> pa.Array:
    """Errors, null where there is none."""
    errors = np.full(len(answered.image_ids), np.nan) if answered.distance_m is None else answered.distance_m
    return pa.array(errors, pa.float64(), mask=np.isnan(errors))
