"""Names of frozen models: each is a model that timm has, with the layers, tokens and sizes that it is said to have."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch

from cvgl import backbones
from cvgl.backbones.presets import close_names
from cvgl.backbones.transformer import default_layer, is_plain
from cvgl.config import (
    PRESETS,
    BackboneConfig,
    Device,
    ExtractConfig,
    Facet,
    Pooling,
    PositionResampling,
    Precision,
    Preprocess,
    RunConfig,
)
from cvgl.errors import ModelError
from tests.backbones import models  # noqa: F401  # registers models of our own, which no preset may be named like
from tests.data.images import place_image

PAPER = "dinov2-g-value31-gem"


@cache
def built(model: str) -> Any:
    """A timm model without memory for its weights."""
    with torch.device("meta"):
        return timm.create_model(model, pretrained=False, num_classes=0)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_what_timm_has(name: str) -> None:
    preset = PRESETS[name]
    assert preset.model in timm.list_pretrained(), "weights are published under this name"
    assert not timm.is_model(name), "a model of timm's would be hidden by it"
    model = built(preset.model)
    depth = len(model.blocks) if is_plain(model) else len(model.feature_info)
    assert all(0 <= layer < depth for layer in preset.layers)
    if preset.pooling is Pooling.MEAN:
        assert preset.layers == (depth - 1,)
        assert not is_plain(model)
        return
    assert is_plain(model)
    assert model.cls_token is not None
    assert preset.layers == (depth - 1 if preset.pooling is Pooling.CLS else default_layer(depth),)
    if preset.position_resampling is not PositionResampling.BICUBIC:
        assert model.pos_embed is not None
    if preset.preprocessing is Preprocess.RELEASED:
        assert 252 % model.patch_embed.patch_size[0] == 0


def test_every_family_and_size_that_is_asked_for_has_a_preset() -> None:
    dinov2 = {f"dinov2-{size}{registers}" for size in "sblg" for registers in ("", "-reg")}
    dino = {"dino-s16", "dino-s8", "dino-b16", "dino-b8"}
    clip = {"clip-b32", "clip-b16", "clip-l14"}
    others = {"resnet50-imagenet", "vit-b16", "convnext-b", "dinov3-s", "dinov3-b", "dinov3-l", "dinov3-h-plus", "dinov3-7b"}
    assert dinov2 | dino | clip | others | {PAPER} <= set(PRESETS)
    registers = {name: built(PRESETS[name].model).num_prefix_tokens for name in dinov2}
    assert all(count == (5 if name.endswith("-reg") else 1) for name, count in registers.items())
    pretrained = {name.partition(".")[0] for name in timm.list_pretrained() if ".lvd1689m" in name or ".sat493m" in name}
    assert {name for name in pretrained if not name.endswith("_qkvb")} <= {
        preset.model.partition(".")[0] for preset in PRESETS.values()
    }


def test_the_papers_preset_is_the_papers() -> None:
    config = BackboneConfig(name=PAPER)
    assert config.name == "vit_giant_patch14_dinov2.lvd142m"
    assert (config.layers, config.facet, config.pooling, config.gem_p) == ((31,), Facet.VALUE, Pooling.GEM, 3.0)
    assert config.preprocessing is Preprocess.RELEASED
    assert config.position_resampling is PositionResampling.RELEASED
    assert len(built(config.name).blocks) == 40


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"layer": 20}, {"layers": (20,)}),
        ({"layer": None}, {"layers": (31,)}),
        ({"layers": (30, 31)}, {"layers": (30, 31)}),
        ({"layers": None}, {"layers": (31,)}),
        ({"facet": "key", "pooling": "max"}, {"facet": Facet.KEY, "pooling": Pooling.MAX}),
        ({"gem_p": 5.0, "image_size": 518}, {"gem_p": 5.0, "image_size": 518}),
        ({"preprocessing": "whole"}, {"preprocessing": Preprocess.WHOLE}),
        ({"position_resampling": "timm"}, {"position_resampling": PositionResampling.BICUBIC}),
        ({"checkpoint": "w.pth", "rings": 2}, {"checkpoint": "w.pth", "rings": 2}),
    ],
)
def test_a_preset_fills_the_fields_that_are_not_given(arguments: dict[str, Any], expected: dict[str, Any]) -> None:
    plain = BackboneConfig(name=PAPER)
    config = BackboneConfig(name=PAPER, **arguments)
    assert {name: getattr(config, name) for name in expected} == expected
    untouched = set(BackboneConfig.model_fields) - set(expected)
    assert all(getattr(config, name) == getattr(plain, name) for name in untouched)


def test_a_record_holds_the_settings_and_not_the_name() -> None:
    config = ExtractConfig(backbone=BackboneConfig(name="clip-b32", pooling="max"))
    again = ExtractConfig.model_validate_json(config.model_dump_json())
    assert again == config
    assert "clip-b32" not in config.model_dump_json()
    text = '{"ingest": {"dataset": "a", "source": "b"}, "extract": {"backbone": {"name": "clip-b32", "pooling": "max"}}}'
    assert RunConfig.model_validate_json(text).extract == config


def test_other_names_stay_as_they_are() -> None:
    assert BackboneConfig(name="resnet50").model_fields_set == {"name"}
    assert BackboneConfig().name == "gist"


@pytest.mark.parametrize(
    ("wrong", "preset"),
    [
        ("dinov2-g-value31-gen", PAPER),
        ("dinov2_g", "dinov2-g"),
        ("clip", "clip-b16"),
        ("DINO-B8x", "dino-b8"),
        ("sample4geo2", "sample4geo"),
    ],
)
def test_a_wrong_name_is_answered_with_close_presets(wrong: str, preset: str) -> None:
    with pytest.raises(ModelError, match=f"called '{wrong}'") as caught:
        backbones.load(BackboneConfig(name=wrong), Device.CPU, Precision.FLOAT32)
    assert preset in caught.value.fix
    assert "cvgl backbones" in caught.value.fix


def test_close_names_hold_presets_and_models_of_timm() -> None:
    close = close_names("vit_base_patch14_dinov2x", timm.list_models())
    assert "vit_base_patch14_dinov2" in close
    assert {"dinov2-g", "vit_giant_patch14_dinov2"} <= {
        *close_names("dinov2-gg", []),
        *close_names("vit_giant_patch14_dinov", timm.list_models()),
    }
    assert close_names("zzzzzz", timm.list_models()) == []


def test_unknown_weights_are_answered_with_known_ones() -> None:
    with pytest.raises(ModelError, match="'nonsense'") as caught:
        backbones.load(BackboneConfig(name="resnet50.nonsense"), Device.CPU)
    assert "tv_in1k" in caught.value.fix


def test_a_preset_with_local_weights_is_the_same_model(shared: Path) -> None:
    weights = str(shared / "weights" / "vit_tiny_patch16_224.safetensors")
    preset = backbones.load(BackboneConfig(name="vit-ti16", checkpoint=weights), Device.CPU)
    named = backbones.load(BackboneConfig(name="vit_tiny_patch16_224", checkpoint=weights), Device.CPU)
    images = np.stack([named.prepare(place_image(place)) for place in range(2)])
    assert np.array_equal(preset.embed(images), named.embed(images))
    assert {**preset.identity, "backbone": ""} == {**named.identity, "backbone": ""}
    token = backbones.load(BackboneConfig(name="vit-ti16-cls", checkpoint=weights), Device.CPU)
    model = timm.create_model("vit_tiny_patch16_224", checkpoint_path=weights).eval()  # whole, with its classifier
    with torch.inference_mode():
        pooled = model.forward_head(model.forward_features(torch.from_numpy(images)), pre_logits=True)
        expected = torch.nn.functional.normalize(pooled, dim=1).numpy()
    assert token.embed(images) == pytest.approx(expected, abs=1e-5)
