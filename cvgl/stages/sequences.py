"""Which pictures of a dataset were taken in a row, and where its references lie: from the images table, without labels."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cvgl.geo import to_local_m
from cvgl.retrieval.positions import GEOGRAPHIC, positions_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cvgl.adaptation.trajectory import Trajectories


def trajectories_of(queries: Sequence[Mapping[str, Any]], references: Sequence[Mapping[str, Any]]) -> Trajectories | None:
    """Runs of queries in the order taken: by time where it is known, else by file name with numbers as numbers.

    Args:
        queries: rows of the images table; a row without a sequence is on its own.
        references: rows of the images table.

    Returns:
        None where no two pictures share a sequence, or the position of a reference is unknown.
    """
    from cvgl.adaptation.trajectory import Trajectories

    runs = runs_of(queries)
    places = None if runs is None else positions_m(references)
    return None if runs is None or places is None else Trajectories(runs, places)


def runs_of(images: Sequence[Mapping[str, Any]]) -> tuple[NDArray[np.int64], ...] | None:
    """Rows of each sequence in the order taken, each row in one run; None where no two pictures share a sequence.

    Args:
        images: rows of the images table; one without a sequence is a run of its own.
    """
    rows: dict[tuple[str, int], list[int]] = {}
    for row, image in enumerate(images):
        rows.setdefault((image["sequence"], 0) if image["sequence"] else ("", row), []).append(row)
    if len(rows) == len(images):
        return None
    return tuple(np.asarray(sorted(run, key=lambda row: _order(images[row])), np.int64) for _, run in sorted(rows.items()))


def _order(image: Mapping[str, Any]) -> tuple[bool, float, tuple[tuple[int, int, str], ...]]:
    taken = image["captured_at"]
    return taken is None, 0.0 if taken is None else taken.timestamp(), natural_order(image["uri"])


def natural_order(name: str) -> tuple[tuple[int, int, str], ...]:
    """A key that sorts names as people do: frame 9 before frame 10."""
    return tuple((1, int(part), "") if part.isdecimal() else (0, 0, part) for part in re.split(r"(\d+)", name))


def positions_m(references: Sequence[Mapping[str, Any]]) -> NDArray[np.float64] | None:
    """East and north, float64 (N, 2); None where one is unknown."""
    positions = positions_of(references)
    if not positions.known.all():
        return None
    if positions.frame == GEOGRAPHIC:
        return to_local_m(*positions.coordinates.T)
    return positions.coordinates
