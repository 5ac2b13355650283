"""A map as an image: its references, which of them are new, and how many images were placed at each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cvgl.errors import DataError
from cvgl.geo import LOCAL_CRS, canonical_crs, full_turn, is_true_to_scale, local_m, own_degrees
from cvgl.reporting.theme import LIGHT, Theme, drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

    from cvgl.geo import Position


_SMALLEST, _LARGEST = 14.0, 220.0  # square points of a dot for one image, and for the most at one reference


class Coordinates(NamedTuple):
    """Positions to draw.

    Attributes:
        points: float64 (N, 2), NaN where a position is not known.
        axes: what the two axes are.
        aspect: length of one unit upwards over one to the right.
    """

    points: NDArray[np.float64]
    axes: tuple[str, str]
    aspect: float


def coordinates(positions: Sequence[Position]) -> Coordinates | None:
    """Positions in the frame in which all that are known can be drawn; None where none is known.

    One metric CRS that is true to scale is drawn as it is, any other projected one in metres around its middle, a geographic
    one in its degrees. Several are drawn in degrees of WGS 84; positions that have none are left out.

    Raises:
        DataError: a CRS is unknown.
    """
    frames = {canonical_crs(at.crs or LOCAL_CRS) for at in positions if at.x is not None}
    if len(frames) == 1 and all(at.x is not None for at in positions if at.latitude is not None):
        points = _array([None if at.x is None or at.y is None else (at.x, at.y) for at in positions])
        return _in_one_frame(frames.pop(), points)
    degrees = [at.degrees() for at in positions]
    return _in_degrees(_array([None if pair is None else (pair[1], pair[0]) for pair in degrees]))


def _in_one_frame(crs: str, points: NDArray[np.float64]) -> Coordinates | None:
    if is_true_to_scale(crs, points):
        return Coordinates(points, ("east, m", "north, m"), 1.0)
    if full_turn(crs) is not None:
        return _in_degrees(np.column_stack(own_degrees(crs, points)))
    points = local_m(crs, points)
    if not np.isfinite(points).any():
        return None
    return Coordinates(points, ("east of the middle, m", "north of the middle, m"), 1.0)


def _in_degrees(points: NDArray[np.float64]) -> Coordinates | None:
    if not np.isfinite(points).any():
        return None
    middle = float(np.nanmean(points[:, 1]))
    return Coordinates(points, ("longitude", "latitude"), 1 / max(np.cos(np.radians(middle)), 0.01))


def placement_map(coordinates: Coordinates, new: ArrayLike, answers: ArrayLike, theme: Theme = LIGHT) -> Figure:
    """Every reference as a dot, new ones apart, and a circle where images were placed, the larger the more.

    Args:
        coordinates: of the references.
        new: bool (N,).
        answers: int (M,), the reference of each image.

    Raises:
        DataError: shapes do not fit.
    """
    fresh, rows = np.asarray(new, bool), np.asarray(answers, np.int64)
    if len(fresh) != len(coordinates.points) or (len(rows) and not 0 <= rows.min() <= rows.max() < len(fresh)):
        raise DataError("references and answers do not fit", where="placement_map", fix="pass rows of the references")
    placed = np.bincount(rows, minlength=len(fresh))
    with drawing(theme) as figures:
        figure: Figure = figures.Figure(figsize=(6.4, 6.4), layout="constrained")
        axis = figure.subplots()
        for chosen, colour, label in ((~fresh, theme.muted, "reference"), (fresh, theme.reference, "new reference")):
            if chosen.any():
                points = coordinates.points[chosen]
                axis.scatter(points[:, 0], points[:, 1], s=6, color=colour, label=f"{label} ({chosen.sum()})", linewidths=0)
        at = placed > 0
        if at.any():
            sizes = np.clip(_LARGEST * placed[at] / placed.max(), _SMALLEST, None)
            label = f"images placed ({len(rows)}), at most {placed.max()} at one"
            axis.scatter(
                coordinates.points[at, 0],
                coordinates.points[at, 1],
                s=sizes,
                facecolors="none",
                edgecolors=theme.query,
                label=label,
            )
        axis.set_aspect(coordinates.aspect, adjustable="datalim")
        axis.set_xlabel(coordinates.axes[0])
        axis.set_ylabel(coordinates.axes[1])
        axis.ticklabel_format(useOffset=False)
        axis.tick_params(axis="x", labelrotation=30)
        axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=1)
        return figure


def _array(points: Sequence[tuple[float, float] | None]) -> NDArray[np.float64]:
    return np.array([(np.nan, np.nan) if point is None else point for point in points], np.float64).reshape(-1, 2)
