"""Weights from files that are right, wrapped, damaged, foreign or hostile."""

from __future__ import annotations

import pickle
import random
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from cvgl.backbones.checkpoint import read_checkpoint, restore_names, sha256_tensors
from cvgl.errors import ModelError

WEIGHTS = {"layer.weight": torch.arange(6.0).reshape(2, 3), "layer.bias": torch.zeros(2)}


def assert_read(path: Path) -> None:
    read = read_checkpoint(path)
    assert set(read) == set(WEIGHTS)
    assert all(torch.equal(read[name], tensor) for name, tensor in WEIGHTS.items())


def test_safetensors_are_read(tmp_path: Path) -> None:
    save_file(WEIGHTS, tmp_path / "w.safetensors")
    assert_read(tmp_path / "w.safetensors")


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model", "model_ema"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.module.", "module._orig_mod."])
def test_torch_files_are_unwrapped(tmp_path: Path, wrapper: str | None, prefix: str) -> None:
    tensors = {prefix + name: tensor for name, tensor in WEIGHTS.items()}
    torch.save({wrapper: tensors, "epoch": 3} if wrapper else tensors, tmp_path / "w.pt")
    assert_read(tmp_path / "w.pt")


def test_a_prefix_that_only_some_names_have_stays(tmp_path: Path) -> None:
    torch.save({"module.a": torch.zeros(1), "b": torch.zeros(1)}, tmp_path / "w.pt")
    assert set(read_checkpoint(tmp_path / "w.pt")) == {"module.a", "b"}


class RunsCode:
    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("ran"),))


def test_code_in_a_checkpoint_is_refused_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": WEIGHTS, "hook": RunsCode()}, tmp_path / "w.pt")
    (tmp_path / "plain.pkl").write_bytes(pickle.dumps(RunsCode()))
    for name in ("w.pt", "plain.pkl"):
        with pytest.raises(ModelError, match="more than weights"):
            read_checkpoint(tmp_path / name)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt"])
@pytest.mark.parametrize("damage", [b"", b"not weights at all", None])
def test_damaged_files_are_refused(tmp_path: Path, name: str, damage: bytes | None) -> None:
    path = tmp_path / name
    if name.endswith("safetensors"):
        save_file(WEIGHTS, path)
    else:
        torch.save(WEIGHTS, path)
    path.write_bytes(path.read_bytes()[:-40] if damage is None else damage)
    with pytest.raises(ModelError) as caught:
        read_checkpoint(path)
    assert str(path) in str(caught.value)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol:UserWarning")
def test_no_wrong_byte_ends_in_another_error(tmp_path: Path) -> None:
    path, whole, choose = tmp_path / "w.pt", pickle.dumps({"a": [1, 2, {"b": 3}], "c": "x" * 20}, protocol=2), random.Random(0)
    for _ in range(400):
        damaged = bytearray(whole)
        for _ in range(choose.randrange(1, 4)):
            damaged[choose.randrange(len(damaged))] = choose.randrange(256)
        path.write_bytes(damaged)
        with pytest.raises(ModelError):
            read_checkpoint(path)


def test_a_missing_file_and_a_file_of_something_else_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no checkpoint"):
        read_checkpoint(tmp_path / "none.pt")
    torch.save({"epoch": 3}, tmp_path / "w.pt")
    with pytest.raises(ModelError, match="mapping"):
        read_checkpoint(tmp_path / "w.pt")


def test_names_that_features_only_flattened_are_restored() -> None:
    names = ["layers.0.blocks.1.weight", "patch_embed.proj.weight", "norm.weight"]
    tensors = {"layers_0.blocks.1.weight": torch.zeros(1), "model.norm.weight": torch.zeros(1), "other": torch.zeros(1)}
    assert set(restore_names(tensors, names)) == {"layers.0.blocks.1.weight", "norm.weight", "other"}


def test_the_hash_of_tensors_ignores_their_order_alone() -> None:
    base = sha256_tensors(WEIGHTS)
    assert sha256_tensors(dict(reversed(WEIGHTS.items()))) == base
    changed = [
        {"layer.weight2": WEIGHTS["layer.weight"], "layer.bias": WEIGHTS["layer.bias"]},
        {**WEIGHTS, "layer.weight": WEIGHTS["layer.weight"].reshape(3, 2)},
        {**WEIGHTS, "layer.bias": WEIGHTS["layer.bias"].half()},
        {**WEIGHTS, "layer.bias": WEIGHTS["layer.bias"] + 1},
    ]
    assert base not in {sha256_tensors(tensors) for tensors in changed}
