"""Tiles offered as queries and photographs offered as a map, told by what lies in and beside the files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cvgl.config import IngestConfig
from cvgl.errors import DataError, GateRefusal
from cvgl.geo import Position
from cvgl.ingestion.entries import Entry, Reason, WorldFile
from cvgl.ingestion.scan_cache import Scan
from cvgl.ingestion.swapped_views import SwappedViewsError, SwapSuspicion, find_swapped_views
from cvgl.lake import Lake
from cvgl.stages.ingest import ingest
from cvgl.types import View
from tests.data.images import place_image

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
Change = Callable[[int, Entry], Entry]


def side(view: View, change: Change = lambda number, entry: entry, count: int = 24) -> list[Entry]:
    return [change(number, Entry(Path(f"/{view}/{number}.jpg"), view, from_camera=True)) for number in range(count)]


def judged(
    queries: Sequence[Entry], references: Sequence[Entry], taken: View | None = None, *, has_map: bool = False
) -> SwapSuspicion | None:
    """`taken`: the view whose images have a camera's time and position."""
    entries = [*queries, *references]
    of_camera = {"captured_at": NOON, "latitude": 1.0, "longitude": 1.0}
    scans = {
        entry.path: Scan(uri=str(entry.path), image_id=entry.path.name, **(of_camera if entry.view is taken else {}))
        for entry in entries
    }
    return find_swapped_views(entries, scans, has_map=has_map)


def with_world_file(number: int, entry: Entry) -> Entry:
    return replace(entry, world_file=WorldFile(1, 0, 0, -1, number, 0, "local"))


def on_a_grid(number: int, entry: Entry) -> Entry:
    return replace(entry, position=Position(latitude=50 + number // 6 / 1000, longitude=4 + number % 6 / 1000))


def anywhere(number: int, entry: Entry) -> Entry:
    east, north = np.random.default_rng(number).uniform(size=2)
    return replace(entry, position=Position(x=100 * east, y=100 * north, crs="local"))


def of_a_few_places(number: int, entry: Entry) -> Entry:
    """Several images of a place have one position, as in University-1652; that is no grid."""
    return anywhere(number // 6, entry)


def in_a_row(number: int, entry: Entry) -> Entry:
    return replace(entry, sequence="flight")


@pytest.mark.parametrize("tile", [with_world_file, on_a_grid])
@pytest.mark.parametrize("taken", [None, View.SATELLITE])
def test_tiles_to_be_placed_on_references_without_positions_are_refused(tile: Change, taken: View | None) -> None:
    """A camera's own position is not that of the ground in the image: it places no reference."""
    suspicion = judged(side(View.DRONE, tile), side(View.SATELLITE), taken)
    assert suspicion is not None
    assert suspicion.certain
    assert "24 images to be placed are tiles of a map" in suspicion.reason
    with pytest.raises(SwappedViewsError, match="positions") as caught:
        suspicion.raise_if_certain(Path("/source"))
    assert isinstance(caught.value, GateRefusal)  # exit code 3
    assert isinstance(caught.value, DataError)  # a batch that arrives with it is not usable


@pytest.mark.parametrize("placed", [with_world_file, on_a_grid, anywhere])
def test_references_with_positions_are_a_map(placed: Change) -> None:
    assert judged(side(View.DRONE, with_world_file), side(View.SATELLITE, placed)) is None
    assert judged(side(View.DRONE), side(View.SATELLITE, placed), taken=View.DRONE) is None


def test_a_map_that_came_from_elsewhere_is_a_map() -> None:
    assert judged(side(View.DRONE, with_world_file), side(View.SATELLITE), has_map=True) is None


@pytest.mark.parametrize("change", [anywhere, of_a_few_places])
def test_true_positions_of_queries_are_no_reason(change: Change) -> None:
    assert judged(side(View.DRONE, change), side(View.SATELLITE)) is None
    assert judged(side(View.GROUND, change), side(View.SATELLITE), taken=View.GROUND) is None


def test_photographs_and_flights_as_references_are_flagged() -> None:
    suspicion = judged(side(View.DRONE), side(View.SATELLITE), taken=View.SATELLITE)
    assert suspicion is not None
    assert not suspicion.certain
    suspicion.raise_if_certain(Path("/source"))
    assert "24 of the 24 references were taken by a camera" in suspicion.reason
    flight = judged(side(View.DRONE), side(View.SATELLITE, in_a_row))
    assert flight is not None
    assert not flight.certain
    assert "taken in a row" in flight.reason
    assert judged(side(View.DRONE, in_a_row), side(View.SATELLITE, in_a_row)) is None


def test_one_side_alone_and_what_is_no_image_say_nothing() -> None:
    assert judged(side(View.DRONE, with_world_file), []) is None
    entries = [*side(View.DRONE, with_world_file), *side(View.SATELLITE)]
    scans = {entry.path: Scan(uri=str(entry.path), reason=Reason.EMPTY) for entry in entries}
    assert find_swapped_views(entries, scans) is None


def test_a_flag_is_a_warning_and_a_refusal_leaves_no_table(tmp_path: Path, lake: Lake) -> None:
    for view in ("drone", "satellite"):
        (tmp_path / "source" / view).mkdir(parents=True)
        for number in range(4):
            image = place_image(number, view=int(view == "drone"), size=24)
            exif = Image.Exif()
            if view == "satellite":
                exif.get_ifd(0x8769)[0x9003] = "2026:05:01 12:00:00"
            image.save(tmp_path / "source" / view / f"{number}.jpg", exif=exif)
    config = IngestConfig(source=str(tmp_path / "source"), dataset="d")
    assert ["the views look exchanged" in warning for warning in ingest(config, lake).warnings] == [True]
    for number in range(4):
        (tmp_path / "source" / "drone" / f"{number}.jgw").write_text(f"1\n0\n0\n-1\n{24 * number}\n0\n")
    with pytest.raises(SwappedViewsError, match="none has a position"):
        ingest(config.model_copy(update={"dataset": "e"}), lake)
    assert lake.datasets() == ["d"]
