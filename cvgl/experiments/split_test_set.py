"""Questions and divisions of a test set that only the paper's experiments need.

`split_rows` is Table III's "University Test Adaptation": the test set's places fall into some to adapt on and others to be
asked about. `within_view` is the single-view task of Table VIII and Fig. 2: drone images against one drone image of
each place.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from cvgl.errors import DataError
from cvgl.evaluation.retrieval_task import EvaluationRows, Question, Row, Side
from cvgl.hashing import digest_lines
from cvgl.types import Direction, Subset, View

if TYPE_CHECKING:
    from cvgl.retrieval.positions import Positions

ADAPTATION_SHARE = 250 / 701
"""The paper adapts on 250 of the test set's places. It prints 751 for the others, which is more than there are: of the 701
places that have drone images, 451 are left, to be found among theirs and the 250 distractors' satellite pictures."""


def split_rows(rows: EvaluationRows, seed: int) -> EvaluationRows:
    """The test set as a set to adapt on, without labels, and one to test on; the training images are left out.

    A place lies wholly in one part, so nothing of a tested place is seen before. The paper draws the parts at random; the
    seed does here. Satellite images of places without queries stay in the gallery.

    Args:
        rows: of a data set with a test part; the places are used for dividing it and for nothing else.
        seed: of the draw.

    Raises:
        DataError: fewer than two places have queries.
    """
    locations = sorted({row["location_id"] for row in rows.rows if _asks(row)})
    if len(locations) < 2:
        raise DataError(
            f"{len(locations)} places of the test set have queries: too few to adapt on some and test on others",
            where="test set",
            fix="give a data root with a test part",
        )
    adapted = adaptation_places(locations, seed)
    return dataclasses.replace(rows, rows=[{**row, "subsets": _subsets(row, adapted)} for row in rows.rows])


def adaptation_places(places: Sequence[str], seed: int) -> frozenset[str]:
    """Which of the places are adapted on: at least one, and not all.

    Args:
        places: sorted.
        seed: of the draw.
    """
    count = min(max(1, round(ADAPTATION_SHARE * len(places))), len(places) - 1)
    drawn = np.random.default_rng(seed).choice(len(places), count, replace=False)
    return frozenset(places[row] for row in drawn.tolist())


def _asks(row: Row) -> bool:
    return Subset.QUERY in row["subsets"] and row["view"] != View.SATELLITE and row["location_id"] is not None


def _subsets(row: Row, adapted: frozenset[str]) -> list[str]:
    tests = [subset for subset in row["subsets"] if subset != Subset.TRAIN]
    if row["location_id"] not in adapted:
        return tests
    return [str(Subset.TRAIN)] if tests else []


def within_view(rows: Iterable[Row], positions: Positions, embedded: Iterable[str]) -> Question:
    """Drone images of the test set asked for against one drone image of each place.

    The image that stands for its place is the one whose id comes first: ids are hashes, so that is a fair draw, and the
    same on every machine. A place with a single image stands in the gallery and is not asked for.

    Args:
        rows: `EvaluationRows.rows`.
        positions: in the order of all rows.
        embedded: image ids with a descriptor.
    """
    embedded_ids = set(embedded)
    images = [row for row in rows if row["view"] == View.DRONE and _asks(row) and row["image_id"] in embedded_ids]
    references: dict[str, Row] = {}
    for row in sorted(images, key=lambda row: str(row["image_id"])):
        references.setdefault(row["location_id"], row)
    gallery = _side(sorted(references.values(), key=lambda row: str(row["image_id"])), positions)
    chosen = set(gallery.image_ids)
    queries = _side([row for row in images if row["image_id"] not in chosen], positions)
    direction = Direction(View.DRONE, View.DRONE)
    digest = digest_lines([str(direction), *queries.lines(), "gallery", *gallery.lines()])
    return Question(direction, queries, gallery, 0, digest)


def _side(rows: Sequence[Row], positions: Positions) -> Side:
    return Side(
        View.DRONE,
        tuple(row["image_id"] for row in rows),
        tuple(row["location_id"] for row in rows),
        positions.take([row["index"] for row in rows]),
    )
