"""Runs and positions from the images table: which images belong together, and in what order."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cvgl.config import IngestConfig
from cvgl.errors import DataError
from cvgl.geo import haversine_m
from cvgl.ingestion import tables
from cvgl.lake import Lake
from cvgl.stages.ingest import ingest
from cvgl.stages.sequences import frame_sequences, names_follow_time, order_notes


def image(uri: str, sequence: Any = "flight", second: Any = None) -> Any:
    taken = None if second is None else datetime(2024, 5, 1, 12, 0, second, tzinfo=UTC)
    return {"uri": uri, "sequence": sequence, "captured_at": taken}


def tile(x: Any = None, y: Any = None, crs: Any = "local", latitude: Any = None, longitude: Any = None) -> Any:
    return {"x": x, "y": y, "crs": crs, "latitude": latitude, "longitude": longitude}


TILES = [tile(0.0, 0.0), tile(60.0, 0.0), tile(0.0, 60.0)]


def runs(queries: Any, references: Any = TILES) -> Any:
    return [run.tolist() for run in frame_sequences(queries, references).rows]


def test_time_tells_the_order() -> None:
    assert runs([image("c", second=3), image("a", second=9), image("b", second=1)]) == [[2, 0, 1]]


def test_names_tell_it_where_time_is_unknown_with_numbers_as_numbers() -> None:
    names = ["/f/frame10.png", "/f/frame9.png", "/f/frame1.png", "/f/frame100.png"]
    assert runs([image(name) for name in names]) == [[2, 1, 0, 3]]
    assert runs([image(name) for name in ("/f/b.png", "/f/2.png", "/f/a10x3.png", "/f/a10x20.png")]) == [[1, 2, 3, 0]]


def test_names_settle_what_time_leaves_open() -> None:
    queries = [image("4", second=2), image("3", second=5), image("2", second=5), image("0", second=7)]
    assert runs(queries) == [[0, 2, 1, 3]]


def test_an_image_without_a_time_stands_behind_the_one_before_it_by_name() -> None:
    times = [1, None, 3, 4, None, None, 7]
    queries = [image(f"/f/DJI_{n}.JPG", second=second) for n, second in zip(range(8, 15), times, strict=True)]
    assert runs(queries) == [[0, 1, 2, 3, 4, 5, 6]]
    assert runs(queries[::-1]) == [[6, 5, 4, 3, 2, 1, 0]]


def test_images_without_a_time_may_begin_and_end_a_sequence() -> None:
    queries = [image("9"), image("1"), image("3", second=3), image("5", second=9), image("10")]
    assert runs(queries) == [[1, 2, 3, 0, 4]]
    assert runs([image("b"), image("a", second=1)]) == [[1, 0]]


def test_names_that_start_again_within_a_flight() -> None:
    queries = [image("1"), image("2", second=8), image("3", second=9), image("998", second=5), image("999")]
    queries += [image(str(n), second=second) for n, second in ((995, 1), (996, 2), (997, 3))]
    order = [queries[row]["uri"] for row in runs(queries)[0]]
    assert order == ["995", "996", "997", "998", "999", "1", "2", "3"]


def test_names_that_count_down() -> None:
    queries = [image("4", second=1), image("3"), image("2", second=5), image("1", second=7), image("0")]
    assert runs(queries) == [[0, 1, 2, 3, 4]]


def test_names_that_say_nothing_of_time_leave_images_without_one_at_the_end() -> None:
    queries = [image("a", second=5), image("b"), image("c", second=1), image("d", second=7), image("0")]
    assert names_follow_time(queries) == 0
    assert runs(queries) == [[2, 0, 3, 4, 1]]


def test_what_is_said_of_sequences_in_which_some_times_are_missing() -> None:
    named = [image("1", "named", 1), image("2", "named"), image("3", "named", 3)]
    random = [image("a", "random", 5), image("b", "random"), image("c", "random", 1), image("d", "random", 7)]
    whole = [image("1", "whole", 1), image("2", "whole", 3), image("1", "none"), image("2", "none"), image("1", None)]
    notes = order_notes([*named, *random, *whole])
    assert [note.split("'")[1] for note in notes] == ["named", "random"]
    assert ["by their names" in note for note in notes] == [True, False]


def test_digits_that_are_no_numbers_are_text() -> None:
    assert runs([image("1\u00b22"), image("1\u00b21"), image("\u0661")]) == [[2, 1, 0]]


def test_every_sequence_is_a_run_and_every_other_image_one_of_its_own() -> None:
    queries = [image("0", "b"), image("1", None), image("2", "a"), image("3", "b"), image("4", ""), image("5", "a")]
    sequences_of = runs(queries)
    assert sorted(sequences_of) == [[0, 3], [1], [2, 5], [4]]
    assert runs(queries) == sequences_of
    frame_sequences(queries, TILES).check(6, 3)


def test_a_sequence_of_any_name_is_no_other_images() -> None:
    queries = [image("0", "image 1 alone"), image("1", None), image("2", "image 1 alone")]
    assert sorted(runs(queries)) == [[0, 2], [1]]


@pytest.mark.parametrize("sequences", [[None, None], ["a", "b"], ["a", None], [""]])
def test_images_that_share_no_sequence_have_no_trajectory(sequences: Any) -> None:
    assert frame_sequences([image(str(row), name) for row, name in enumerate(sequences)], TILES) is None


def test_a_tile_of_unknown_position_leaves_none() -> None:
    queries = [image("0"), image("1")]
    assert frame_sequences(queries, TILES) is not None
    assert frame_sequences(queries, [*TILES, tile()]) is None
    assert frame_sequences(queries, [*TILES, tile(5.0, None)]) is None


def test_positions_are_metres_in_any_frame() -> None:
    queries = [image("0"), image("1")]
    assert np.array_equal(frame_sequences(queries, TILES).positions, [[0, 0], [60, 0], [0, 60]])
    degrees = [(50.0, 4.0), (50.001, 4.0), (50.0, 4.002)]
    sequences = frame_sequences(queries, [tile(crs=None, latitude=a, longitude=b) for a, b in degrees]).positions
    apart = np.hypot(*(sequences - sequences[0]).T)
    assert np.allclose(apart, [haversine_m(*degrees[0], *other) for other in degrees], rtol=1e-3)


def test_frames_without_a_common_measure_are_refused() -> None:
    with pytest.raises(DataError, match="local metric frame"):
        frame_sequences([image("0"), image("1")], [tile(0.0, 0.0), tile(latitude=50.0, longitude=4.0)])


MANIFEST = """path,view,subset,x,y,crs,sequence
tile1.png,satellite,train,0,0,local,
tile2.png,satellite,train,60,0,local,
f2.png,drone,train,,,,north
f10.png,drone,train,,,,north
f1.png,drone,train,,,,north
s1.png,drone,train,,,,south
"""


def test_a_manifest_with_sequences_and_positions_gives_trajectories(lake: Lake, tmp_path: Path) -> None:
    for number, line in enumerate(MANIFEST.splitlines()[1:]):
        Image.new("RGB", (32, 32), (20 * number, 90, 60)).save(tmp_path / line.split(",")[0])
    (tmp_path / "manifest.csv").write_text(MANIFEST)
    ingest(IngestConfig(source=str(tmp_path / "manifest.csv"), dataset="town"), lake)
    rows = tables.read_images(lake, "town").to_pylist()
    queries = [row for row in rows if row["view"] == "drone"]
    sequences = frame_sequences(queries, [row for row in rows if row["view"] == "satellite"])
    named = [[queries[row]["uri"].rsplit("/", 1)[-1] for row in run] for run in sequences.rows]
    assert named == [["f1.png", "f2.png", "f10.png"], ["s1.png"]]
    assert sorted(sequences.positions.tolist()) == [[0, 0], [60, 0]]
