"""Which images of a dataset were taken in a row, and where its references lie: from the images table, without labels."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from cvgl.retrieval.positions import positions_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cvgl.adaptation.sequences import FrameSequences


def frame_sequences(queries: Sequence[Mapping[str, Any]], references: Sequence[Mapping[str, Any]]) -> FrameSequences | None:
    """Runs of queries in the order taken: by time where it is known, else by file name with numbers as numbers.

    Args:
        queries: rows of the images table; a row without a sequence is on its own.
        references: rows of the images table.

    Returns:
        None where no two images share a sequence, or the position of a reference is unknown.
    """
    from cvgl.adaptation.sequences import FrameSequences

    runs = runs_of(queries)
    places = None if runs is None else positions_m(references)
    return None if runs is None or places is None else FrameSequences(runs, places)


def runs_of(images: Sequence[Mapping[str, Any]]) -> tuple[NDArray[np.int64], ...] | None:
    """Rows of each sequence in the order taken, each row in one run; None where no two images share a sequence.

    Args:
        images: rows of the images table; one without a sequence is a run of its own.
    """
    rows: dict[tuple[str, int], list[int]] = {}
    for row, image in enumerate(images):
        rows.setdefault((image["sequence"], 0) if image["sequence"] else ("", row), []).append(row)
    if len(rows) == len(images):
        return None
    return tuple(
        np.asarray([run[place] for place in in_order_taken([images[row] for row in run])], np.int64)
        for _, run in sorted(rows.items())
    )


def in_order_taken(images: Sequence[Mapping[str, Any]]) -> list[int]:
    """Rows in the order in which their images were taken.

    By time, and by name where times are equal. Images without a time stand behind the image that comes before them by
    name; where names and times contradict each other (`names_follow_time`), they stand at the end, in the order of names.
    Where no image has a time, names decide.

    Args:
        images: rows of the images table, of one sequence.
    """
    names = [natural_order(image["uri"]) for image in images]
    times = [None if image["captured_at"] is None else image["captured_at"].timestamp() for image in images]
    by_name = sorted(range(len(images)), key=names.__getitem__)
    without = [row for row in by_name if times[row] is None]
    direction = names_follow_time(images) if 0 < len(without) < len(images) else 1
    if direction < 0:
        by_name.reverse()
    timed = sorted((row for row in by_name if times[row] is not None), key=lambda row: times[row] or 0.0)
    if direction == 0 or not timed or not without:
        return timed + without
    first = next(row for row in by_name if times[row] is not None)
    leaders: list[int] = []  # those that come before every image with a time stand before the one that is next by name
    followers: dict[int, list[int]] = {}
    into = leaders
    for row in by_name:
        if times[row] is None:
            into.append(row)
        else:
            into = followers.setdefault(row, [])
    return [member for row in timed for member in (*(leaders if row == first else ()), row, *followers[row])]


def names_follow_time(images: Sequence[Mapping[str, Any]]) -> int:
    """1 where names ascend with time in three of four steps or more, -1 where they descend so, 0 where they do neither."""
    timed = sorted(
        (image for image in images if image["captured_at"] is not None), key=lambda image: natural_order(image["uri"])
    )
    steps = [np.sign((b["captured_at"] - a["captured_at"]).total_seconds()) for a, b in pairwise(timed)]
    up, down = steps.count(1), steps.count(-1)
    if up >= 3 * down:
        return 1
    return -1 if down >= 3 * up else 0


def order_notes(images: Sequence[Mapping[str, Any]]) -> list[str]:
    """What a person should know of sequences in which some images have a time and others have none.

    Args:
        images: rows of the images table.
    """
    sequences: dict[str, list[Mapping[str, Any]]] = {}
    for image in images:
        if image["sequence"]:
            sequences.setdefault(image["sequence"], []).append(image)
    notes = []
    for name, members in sorted(sequences.items()):
        missing = sum(image["captured_at"] is None for image in members)
        if 0 < missing < len(members):
            place = "by their names" if names_follow_time(members) else "at its end, for names do not follow time in it"
            notes.append(f"{missing} of the {len(members)} images of sequence '{name}' have no time; they stand {place}")
    return notes


def natural_order(name: str) -> tuple[tuple[int, int, str], ...]:
    """A key that sorts names as people do: frame 9 before frame 10."""
    return tuple((1, int(part), "") if part.isdecimal() else (0, 0, part) for part in re.split(r"(\d+)", name))


def positions_m(references: Sequence[Mapping[str, Any]]) -> NDArray[np.float64] | None:
    """East and north in metres, float64 (N, 2); None where one is unknown."""
    positions = positions_of(references)
    return positions.local_m() if positions.known.all() else None
