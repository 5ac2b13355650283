from __future__ import annotations

from pathlib import Path

import pytest

from cvgl.config import BackboneConfig, Facet
from cvgl.errors import ConfigError, DataError
from cvgl.experiments.weights import AUTO, choose_backbones, find_weights, model_name

ANY = BackboneConfig(name=AUTO)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of weights beside `data/pairs`'s parent."""
    (tmp_path / "data" / "pairs").mkdir(parents=True)
    weights = tmp_path / "weights"
    weights.mkdir()
    for name in ("vit_tiny_patch16_224.safetensors", "swin_tiny_stage3.safetensors", "mine.pth", "README.md"):
        (weights / name).write_bytes(b"")
    return weights


@pytest.mark.parametrize(
    ("file", "model"),
    [
        ("vit_tiny_patch16_224.safetensors", "vit_tiny_patch16_224"),
        ("swin_tiny_stage3.safetensors", "swin_tiny_patch4_window7_224"),
        ("swin_tiny.pt", "swin_tiny_patch4_window7_224"),
        ("vit_giant_patch14_dinov2.lvd142m.safetensors", "vit_giant_patch14_dinov2"),
        ("vit_tiny.pth", None),  # several models begin so
        ("weights.pth", None),
        ("_stage3.pth", None),
    ],
)
def test_the_model_is_told_by_the_files_name(file: str, model: str | None) -> None:
    assert model_name(Path(file)) == model


def test_every_file_of_the_nearest_folder_is_found(folder: Path) -> None:
    weights = find_weights(folder.parent / "data" / "pairs")
    assert weights.folder == folder
    assert [backbone.name for backbone in weights.backbones] == ["swin_tiny_patch4_window7_224", "vit_tiny_patch16_224"]
    assert weights.unknown == ("mine.pth",)
    nearer = folder.parent / "data" / "weights"
    nearer.mkdir()
    assert find_weights(folder.parent / "data" / "pairs").folder == nearer


def test_without_a_name_every_model_found_is_meant_with_the_other_settings(folder: Path) -> None:
    choice = choose_backbones(BackboneConfig(name=AUTO, facet=Facet.TOKEN), folder.parent / "data" / "pairs")
    assert [(backbone.name, backbone.facet) for backbone in choice.backbones] == [
        ("swin_tiny_patch4_window7_224", Facet.TOKEN),
        ("vit_tiny_patch16_224", Facet.TOKEN),
    ]
    assert any("mine.pth is left out" in note for note in choice.notes)


def test_a_named_model_takes_its_weights_from_the_folder_when_they_are_there(folder: Path) -> None:
    root = folder.parent / "data" / "pairs"
    weights = choose_backbones(BackboneConfig(name="vit_tiny_patch16_224"), root)
    assert weights.backbones[0].checkpoint == str(folder / "vit_tiny_patch16_224.safetensors")
    other = choose_backbones(BackboneConfig(name="resnet18"), root)
    assert other.backbones == (BackboneConfig(name="resnet18"),)
    assert "hub" in other.notes[0]


def test_without_weights_the_weight_free_model_is_used_and_the_answer_says_so(tmp_path: Path) -> None:
    choice = choose_backbones(ANY, tmp_path / "data" / "pairs")
    assert [backbone.name for backbone in choice.backbones] == ["gist"]
    assert "using 'gist'" in choice.notes[0]
    assert choose_backbones(BackboneConfig(name="gist"), tmp_path).notes == ()


def test_a_checkpoint_without_a_name_must_tell_its_model(tmp_path: Path) -> None:
    config = BackboneConfig(name=AUTO, checkpoint="swin_tiny_stage3.safetensors")
    assert choose_backbones(config, tmp_path).backbones[0].name == "swin_tiny_patch4_window7_224"
    with pytest.raises(ConfigError, match="--backbone"):
        choose_backbones(BackboneConfig(name=AUTO, checkpoint="mine.pth"), tmp_path)


def test_a_given_folder_has_to_exist(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder of weights"):
        choose_backbones(ANY, tmp_path, tmp_path / "missing")
