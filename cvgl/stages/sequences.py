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

    rows: dict[tuple[str, int], list[int]] = {}
    for row, image in enumerate(queries):
        rows.setdefault((image["sequence"], 0) if image["sequence"] else ("", row), []).append(row)
    if len(rows) == len(queries):
        return None
    places = _metres(references)
    if places is None:
        return None
    runs = tuple(np.asarray(sorted(run, key=lambda row: _order(queries[row])), np.int64) for _, run in sorted(rows.items()))
    return Trajectories(runs, places)


def _order(image: Mapping[str, Any]) -> tuple[bool, float, tuple[tuple[int, int, str], ...]]:
    taken = image["captured_at"]
    parts = re.split(r"(\d+)", image["uri"])
    natural = tuple((1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts)
    return taken is None, 0.0 if taken is None else taken.timestamp(), natural


def _metres(references: Sequence[Mapping[str, Any]]) -> NDArray[np.float64] | None:
    """East and north, float64 (N, 2); None where one is unknown."""
    positions = positions_of(references)
    if not positions.known.all():
        return None
    if positions.frame == GEOGRAPHIC:
        return to_local_m(*positions.coordinates.T)
    return positions.coordinates
