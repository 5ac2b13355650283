"""A flight is placed as a whole, live or afterwards, on maps with and without positions."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import pytest

from cvgl.adaptation.hmm import forward_backward, transition_matrix
from cvgl.errors import ConfigError, DataError
from cvgl.localization import Position, Reference, ReferenceIndex, localize_sequence, sequence_posterior, to_geojson
from cvgl.localization.sequence import mean_position
from cvgl.localization.sequence_posterior import follow, moves_between
from cvgl.retrieval.positions import Positions

SIDE, D = 8, 48


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def grid_position(i: int) -> dict[str, Any]:
    return {"x": 60.0 * (i % SIDE), "y": 60.0 * (i // SIDE), "crs": "local"}


def atlas(position: Any = grid_position) -> ReferenceIndex:
    rows = unit(np.random.default_rng(0).normal(size=(SIDE * SIDE, D)))
    references = tuple(Reference(f"r{i:02d}", f"/map/{i}.png", Position(**position(i))) for i in range(SIDE * SIDE))
    return ReferenceIndex(references, rows)


def flight(noise: float = 0.4, per_tile: int = 4, seed: int = 1) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Along a row of tiles, up, and back: names, descriptors, tiles shown."""
    tiles = [*range(8), 15, *range(14, 7, -1)]
    labels = np.repeat(tiles, per_tile)
    rows = unit(atlas().descriptors[labels] + noise * np.random.default_rng(seed).normal(size=(len(labels), D)))
    return [f"{i:03d}.jpg" for i in range(len(labels))], rows, labels


def first_frames(count: int) -> tuple[list[str], np.ndarray, np.ndarray]:
    """The beginning of a flight with little noise."""
    names, rows, labels = flight(noise=0.2)
    return names[:count], rows[:count], labels[:count]


def assert_close(actual: Any, expected: Any, rtol: float) -> None:
    """Numbers that may be absent, which none is here."""
    np.testing.assert_allclose(np.asarray(actual, float), expected, rtol=rtol)


def answered(placements: Any) -> np.ndarray:
    return np.asarray([int(placement.top_k[0].image_id[1:]) for placement in placements])


def test_a_flight_is_placed_better_than_its_images() -> None:
    names, rows, labels = flight()
    alone = (rows @ atlas().descriptors.T).argmax(axis=1)
    placements = localize_sequence(names, rows, atlas(), top_k=3, adapter="run-1")
    window = localize_sequence(names, rows, atlas(), window=20)
    assert np.mean(answered(placements) == labels) > np.mean(alone == labels) + 0.25
    assert np.mean(answered(placements) == labels) >= np.mean(answered(window) == labels) > np.mean(alone == labels) + 0.1
    assert [(frame.picture, frame.frame) for frame in placements] == list(zip(names, itertools.count(), strict=False))
    for frame in placements:
        assert frame.adapter == "run-1"
        assert (frame.x, frame.y) == (frame.top_k[0].x, frame.top_k[0].y)
        assert frame.probability == frame.top_k[0].probability
        chances = [answer.probability for answer in frame.top_k]
        assert len(chances) == 3
        assert chances == sorted(chances, reverse=True)
        assert frame.score == pytest.approx(
            float(rows[frame.frame] @ atlas().descriptors[int(frame.top_k[0].image_id[1:])]), abs=1e-6
        )


def test_the_whole_flight_is_the_chain_of_the_adaptation() -> None:
    names, rows, _ = flight()
    positions = np.asarray([[grid_position(i)["x"], grid_position(i)["y"]] for i in range(SIDE * SIDE)])
    similarity = (rows @ atlas().descriptors.T).astype(np.float64)
    hubness = np.sort(similarity, axis=0)[-10:].mean(axis=0)  # of the flight itself
    belief = forward_backward(similarity - hubness / 2, transition_matrix(positions))
    placements = localize_sequence(names, rows, atlas())
    np.testing.assert_array_equal(answered(placements), belief.cell)
    assert_close([frame.probability for frame in placements], belief.probability, rtol=1e-4)
    expected = belief.distribution @ positions
    assert_close([(frame.mean.x, frame.mean.y) for frame in placements], expected, rtol=1e-4)


