"""Whether the map that serves holds the positions that the table of images holds today.

A map is a copy: once a wrong position is mended and ingested, the map goes on answering the old one until it is built again.
No label is used, and none can be: the ground truth is a table that this module does not import.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from cvgl.errors import CvglError, LakeError
from cvgl.geo import Position
from cvgl.hashing import digest_json
from cvgl.ingestion.tables import read_images
from cvgl.lake import Lake, parquet_files, read_parquet
from cvgl.localization.bundle import REFERENCES_FILE, read_current
from cvgl.types import View

logger = logging.getLogger(__name__)

Row: TypeAlias = Mapping[str, Any]
_POSITION = tuple(Position.model_fields)


@dataclass(frozen=True, slots=True)
class OldPositions:
    """References of a map of which the table says something else today.

    Attributes:
        dataset: whose map.
        map: version of the map.
        moved: references whose position, or its CRS, differs.
        cleared: those of `moved` that have no position any more.
        gone: references that the dataset does not hold any more.
        total: references of the map.
        furthest_m: the largest distance between an old and a new position, metres; None where none can be measured.
        digest: hash of what the table says of the map's references today.
    """

    dataset: str
    map: str
    moved: int
    cleared: int
    gone: int
    total: int
    furthest_m: float | None
    digest: str

    @property
    def changes(self) -> str:
        """What differs, for the middle of a sentence."""
        parts = []
        if self.moved:
            far = "" if self.furthest_m is None else f", by up to {_length(self.furthest_m)}"
            without = f", {self.cleared} of them without one now" if self.cleared else ""
            parts.append(f"{self.moved} of {self.total} references have other positions in the table{far}{without}")
        if self.gone:
            parts.append(f"{self.gone} of {self.total} references are no longer in the dataset")
        return " and ".join(parts)

    @property
    def command(self) -> str:
        """What brings today's positions in at once."""
        return f"cvgl maps --dataset {self.dataset} --repair"

    def __str__(self) -> str:
        return f"the map {self.map} is older than the table of references: {self.changes}"


def old_positions(lake: Lake, dataset: str, version: str) -> OldPositions | None:
    """Compares a version of a map with the table of images.

    Args:
        lake: where both are; nothing in it is changed.
        dataset: whose map.
        version: of the map.

    Returns:
        What differs; None where nothing does, or where there is nothing to compare: no such map, or no images (a map that
        was copied without them).

    Raises:
        LakeError: the table of images is damaged.
    """
    path = lake.map(dataset) / version / REFERENCES_FILE
    if not version or not path.is_file() or not parquet_files(lake.images(dataset)):
        return None
    try:
        held = read_parquet(path, ["image_id", *_POSITION], kind="map_references").to_pylist()
    except LakeError:
        return None  # a damaged map is told of, and built again, by others
    images = read_images(lake, dataset).select(["image_id", "view", *_POSITION]).to_pylist()
    today = {row["image_id"]: row for row in images if row["view"] == View.SATELLITE}
    present = [row for row in held if row["image_id"] in today]
    moved = [(row, today[row["image_id"]]) for row in present if _position(row) != _position(today[row["image_id"]])]
    gone = len(held) - len(present)
    if not moved and not gone:
        return None
    return OldPositions(
        dataset=dataset,
        map=version,
        moved=len(moved),
        cleared=sum(_position(new) == (None,) * len(_POSITION) for _, new in moved),
        gone=gone,
        total=len(held),
        furthest_m=_furthest(moved),
        digest=digest_json(sorted([row["image_id"], *_position(today[row["image_id"]])] for row in present)),
    )


def old_positions_that_serve(lake: Lake, dataset: str) -> OldPositions | None:
    """The same for the map that serves; None where none does.

    Raises:
        LakeError: what serves cannot be told, or the table of images is damaged.
    """
    current = read_current(lake.champion(dataset))
    return None if current is None else old_positions(lake, dataset, current.serving.map)


def warning_of(lake: Lake, dataset: str) -> str | None:
    """A sentence for whoever is answered by the map that serves, with the command that mends it; None where all is well."""
    try:
        old = old_positions_that_serve(lake, dataset)
    except LakeError as error:
        return f"whether the positions of the map are those of the table cannot be told: {error.what}"
    return None if old is None else f"{old}; bring them in with: {old.command}"


def _position(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in _POSITION)


def _furthest(moved: Sequence[tuple[Row, Row]]) -> float | None:
    from cvgl.retrieval.positions import positions_of

    try:
        both = positions_of([row for pair in moved for row in pair])
        metres = both.take(range(0, 2 * len(moved), 2)).distance_m(both.take(range(1, 2 * len(moved), 2)))
    except CvglError:  # a local frame beside degrees, or a CRS that is not known: no distance between them exists
        return None
    measured = metres[np.isfinite(metres)]
    return float(measured.max()) if len(measured) else None


def _length(metres: float) -> str:
    return f"{metres / 1000:,.1f} km" if metres >= 1000 else f"{metres:.3g} m"
