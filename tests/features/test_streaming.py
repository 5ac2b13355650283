from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from cvgl.errors import DataError, LakeError
from cvgl.features import FeatureReader, FeatureStore, store, streaming

IDS = [f"id{number:03d}" for number in range(90)]


@pytest.fixture
def filled(tmp_path: Path) -> FeatureStore:
    """Three generations of parts, each of which spans all ids."""
    made, rows = FeatureStore(tmp_path), np.random.default_rng(0).standard_normal((90, 6)).astype(np.float32)
    for generation in range(3):
        for start in range(generation, 90, 30):
            chosen = range(start, start + 30, 3)
            made.add([IDS[i] for i in chosen], rows[list(chosen)], {})
    return made


def test_blocks_come_in_the_order_asked_for_as_often_as_asked(filled: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "BLOCK_ROWS", 7)
    order = [IDS[i] for i in np.random.default_rng(1).permutation(90)[:50]]
    stream = FeatureReader(filled).stream(order)
    for _ in range(2):
        blocks = list(stream.blocks())
        assert [len(block) for block in blocks] == [7] * 7 + [1]
        np.testing.assert_array_equal(np.concatenate(blocks), filled.read(order))
    assert (len(stream), stream.dimension) == (50, 6)
    halved = FeatureReader(filled).stream(order, lambda rows: rows[:, :3] / 2)
    assert halved.dimension == 3
    np.testing.assert_array_equal(np.concatenate(list(halved.blocks())), filled.read(order)[:, :3] / 2)


def test_memory_for_parts_is_bounded_and_neighbours_share_them(filled: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: Counter[Path] = Counter()

    def counted(path: Path) -> np.ndarray:
        reads[path] += 1
        return store.read_part(path)

    monkeypatch.setattr(streaming, "read_part", counted)
    monkeypatch.setattr(streaming, "BLOCK_ROWS", 5)
    part = 10 * 6 * 4
    list(FeatureReader(filled, cache_bytes=4 * part).stream(IDS).blocks())
    assert set(reads.values()) == {1}, "a sorted sweep needs the current part of every generation"
    reads.clear()
    reader = FeatureReader(filled, cache_bytes=0)
    list(reader.stream(IDS).blocks())
    assert max(reads.values()) > 1
    assert len(reader._parts) == 1
    np.testing.assert_array_equal(np.concatenate(list(reader.stream(IDS).blocks())), filled.read(IDS))


def test_what_is_missing_or_broken_is_named(filled: FeatureStore) -> None:
    reader = FeatureReader(filled)
    with pytest.raises(LakeError, match="nowhere"):
        reader.stream(["id000", "nowhere"])
    nothing = reader.stream([])
    assert (len(nothing), nothing.dimension, list(nothing.blocks())) == (0, 0, [])
    filled.add(["bad"], np.full((1, 6), np.nan, np.float32), {})
    with pytest.raises(DataError, match="image bad holds NaN"):
        list(FeatureReader(filled).stream(["id001", "bad"]).blocks())
    for part in filled.parts():
        part.unlink()
    with pytest.raises(LakeError, match="missing"):
        list(reader.stream(IDS).blocks())
