"""The feature store: order, completeness, damage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from cvgl import schemas
from cvgl.errors import LakeError
from cvgl.features import FeatureStore

RNG = np.random.default_rng(0)


def unit_rows(count: int, dimension: int = 6, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return FeatureStore(tmp_path / "model=x" / "dataset=y")


def test_rows_come_back_in_the_order_asked_for_across_parts(store: FeatureStore) -> None:
    rows = unit_rows(7)
    ids = [f"id{k}" for k in range(7)]
    store.add(ids[:4], rows[:4], {})
    store.add(ids[4:], rows[4:], {})
    order = [6, 0, 5, 5, 3, 1]
    assert np.array_equal(store.read([ids[k] for k in order]), rows[order])
    assert store.ids() == ids
    assert store.dimension() == 6


def test_missing_images_are_listed(store: FeatureStore) -> None:
    store.add(["a"], unit_rows(1), {})
    with pytest.raises(LakeError, match="absent, lost"):
        store.read(["a", "absent", "lost"])


def test_an_empty_store_is_no_error_until_something_is_asked_for(store: FeatureStore) -> None:
    assert store.ids() == []
    assert store.read([]).shape == (0, 0)
    with pytest.raises(LakeError):
        store.read(["a"])


def test_half_precision_comes_back_as_float32_unit_rows(store: FeatureStore) -> None:
    rows = unit_rows(5)
    path = store.add(list("abcde"), rows, {}, half=True)
    assert pq.read_schema(path).field("descriptor").type == schemas.features(6, half=True).field("descriptor").type
    read = store.read(list("abcde"))
    assert read.dtype == np.float32
    assert read == pytest.approx(rows, abs=1e-3)
    assert np.linalg.norm(read, axis=1) == pytest.approx(np.ones(5), abs=1e-6)


def test_parts_carry_their_schema_and_metadata(store: FeatureStore) -> None:
    path = store.add(["a", "b"], unit_rows(2), {"backbone": "fake", "image_size": "8x8"})
    assert pq.read_schema(path).remove_metadata().equals(schemas.features(6))
    assert store.metadata() == {"backbone": "fake", "image_size": "8x8"}


def test_a_name_is_a_hash_of_the_content_and_writing_twice_is_harmless(store: FeatureStore) -> None:
    rows = unit_rows(2)
    first = store.add(["a", "b"], rows, {"backbone": "fake"})
    before = first.read_bytes()
    assert store.add(["a", "b"], rows, {"backbone": "fake"}) == first
    assert first.read_bytes() == before
    assert store.add(["a", "c"], rows, {}) != first
    assert store.add(["a", "b"], rows[::-1], {}) != first
    assert len(store.parts()) == 3


def test_an_image_in_two_parts_is_one_image(store: FeatureStore) -> None:
    rows = unit_rows(3)
    store.add(["a", "b"], rows[:2], {})
    store.add(["b", "c"], rows[1:], {})
    assert store.ids() == ["a", "b", "c"]
    assert np.array_equal(store.read(["c", "b", "a"]), rows[::-1])


def test_damage_is_found_wherever_it_is(store: FeatureStore) -> None:
    """A part is good only when its content hashes to its name: flipped bits in the descriptors are found too."""
    whole = store.add(["whole"], unit_rows(1), {})
    truncated = store.add(["t"], unit_rows(1, seed=1), {})
    truncated.write_bytes(truncated.read_bytes()[:-30])
    empty = store.add(["e"], unit_rows(1, seed=2), {})
    empty.write_bytes(b"")
    flipped = store.add([f"f{k}" for k in range(50)], unit_rows(50, seed=3), {})
    data = bytearray(flipped.read_bytes())
    middle = data.index(unit_rows(50, seed=3)[20].tobytes())
    data[middle] ^= 0xFF
    flipped.write_bytes(data)
    with pytest.raises(LakeError, match="damaged"):
        store.ids()
    assert set(store.remove_damaged()) == {truncated, empty, flipped}
    assert store.parts() == [whole]
    assert store.remove_damaged() == []


def test_what_a_killed_writer_left_is_not_a_part(store: FeatureStore) -> None:
    path = store.add(["a"], unit_rows(1), {})
    (store.folder / ".tmp-abc.parquet").write_bytes(path.read_bytes()[:50])
    assert store.ids() == ["a"]