def test_a_live_answer_stays_when_more_images_come() -> None:
    names, rows, _ = flight()
    whole = localize_sequence(names, rows, atlas(), window=6)
    so_far = localize_sequence(names[:20], rows[:20], atlas(), window=6)
    assert [frame.top_k[0].image_id for frame in so_far] == [frame.top_k[0].image_id for frame in whole[:20]]
    assert_close([f.probability for f in so_far], [f.probability for f in whole[:20]], rtol=1e-5)
    centred = localize_sequence(names, rows, atlas(), window=6, centred=True)
    assert [frame.probability for frame in centred] != [frame.probability for frame in whole]


def test_asking_twice_gives_the_same() -> None:
    names, rows, _ = flight()
    assert localize_sequence(names, rows, atlas(), window=9) == localize_sequence(names, rows, atlas(), window=9)


def test_a_missing_image_is_placed_by_its_neighbours() -> None:
    names, rows, labels = flight(noise=0.1)
    rows[9] = 0
    placements = localize_sequence(names, rows, atlas())
    assert placements[9].top_k[0].image_id == f"r{labels[9]:02d}"
    assert placements[9].score == 0
    gone = localize_sequence(names[:3], np.zeros((3, D), np.float32), atlas())
    assert all(frame.probability == pytest.approx(1 / 64, rel=0.9) for frame in gone)


def test_one_image_is_answered_by_its_similarities() -> None:
    _, rows, _ = flight()
    (frame,) = localize_sequence(["a"], rows[:1], atlas(), top_k=64)
    similarity = rows[0] @ atlas().descriptors.T
    assert [int(answer.image_id[1:]) for answer in frame.top_k] == np.argsort(-similarity, kind="stable").tolist()
    assert localize_sequence([], rows[:0], atlas()) == []


def test_a_map_without_positions_and_one_of_one_reference() -> None:
    names, rows, labels = flight()
    nowhere = atlas(lambda i: {})
    placements = localize_sequence(names, rows, nowhere)
    alone = (rows @ nowhere.descriptors.T).argmax(axis=1)
    assert np.mean(answered(placements) == labels) > np.mean(alone == labels)
    assert all(frame.mean is None and frame.degrees() is None for frame in placements)
    single = ReferenceIndex(atlas().references[:1], atlas().descriptors[:1])
    assert [frame.probability for frame in localize_sequence(names, rows, single, window=3)] == pytest.approx([1] * len(names))


def test_references_without_a_position_can_be_reached_from_anywhere() -> None:
    some = np.array([[0.0, 0], [60, 0], [np.nan, np.nan], [120, 0]])
    moves = moves_between(Positions("local", some))
    np.testing.assert_allclose(moves.sum(axis=1), 1)
    np.testing.assert_allclose(moves[2], [1 / 3, 1 / 3, 0, 1 / 3])
    assert moves[0, 1] > moves[0, 3] > 0
    assert moves[0, 2] == 0
    lonely = moves_between(Positions("local", some[[0, 2]]))
    np.testing.assert_allclose(lonely, [[0, 1], [1, 0]])


