"""CVACT's table, a MATLAB file: which panoramas there are, where they were taken, and which split each belongs to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cvgl.datasets.mat_reading import NAMES, SPLITS, read_tables
from cvgl.errors import DataError
from cvgl.geo import LOCAL_CRS, Position

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Canberra lies at 149.1 degrees east and south of the equator: zone 55 south. The release does not name its zone.
CRS = "EPSG:32755"
_FIX = "fetch ACT_data.mat again"


@dataclass(frozen=True, slots=True)
class ActData:
    """The table.

    Attributes:
        pano_ids: one a panorama.
        splits: rows of `pano_ids`, from 0, for each split that the table has.
        east_north: float64 (N, 2), metres; NaN where unknown; no rows where the table has no positions.
        crs: of the positions.
        notes: for a person.
    """

    pano_ids: tuple[str, ...]
    splits: Mapping[str, tuple[int, ...]]
    east_north: NDArray[np.float64]
    crs: str
    notes: list[str] = field(default_factory=list)

    def rows(self, split: str) -> Sequence[int]:
        """Rows of a split.

        Raises:
            DataError: the table has no such split.
        """
        if split not in self.splits:
            raise DataError(
                f"the table has no split '{split}'; it has {', '.join(self.splits) or 'none'}", where=split, fix=_FIX
            )
        return self.splits[split]

    def ids(self, split: str) -> list[str]:
        """Panoramas of a split; none where the table has no such split."""
        return [self.pano_ids[row] for row in self.splits.get(split, ())]

    def position(self, row: int) -> Position | None:
        """Where a panorama was taken, which is the middle of its satellite image."""
        if row >= len(self.east_north) or not np.isfinite(self.east_north[row]).all():
            return None
        return Position(x=float(self.east_north[row, 0]), y=float(self.east_north[row, 1]), crs=self.crs)


def read_act_data(path: Path) -> ActData:
    """Reads the table.

    Raises:
        DataError: it is damaged, or lacks what makes it CVACT's, or an index points outside of it.
        MissingDependencyError: SciPy is not installed.
    """
    tables = read_tables(path)
    if "panoIds" not in tables:
        names = ", ".join(tables[NAMES].tolist()) or "nothing"
        raise DataError(f"the table has no panoIds; it has {names}", where=path, fix=_FIX)
    pano_ids = tuple(name.strip() for name in tables["panoIds"].tolist())
    _check_names(pano_ids, path)
    splits = {name: _indices(tables[name], name, len(pano_ids), path) for name in SPLITS if name in tables}
    if not splits:
        raise DataError(f"the table has none of {', '.join(SPLITS)}", where=path, fix=_FIX)
    notes: list[str] = []
    return ActData(pano_ids, splits, *_positions(tables.get("utm"), len(pano_ids), path, notes), notes)


def _check_names(pano_ids: Sequence[str], path: Path) -> None:
    """A panorama's id becomes a part of a path."""
    for name in pano_ids:
        if not name or "/" in name or "\\" in name or name in (".", ".."):
            raise DataError(f"'{name}' is no panorama's id", where=path, fix=_FIX)
    if len(set(pano_ids)) != len(pano_ids):
        raise DataError("a panorama's id is there twice", where=path, fix=_FIX)


def _indices(split: NDArray[np.float64], name: str, count: int, path: Path) -> tuple[int, ...]:
    # MATLAB counts from 1, in floating point. Written so that NaN fails, too.
    if not ((split >= 1) & (split <= count) & (split == np.floor(split))).all():
        raise DataError(f"{name} has an index outside of 1..{count}", where=path, fix=_FIX)
    return tuple((split.astype(np.int64) - 1).tolist())


def _positions(utm: NDArray[np.float64] | None, count: int, path: Path, notes: list[str]) -> tuple[NDArray[np.float64], str]:
    """East and north, whichever column is which: in zone 55 an easting never reaches 1,000 km and Canberra's northing does."""
    if utm is None:
        return np.empty((0, 2)), CRS
    if utm.shape != (count, 2):
        raise DataError(f"utm has the shape {utm.shape} and not ({count}, 2)", where=path, fix=_FIX)
    values = np.where(np.isfinite(utm), utm, np.nan)
    whole = values[np.isfinite(values).all(axis=1)]
    middle = np.median(whole, axis=0) if len(whole) else np.zeros(2)
    if middle[0] > 1e6 > middle[1]:
        values, middle = values[:, ::-1], middle[::-1]
    if 1e5 <= middle[0] < 1e6 <= middle[1] <= 1e7:
        return values, CRS
    notes.append(f"the positions of {path.name} are not those of Canberra in UTM zone 55 south; they count as a local frame")
    return values, LOCAL_CRS
