"""An adaptation survives saving and reading bit by bit, and every damage to its files is noticed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cvgl import adapt
from cvgl.adaptation import Adaptation, Origin, TrainingRows
from cvgl.config import AdaptConfig, Recipe
from cvgl.errors import DataError, LakeError
from cvgl.types import View
from tests.adaptation.synthetic import CrossView, cross_view

CONFIG = AdaptConfig(recipe="paper-standardised", iterations=2, dimension=16, query_samples=20)


@pytest.fixture(scope="module")
def world() -> CrossView:
    return cross_view(places=20, d0=32)


@pytest.fixture(scope="module")
def adaptation(world: CrossView) -> Adaptation:
    return adapt(world.train_queries, world.train_references, config=CONFIG)


def test_outputs_are_float32_unit_rows_of_the_adapted_dimension(adaptation: Adaptation, world: CrossView) -> None:
    for transform in (adaptation.transform_query, adaptation.transform_reference):
        out = transform(world.test_queries)
        assert out.shape == (20, 16)
        assert out.dtype == np.float32
        assert np.allclose(np.linalg.norm(out, axis=1), 1, atol=1e-5)
    rows, training = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (world.test_queries, world.train_queries))
    standardised = (rows - training.mean(0)) / training.std(0)
    naive = standardised / np.linalg.norm(standardised, axis=1, keepdims=True) @ adaptation.adapter
    assert np.allclose(
        adaptation.transform_query(world.test_queries), naive / np.linalg.norm(naive, axis=1, keepdims=True), atol=1e-5
    )


def test_zero_rows_are_harmless_and_scale_does_not_matter(adaptation: Adaptation, world: CrossView) -> None:
    assert np.isfinite(adaptation.transform_query(np.zeros((2, 32), np.float32))).all()
    literal = adapt(world.train_queries, world.train_references, config=CONFIG.model_copy(update={"recipe": Recipe.PAPER}))
    assert not literal.transform_query(np.zeros((2, 32), np.float32)).any()
    tiny = adaptation.transform_query(world.test_queries * np.float32(1e-20))
    assert np.allclose(tiny, adaptation.transform_query(world.test_queries), atol=1e-5)


def test_other_dimensions_and_nan_are_refused(adaptation: Adaptation) -> None:
    with pytest.raises(DataError, match="16 dimensions"):
        adaptation.transform_query(np.ones((2, 16), np.float32))
    with pytest.raises(DataError, match="NaN"):
        adaptation.transform_reference(np.full((2, 32), np.nan, np.float32))


def test_saved_and_loaded_is_the_same(adaptation: Adaptation, world: CrossView, tmp_path: Path) -> None:
    origin = Origin(run="r", dataset="d", feature_set_id="f", query_view=View.DRONE)
    rows = TrainingRows(n_queries=60, n_references=20, query_ids_digest="a", reference_ids_digest="b")
    adaptation.save(tmp_path / "new" / "folder", origin, rows)
    loaded = Adaptation.load(tmp_path / "new" / "folder")
    assert np.array_equal(loaded.transform_query(world.test_queries), adaptation.transform_query(world.test_queries))
    assert loaded.history == adaptation.history
    assert (loaded.record.run, loaded.record.query_view, loaded.record.training) == ("r", View.DRONE, rows)
    loaded.save(tmp_path / "again")
    for name in ("adapter.safetensors", "adapter.json"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "new" / "folder" / name).read_bytes()
    assert sorted(path.name for path in (tmp_path / "again").iterdir()) == ["adapter.json", "adapter.safetensors"]


def test_a_bias_is_added_to_what_the_adapter_gives_and_survives_saving(world: CrossView, tmp_path: Path) -> None:
    config = AdaptConfig(recipe=Recipe.RELEASED, iterations=3, dimension=16)
    adaptation = adapt(world.train_queries, world.train_references, config=config)
    assert adaptation.bias.any()
    assert adaptation.reverter_bias.any()
    rows = world.test_queries / np.linalg.norm(world.test_queries, axis=1, keepdims=True)
    naive = rows @ adaptation.adapter + adaptation.bias
    expected = naive / np.linalg.norm(naive, axis=1, keepdims=True)
    adaptation.save(tmp_path)
    for transform in (adaptation, Adaptation.load(tmp_path)):
        assert np.allclose(transform.transform_query(world.test_queries), expected, atol=1e-5)
        assert np.allclose(transform.transform_reference(world.test_queries), expected, atol=1e-5)
    assert np.array_equal(Adaptation.load(tmp_path).reverter_bias, adaptation.reverter_bias)


def _edit(folder: Path, **changes: Any) -> None:
    path = folder / "adapter.json"
    record = json.loads(path.read_text())
    del record["seal"]
    path.write_text(json.dumps({**record, **changes}))


def _flip(folder: Path) -> None:
    path = folder / "adapter.safetensors"
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)


def _reseal(folder: Path, tensors: dict[str, Any]) -> None:
    """Other tensors under a record that vouches for them."""
    from safetensors.numpy import save

    from cvgl.hashing import sha256_bytes

    data = save(tensors)
    (folder / "adapter.safetensors").write_bytes(data)
    _edit(folder, tensors_sha256=sha256_bytes(data))


def _pickle(folder: Path) -> None:
    import pickle

    from cvgl.hashing import sha256_bytes

    data = pickle.dumps({"adapter.weight": np.ones((32, 16))})
    (folder / "adapter.safetensors").write_bytes(data)
    _edit(folder, tensors_sha256=sha256_bytes(data))


def _ones(*shape: int) -> NDArray[Any]:
    return np.ones(shape, np.float32)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no record": (lambda f: (f / "adapter.json").unlink(), "missing"),
    "no tensors": (lambda f: (f / "adapter.safetensors").unlink(), "tensors are missing"),
    "truncated tensors": (lambda f: (f / "adapter.safetensors").write_bytes(b"\x01\x02"), "damaged"),
    "one bit": (_flip, "damaged"),
    "record not JSON": (lambda f: (f / "adapter.json").write_text("{"), "not JSON"),
    "record a list": (lambda f: (f / "adapter.json").write_text("[1]"), "not valid"),
    "field unknown": (lambda f: _edit(f, surprise=1), "surprise"),
    "format of the past": (lambda f: _edit(f, format=1), "format"),
    "format of the future": (lambda f: _edit(f, format=3), "format"),
    "another dimension": (lambda f: _edit(f, d=17), r"the record says float32 \(32, 17\)"),
    "setting out of bounds": (lambda f: _edit(f, config={"temperature": -1}), r"config\.temperature"),
    "tensor lacking": (lambda f: _reseal(f, {"adapter.weight": _ones(32, 16)}), "lacks the tensor"),
    "not finite": (
        lambda f: _reseal(f, {"adapter.weight": _ones(32, 16) * np.nan}),
        "NaN or infinite",
    ),
    "a pickle": (_pickle, "cannot be read"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_a_lake_error_with_place_and_remedy(adaptation: Adaptation, tmp_path: Path, damage: str) -> None:
    break_it, message = DAMAGES[damage]
    adaptation.save(tmp_path)
    break_it(tmp_path)
    with pytest.raises(LakeError, match=message) as caught:
        Adaptation.load(tmp_path)
    assert str(tmp_path) in caught.value.where
    assert caught.value.fix
