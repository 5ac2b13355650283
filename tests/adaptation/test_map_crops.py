"""Several looks of one place: a place is as similar as its best look, and a course is over places."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cvgl import adapt
from cvgl.adaptation import FrameSequences
from cvgl.adaptation.map_cells import map_cells_of
from cvgl.config import AdaptConfig
from cvgl.hashing import digest_lines, sha256_bytes
from tests.adaptation.synthetic_noise import flight

POSITIONS = np.array([[60.0, 0], [0, 0], [60, 0], [0, 60], [60, 0], [0, 0]])
SIMILARITIES = np.array([[1.0, 5, 3, 4, 2, 6], [9, 1, 9, 0, 8, 1]])


def test_references_at_one_position_are_one_cell() -> None:
    places = map_cells_of(POSITIONS)
    np.testing.assert_array_equal(places.centres, [[60, 0], [0, 0], [0, 60]])
    np.testing.assert_array_equal(places.first, [0, 1, 3])
    np.testing.assert_array_equal(places.of_reference, [0, 1, 0, 2, 0, 1])


def test_a_cell_is_as_similar_as_its_best_crop() -> None:
    places = map_cells_of(POSITIONS)
    np.testing.assert_array_equal(places.max_similarity(SIMILARITIES), [[3, 6, 4], [9, 1, 0]])
    np.testing.assert_array_equal(places.best_reference(SIMILARITIES, np.array([0, 0])), [2, 0])  # of equals the first
    np.testing.assert_array_equal(places.best_reference(SIMILARITIES, np.array([1, 2])), [5, 3])
    spread = places.to_references(np.array([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3]]), SIMILARITIES)
    np.testing.assert_array_equal(spread, [[0, 0, 0.5, 0.2, 0, 0.3], [0.1, 0.6, 0, 0.3, 0, 0]])


def test_references_that_are_each_on_their_own_stay_as_they_are() -> None:
    positions = np.random.default_rng(0).normal(size=(7, 2))
    places, rows = map_cells_of(positions), np.random.default_rng(1).normal(size=(3, 7))
    np.testing.assert_array_equal(places.centres, positions)
    np.testing.assert_array_equal(places.max_similarity(rows), rows)
    np.testing.assert_array_equal(places.to_references(rows, rows), rows)


def test_many_crops_of_few_cells_are_usable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cvgl.adaptation.sequences.MAX_MAP_CELLS", 4)
    runs = (np.arange(3),)
    assert FrameSequences(runs, POSITIONS).usable
    assert not FrameSequences(runs, np.arange(12.0).reshape(6, 2)).usable


def test_digests_of_maps_with_shared_positions_differ() -> None:
    def digest(positions: np.ndarray) -> str:
        parts = positions.astype("<f8").tobytes(), np.arange(3).astype("<i8").tobytes()
        return digest_lines([sha256_bytes(part) for part in parts])

    apart = np.arange(12.0).reshape(6, 2)
    assert FrameSequences((np.arange(3),), apart).digest() == digest(apart)
    assert FrameSequences((np.arange(3),), POSITIONS).digest() != digest(POSITIONS)


def test_crops_of_other_content_leave_the_labels_alone() -> None:
    """Each tile once as it is and once with its dimensions turned over, as a turned tile is: frames show the first."""
    world = flight()
    turned = np.roll(world.tiles, 17, axis=1)
    positions = np.concatenate([world.sequences.positions] * 2)
    learned = adapt(
        world.frames,
        np.concatenate([turned, world.tiles]),
        config=AdaptConfig(recipe="robust"),
        sequences=FrameSequences(world.sequences.rows, positions),
    )

    def mapped(rows: NDArray[Any]) -> NDArray[Any]:
        z = rows @ learned.adapter
        return np.asarray(z / np.linalg.norm(z, axis=1, keepdims=True))

    tiles = mapped(learned.statistics.transform_reference(np.concatenate([turned, world.tiles])))
    best = (mapped(learned.statistics.transform_query(world.test_frames)) @ tiles.T).argmax(axis=1)
    assert np.mean(best - len(world.tiles) == world.test_tiles) > 0.85
