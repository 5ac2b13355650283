"""Maps as pictures."""

from __future__ import annotations

import numpy as np
import pytest

from cvgl.errors import DataError
from cvgl.geo import Position
from cvgl.reporting.mapping import coordinates, placement_map
from cvgl.reporting.theme import to_png

PLANAR = [Position(x=500_000.0 + east, y=5_500_000.0, crs="EPSG:32631") for east in (0.0, 100.0, 200.0)]


def test_planar_positions_are_drawn_in_metres_as_they_are() -> None:
    placed = coordinates([*PLANAR, Position()])
    assert placed is not None
    assert (placed.axes, placed.aspect) == (("east, m", "north, m"), 1.0)
    assert placed.points[:3].tolist() == [[at.x, at.y] for at in PLANAR]
    assert np.isnan(placed.points[3]).all()


def test_degrees_are_drawn_so_that_a_metre_is_as_long_both_ways() -> None:
    placed = coordinates([Position(latitude=60.0, longitude=4.0), Position(latitude=60.0, longitude=5.0)])
    assert placed is not None
    assert placed.axes == ("longitude", "latitude")
    assert placed.points.tolist() == [[4.0, 60.0], [5.0, 60.0]]
    assert placed.aspect == pytest.approx(2.0)  # a degree of longitude is half as long there


def test_planar_and_geographic_positions_share_degrees() -> None:
    placed = coordinates([*PLANAR, Position(latitude=49.6, longitude=3.1)])
    assert placed is not None
    assert placed.axes == ("longitude", "latitude")
    assert placed.points[0] == pytest.approx([3.0, 49.65], abs=0.02)


@pytest.mark.parametrize(
    ("crs", "metres"),
    [("EPSG:2231", 0.3048), ("EPSG:3857", np.cos(np.radians(60.0)))],
)
def test_a_crs_that_is_no_metre_on_the_ground_is_drawn_in_metres(crs: str, metres: float) -> None:
    middle = {"EPSG:2231": (3e6, 1.7e6), "EPSG:3857": (0.0, 8_399_738.0)}[crs]
    drawn = coordinates([Position(x=middle[0] + east, y=middle[1], crs=crs) for east in (-500.0, 500.0)])
    assert drawn is not None
    assert drawn.axes == ("east of the middle, m", "north of the middle, m")
    assert drawn.aspect == 1.0
    assert np.ptp(drawn.points[:, 0]) == pytest.approx(1000 * metres, rel=0.004)


def test_degrees_of_another_datum_are_drawn_as_degrees() -> None:
    drawn = coordinates([Position(x=4.0, y=60.0, crs="EPSG:4258"), Position(x=5.0, y=60.0, crs="EPSG:4258")])
    assert drawn is not None
    assert drawn.axes == ("longitude", "latitude")
    assert drawn.points.tolist() == [[4.0, 60.0], [5.0, 60.0]]
    assert drawn.aspect == pytest.approx(2.0)


@pytest.mark.parametrize("positions", [[], [Position()], [Position(), Position()]])
def test_without_positions_there_is_nothing_to_draw(positions: list[Position]) -> None:
    assert coordinates(positions) is None


def test_the_more_images_at_a_reference_the_larger_its_circle() -> None:
    placed = coordinates([*PLANAR, Position()])
    assert placed is not None
    figure = placement_map(placed, [False, True, False, False], [0, 0, 0, 2])
    [axis] = figure.axes
    present, new, circles = axis.collections
    assert len(np.asarray(present.get_offsets())) == 3
    assert new.get_offsets().tolist() == [[PLANAR[1].x, PLANAR[1].y]]
    assert circles.get_offsets().tolist() == [[PLANAR[0].x, PLANAR[0].y], [PLANAR[2].x, PLANAR[2].y]]
    sizes = circles.get_sizes()
    assert sizes[0] == pytest.approx(3 * sizes[1])
    legend = axis.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [
        "reference (3)",
        "new reference (1)",
        "images placed (4), at most 3 at one",
    ]
    assert to_png(figure) == to_png(placement_map(placed, [False, True, False, False], [0, 0, 0, 2]))


def test_no_image_and_no_new_reference() -> None:
    placed = coordinates(PLANAR[:1])
    assert placed is not None
    assert len(placement_map(placed, [False], []).axes[0].collections) == 1


@pytest.mark.parametrize(("new", "answers"), [([True], [0]), ([True] * 3, [3]), ([True] * 3, [-1])])
def test_rows_that_are_none_are_refused(new: list[bool], answers: list[int]) -> None:
    placed = coordinates(PLANAR)
    assert placed is not None
    with pytest.raises(DataError, match="do not fit"):
        placement_map(placed, new, answers)
