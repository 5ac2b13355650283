"""What a person should know about the CRSs that the positions of a data set are in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cvgl.errors import DataError
from cvgl.geo import (
    FAR_OUTSIDE,
    GEOGRAPHIC,
    LOCAL_CRS,
    Position,
    frame_of,
    ground_distance_m,
    in_area_of_use,
    missing_grids,
    no_shift,
    to_wgs84,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

FAR_APART_M = 100_000.0
"""Images to be placed do not lie so far from the map by intention."""


class FrameRemarks(NamedTuple):
    """What there is to say, in sentences.

    Attributes:
        notes: how positions were understood, and how right latitude and longitude are.
        warnings: what looks wrong with them.
    """

    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def frame_remarks(references: Iterable[Position | None], queries: Iterable[Position | None]) -> FrameRemarks:
    """Looks at the positions of a data set, CRS by CRS.

    Args:
        references: of the map's images.
        queries: of the images to be placed.
    """
    sides = [[at for at in side if at is not None] for side in (references, queries)]
    notes: list[str] = []
    warnings: list[str] = []
    for crs, points in _by_crs([*sides[0], *sides[1]]):
        notes += _notes(crs, points)
        warnings += _warnings(crs, points)
    return FrameRemarks(tuple(notes), (*warnings, *_far_apart(*sides)))


def _by_crs(positions: Sequence[Position]) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Positions (n, 2) of each CRS that needs a conversion; where an image has degrees as well, none is needed."""
    groups: dict[str, list[tuple[float, float]]] = {}
    for at in positions:
        if at.latitude is None and at.x is not None and at.y is not None and at.crs not in (None, LOCAL_CRS):
            groups.setdefault(str(at.crs), []).append((at.x, at.y))
    for crs, points in sorted(groups.items()):
        if _is_known(crs):
            yield crs, np.asarray(points, np.float64)


def _is_known(crs: str) -> bool:
    try:
        frame_of(crs)
    except DataError:  # of an older row: whatever needs its positions says so
        return False
    return True


def _notes(crs: str, points: NDArray[np.float64]) -> Iterator[str]:
    frame, there = frame_of(crs), to_wgs84(points[:, 0], points[:, 1], crs)
    shifted = np.isfinite(there.latitude)
    if not shifted.any():
        return
    if frame.north_first:
        longitude = np.degrees(np.angle(np.exp(1j * np.radians(there.longitude[shifted])).mean()))
        yield (
            f"{frame.label} itself names north first; x was taken as east and y as north, and the {len(points)} positions lie"
            f" around latitude {there.latitude[shifted].mean():.4f}, longitude {longitude:.4f}"
        )
    accuracy, grids = there.accuracy_m[shifted], missing_grids(crs)
    finer = f"; PROJ's grid {', '.join(grids[:3])} would be better and is not installed" if grids else ""
    if np.isnan(accuracy).any():
        yield f"positions in {frame.label}: how right latitude and longitude are is not known: the file brings its own shift"
    elif accuracy.max() > 0:
        yield f"positions in {frame.label}: latitude and longitude are right to about {accuracy.max():.3g} m{finer}"


def _warnings(crs: str, points: NDArray[np.float64]) -> Iterator[str]:
    frame, there = frame_of(crs), to_wgs84(points[:, 0], points[:, 1], crs)
    if there.without_shift.any():
        x, y = points[np.argmax(there.without_shift)]
        error = no_shift(crs, float(x), float(y))
        yield (
            f"{there.without_shift.sum()} of {len(points)} positions in {frame.label} have no latitude and longitude, though"
            f" distances between them are right: {error.what}; {error.fix}"
        )
    outside = ~in_area_of_use(points[:, 0], points[:, 1], crs, FAR_OUTSIDE)
    if outside.any():
        x, y = points[np.argmax(outside)]
        yield (
            f"{outside.sum()} of {len(points)} positions in {frame.label} lie far outside of the area that it is for,"
            f" the first at x {x:.10g}, y {y:.10g}: is the crs right?"
        )


def _far_apart(references: Sequence[Position], queries: Sequence[Position]) -> Iterator[str]:
    apart = _apart_m(references, queries)
    if apart is None or apart < FAR_APART_M:
        return
    sentence = f"the images to be placed lie {apart / 1000:,.0f} km from the map"
    for name, side, other in (("the map", references, queries), ("the images", queries, references)):
        exchanged = _apart_m([_swapped_axes(at) for at in side], other)
        if exchanged is not None and exchanged < FAR_APART_M:
            yield f"{sentence}, and on it with x and y of {name} exchanged: x is east and y is north, in every CRS"
            return
    yield f"{sentence}: is the CRS, and the order of the numbers, right?"


def _apart_m(references: Sequence[Position], queries: Sequence[Position]) -> float | None:
    """Metres between the middles of both, by the median; None where one has no latitude and longitude."""
    middles = [_degrees(side) for side in (references, queries)]
    if any(not len(middle) for middle in middles):
        return None
    first, second = (np.median(middle, axis=0) for middle in middles)
    return float(ground_distance_m(GEOGRAPHIC, first, second))


def _degrees(positions: Sequence[Position]) -> NDArray[np.float64]:
    rows = [np.array([(at.latitude, at.longitude) for at in positions if at.latitude is not None], np.float64).reshape(-1, 2)]
    for crs, points in _by_crs(positions):
        there = to_wgs84(points[:, 0], points[:, 1], crs)
        rows.append(np.stack([there.latitude, there.longitude], axis=1))
    together = np.concatenate(rows)
    return together[np.isfinite(together).all(1)]


def _swapped_axes(at: Position) -> Position:
    return Position(latitude=at.latitude, longitude=at.longitude, x=at.y, y=at.x, crs=at.crs)