def test_degrees_are_moved_over_in_metres_and_cross_the_antimeridian() -> None:
    def degrees(i: int) -> dict[str, Any]:
        return {"latitude": -17 + 0.0005 * (i // SIDE), "longitude": (179.998 + 0.0005 * (i % SIDE) + 180) % 360 - 180}

    names, rows, labels = flight()
    placements = localize_sequence(names, rows, atlas(degrees))
    assert np.mean(answered(placements) == labels) > 0.8
    assert all(frame.mean is not None and abs(frame.mean.longitude or 0) > 179.99 for frame in placements)
    features = json.loads(json.dumps(to_geojson(placements)))["features"]
    assert len(features) == len(names)
    assert features[0]["geometry"]["coordinates"] == [placements[0].longitude, placements[0].latitude]
    assert features[0]["properties"]["probability"] == placements[0].probability


@pytest.mark.parametrize("window", [None, 7])
def test_a_map_a_little_too_large_is_believed_as_a_whole_when_everything_is_a_candidate(window: int | None) -> None:
    """Narrowed to all of it, the way of large maps gives what the way of small ones does."""
    _, rows, _ = flight()
    positions = Positions("local", np.asarray([[grid_position(i)["x"], grid_position(i)["y"]] for i in range(9)]))
    few = atlas().descriptors[:9]
    (whole,) = follow(rows, few, positions, window)
    large = list(sequence_posterior._on_a_large_map(rows, few, positions, window, False, 9 * len(rows)))
    assert all(len(part.references) == 9 for part in large)
    np.testing.assert_allclose(np.concatenate([part.posterior for part in large]), whole.posterior, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(np.concatenate([part.similarity for part in large]), whole.similarity, atol=1e-6)


@pytest.mark.parametrize("window", [None, 7])
def test_a_large_map_is_narrowed_to_what_the_images_may_show(window: int | None) -> None:
    _, rows, labels = first_frames(60)
    positions = Positions("local", np.asarray([[grid_position(i)["x"], grid_position(i)["y"]] for i in range(64)]))
    posteriors = list(follow(rows, atlas().descriptors, positions, window, most_references=63 if window is None else 21))
    images = np.concatenate([part.pictures for part in posteriors])
    np.testing.assert_array_equal(images, np.arange(len(rows)))
    best = np.concatenate([part.references[part.posterior.argmax(axis=1)] for part in posteriors])
    assert np.mean(best == labels) > 0.9
    assert all(len(part.references) <= 63 for part in posteriors)


@pytest.mark.parametrize(("window", "most"), [(None, 64), (8, 64), (8, 63)])
def test_a_place_with_several_looks_is_answered_once_by_the_look_that_is_shown(window: int | None, most: int) -> None:
    """Frames show the second look of each tile; what the first shows is something else."""
    names, rows, labels = first_frames(40)
    index = atlas()
    turned = unit(np.random.default_rng(7).normal(size=index.descriptors.shape))
    places = np.asarray([[grid_position(i)["x"], grid_position(i)["y"]] for i in range(64)])
    positions = Positions("local", np.concatenate([places, places]))
    looks = np.concatenate([turned, index.descriptors])
    posteriors = list(follow(rows, looks, positions, window, most_references=most))
    best = np.concatenate([part.references[part.posterior.argmax(axis=1)] for part in posteriors])
    assert np.mean(best == labels + 64) > 0.85
    for part in posteriors:
        np.testing.assert_allclose(part.posterior.sum(axis=1), 1, rtol=1e-5)
        locations = part.references[(part.posterior > 0).nonzero()[1]] % 64
        assert len(part.posterior) > 1 or len(set(locations.tolist())) == len(locations)
    references = tuple(Reference(f"r{i:03d}", f"/map/{i}.png", Position(**grid_position(i % 64))) for i in range(128))
    for placement in localize_sequence(names, rows, ReferenceIndex(references, looks), window=window):
        assert len({(answer.x, answer.y) for answer in placement.top_k}) == len(placement.top_k)


def test_what_cannot_be_answered_is_refused() -> None:
    names, rows, _ = flight()
    with pytest.raises(ConfigError, match="top_k is 0"):
        localize_sequence(names, rows, atlas(), top_k=0)
    with pytest.raises(ConfigError, match="window of 0"):
        localize_sequence(names, rows, atlas(), window=0)
    with pytest.raises(DataError, match=r"2 images have \d+ descriptors"):
        localize_sequence(names[:2], rows, atlas())
    with pytest.raises(DataError, match="no references"):
        localize_sequence(names, rows, ReferenceIndex((), np.zeros((0, D), np.float32)))
    with pytest.raises(DataError, match="too much at once"):
        list(follow(rows, atlas().descriptors, Positions("local", np.arange(128.0).reshape(64, 2)), most_references=10))
    with pytest.raises(DataError, match="1 positions for 64"):
        list(follow(rows, atlas().descriptors, Positions("local", np.zeros((1, 2)))))


def test_mean_positions() -> None:
    places = Positions("EPSG:32632", np.array([[0.0, 10], [10, 20], [np.nan, np.nan]]))
    mean = mean_position(places, np.array([0.25, 0.25, 0.5]))
    assert (mean.x, mean.y, mean.crs) == (5, 15, "EPSG:32632")
    assert mean_position(places, np.array([0.0, 0, 1])) is None
