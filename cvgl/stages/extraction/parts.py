"""Which images share a Parquet part: fixed by the dataset alone, so that it does not matter who describes them, or when.

A part holds the images of one batch of the ingestion, `part_rows` at a time in the order of their ids, less those that were
described before or cannot be described. Neither what other processes have finished nor what failed before moves a boundary.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from itertools import groupby, pairwise

from cvgl.stages.extraction.reading import Row

Part = tuple[Row, ...]


def missing_parts(rows: Iterable[tuple[str, Row]], present: Container[str], part_rows: int) -> list[Part]:
    """The images without a descriptor, part by part; parts of which nothing is missing are left out.

    Args:
        rows: the whole dataset, each row with the name of its batch.
        present: ids of the images that have a descriptor.
        part_rows: most rows of a part.
    """
    ordered = sorted(rows, key=lambda keyed_row: (keyed_row[0], keyed_row[1].image_id))
    parts: list[Part] = []
    for _, group in groupby(ordered, key=lambda keyed_row: keyed_row[0]):
        batch = [row for _, row in group]
        for start in range(0, len(batch), part_rows):
            part = tuple(row for row in batch[start : start + part_rows] if row.image_id not in present)
            if part:
                parts.append(part)
    return parts


def shares(parts: Sequence[Part], count: int) -> list[Sequence[Part]]:
    """The parts in at most `count` runs of about as many parts each, in order; none is empty."""
    count = min(count, len(parts))
    edges = [len(parts) * number // count for number in range(count + 1)] if count else []
    return [parts[start:stop] for start, stop in pairwise(edges)]
