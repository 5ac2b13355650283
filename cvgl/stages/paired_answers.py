"""What two runs of a lake answered to the same queries, from their evaluations, and the comparison of the two.

Made from labels, like the evaluations that it reads: nothing on the training, selection or inference path imports it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cvgl.config import RegisterConfig
from cvgl.datasets.tables import read_images
from cvgl.lake import Lake, read_parquet
from cvgl.retrieval.paired import Answered, Asked, Difference, Draw, difference
from cvgl.stages.evaluate import QUERIES_FILE
from cvgl.stages.sequences import runs_of
from cvgl.types import Stage

ROWS = pa.schema(
    [
        pa.field("direction", pa.string(), nullable=False),
        pa.field("protocol", pa.string(), nullable=False),
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("location_id", pa.string(), nullable=False),
        pa.field("challenger", pa.bool_(), nullable=False),  # whether its first answer is right
        pa.field("incumbent", pa.bool_(), nullable=False),
    ]
)


@dataclass(frozen=True, slots=True)
class Compared:
    """A comparison, and the rows that it used."""

    difference: Difference
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
    ours = answers(lake, run, Stage.ADAPTED)
    theirs = answers(lake, run, Stage.FROZEN) if champion is None else answers(lake, champion, Stage.ADAPTED)
    draw = Draw(config.resamples, config.seed, config.confidence)
    against = "frozen" if champion is None else "champion"
    found = difference(ours, theirs, _runs(lake, dataset, ours), draw, against)
    return Compared(found, _table(ours, theirs))


def answers(lake: Lake, run: str, stage: Stage) -> dict[Asked, Answered]:
    """What a run answered at one stage to queries whose place is known, sorted by image_id.

    Raises:
        LakeError: there is no such evaluation, or it is damaged.
    """
    columns = ["stage", "direction", "protocol", "image_id", "location_id", "rank"]
    table = read_parquet(lake.evaluation(run) / QUERIES_FILE, columns)
    wanted = pc.and_(pc.equal(table["stage"], str(stage)), pc.is_valid(table["location_id"]))
    table = table.filter(wanted).sort_by("image_id")
    found: dict[Asked, Answered] = {}
    for direction, protocol in sorted(set(zip(table["direction"].to_pylist(), table["protocol"].to_pylist(), strict=True))):
        rows = table.filter(pc.and_(pc.equal(table["direction"], direction), pc.equal(table["protocol"], protocol)))
        right = pc.fill_null(pc.equal(rows["rank"], 1), False).to_numpy(zero_copy_only=False)
        found[direction, protocol] = Answered(
            tuple(rows["image_id"].to_pylist()), tuple(rows["location_id"].to_pylist()), np.asarray(right, bool)
        )
    return found


def _runs(lake: Lake, dataset: str, ours: Mapping[Asked, Answered]) -> dict[str, list[str]]:
    """By direction, the queries in the order taken; without directions whose queries were not taken in a row."""
    known = {row["image_id"]: row for row in read_images(lake, dataset).to_pylist()}
    found: dict[str, list[str]] = {}
    for direction in sorted({asked[0] for asked in ours}):
        asked_for = sorted({image for asked, one in ours.items() if asked[0] == direction for image in one.image_ids})
        images = [known[image] for image in asked_for if image in known]
        runs = runs_of(images)
        if runs is not None and len(images) == len(asked_for):
            found[direction] = [images[row]["image_id"] for row in np.concatenate(runs)]
    return found


def _table(ours: Mapping[Asked, Answered], theirs: Mapping[Asked, Answered]) -> pa.Table:
    parts = [
        pa.table(
            {
                "direction": [asked[0]] * len(one.image_ids),
                "protocol": [asked[1]] * len(one.image_ids),
                "image_id": list(one.image_ids),
                "location_id": list(one.places),
                "challenger": one.right,
                "incumbent": theirs[asked].right,
            },
            schema=ROWS,
        )
        for asked, one in sorted(ours.items())
    ]
    return pa.concat_tables(parts).combine_chunks()
