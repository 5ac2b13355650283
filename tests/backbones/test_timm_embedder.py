"""timm models as f0: which activations are pooled, which weights fit, what the errors say."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file

from cvgl import backbones
from cvgl.backbones import timm_embedder
from cvgl.backbones.pooling import pool
from cvgl.backbones.transformer import FacetPooling, default_layer
from cvgl.config import BackboneConfig, Device, Facet, Pooling, Precision
from cvgl.errors import ConfigError, ModelError
from cvgl.types import Embedder
from tests.backbones import models
from tests.data.images import place_image


def load(name: str, weights: Path | None = None, **settings: Any) -> Embedder:
    settings["checkpoint"] = str(weights) if weights else None
    return backbones.load(BackboneConfig(name=name, **settings), Device.CPU)


@pytest.fixture(scope="module")
def vit_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "vit.safetensors"
    save_file(models.random_weights("vit_of_tests"), path)
    return path


@pytest.fixture(scope="module")
def resnet_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "resnet.pt"
    torch.save({"state_dict": {f"module.{k}": v for k, v in models.random_weights("resnet10t").items()}}, path)
    return path


def batch(embedder: Embedder, count: int = 3) -> np.ndarray:
    return np.stack([embedder.prepare(place_image(place)) for place in range(count)])


def unit(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


# ---- plain transformers ----------------------------------------------------------------------------------------------


def hooked(weights: Path, layer: int, images: np.ndarray) -> dict[str, torch.Tensor]:
    """Facets of a block as a hook in the whole, unchanged model sees them: (B, N, C), class token first."""
    model = timm.create_model("vit_of_tests", num_classes=0).eval()
    model.load_state_dict(timm.models.load_state_dict(str(weights)))
    captured: dict[str, torch.Tensor] = {}
    model.blocks[layer].attn.qkv.register_forward_hook(lambda _m, _i, out: captured.update(qkv=out))
    model.blocks[layer].register_forward_hook(lambda _m, _i, out: captured.update(token=out))
    with torch.inference_mode():
        model(torch.from_numpy(images))
    captured.update(zip(("query", "key", "value"), captured.pop("qkv").chunk(3, dim=-1), strict=True))
    return captured


@pytest.mark.parametrize("layer", [0, 4])
@pytest.mark.parametrize("facet", ["token", "query", "key", "value"])
def test_facets_are_what_a_hook_in_the_whole_model_sees(vit_weights: Path, layer: int, facet: str) -> None:
    for pooling in ("gem", "mean", "max", "cls"):
        embedder = load("vit_of_tests", vit_weights, layers=(layer,), facet=facet, pooling=pooling, image_size=32)
        images = batch(embedder)
        rows = hooked(vit_weights, layer, images)[facet]
        places = F.normalize(rows[:, 1:], dim=-1).numpy()
        expected = {
            "gem": (places.clip(1e-6) ** 3).mean(1) ** (1 / 3),
            "mean": places.mean(1),
            "max": places.max(1),
            "cls": rows[:, 0].numpy(),
        }[pooling]
        assert embedder.embed(images) == pytest.approx(unit(expected), abs=1e-5)


def test_the_default_is_the_papers_facet_pooling_and_depth(vit_weights: Path) -> None:
    identity = load("vit_of_tests", vit_weights, image_size=32).identity
    assert {key: identity[key] for key in ("facet", "pooling", "gem_p", "layer")} == {
        "facet": "value",
        "pooling": "gem",
        "gem_p": 3.0,
        "layer": 3,
    }
    assert [default_layer(depth) for depth in (40, 24, 12, 4, 1)] == [31, 18, 8, 2, 0]


def test_nothing_behind_the_wanted_projection_is_kept(vit_weights: Path) -> None:
    embedder = load("vit_of_tests", vit_weights, layer=1, image_size=32)
    assert isinstance(embedder, timm_embedder.TimmEmbedder)
    names = set(embedder.network.state_dict())
    assert not any("blocks.2" in key or "blocks.1.attn" in key or "blocks.1.mlp" in key for key in names)


def test_a_negative_layer_counts_from_the_end(vit_weights: Path) -> None:
    last = load("vit_of_tests", vit_weights, layer=-1, image_size=32)
    assert last.identity["layer"] == 4
    for layer in (5, -6):
        with pytest.raises(ConfigError, match="blocks 0 to 4"):
            load("vit_of_tests", vit_weights, layer=layer, image_size=32)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("facet", [Facet.QUERY, Facet.KEY, Facet.VALUE])
def test_eva_s_projections_with_separate_biases_and_rotary_positions(fused: bool, facet: Facet) -> None:
    whole = models.eva(fused)
    for attention in (block.attn for block in whole.blocks):
        for name in ("q_bias", "v_bias"):
            if fused:
                torch.nn.init.normal_(getattr(attention, name))
    images = torch.randn(2, 3, 32, 32)
    captured: list[torch.Tensor] = []
    attention = whole.blocks[1].attn
    attention.register_forward_pre_hook(lambda _m, args: captured.append(args[0]))
    with torch.inference_mode():
        whole(images)
        if fused:
            bias = torch.cat([attention.q_bias, torch.zeros_like(attention.q_bias), attention.v_bias])
            parts = F.linear(captured[0], attention.qkv.weight, bias).chunk(3, dim=-1)
        else:
            parts = tuple(getattr(attention, f"{letter}_proj")(captured[0]) for letter in "qkv")
        expected = parts[["query", "key", "value"].index(facet)][:, whole.num_prefix_tokens :]
        expected = F.normalize(expected, dim=-1).mean(1)
        cut = FacetPooling(whole, (1,), facet, Pooling.MEAN, 3.0)
        assert torch.allclose(cut(images), expected, atol=1e-6)


def test_another_image_size_resamples_the_positions(vit_weights: Path) -> None:
    embedder = load("vit_of_tests", vit_weights, image_size=48)
    assert embedder.prepare(place_image(0)).shape == (3, 48, 48)
    assert np.isfinite(embedder.embed(batch(embedder))).all()
    with pytest.raises(ConfigError, match="patches of 8"):
        load("vit_of_tests", vit_weights, image_size=50)


# ---- convolutional and hierarchical models ---------------------------------------------------------------------------


@pytest.mark.parametrize("layer", [None, 2])
def test_a_stage_of_a_convolutional_model_is_its_mean(resnet_weights: Path, layer: int | None) -> None:
    embedder = load("resnet10t", resnet_weights, layer=layer, image_size=64)
    images = batch(embedder)
    model = timm.create_model("resnet10t", features_only=True, out_indices=(4 if layer is None else layer,)).eval()
    state = timm.models.load_state_dict(str(resnet_weights))
    model.load_state_dict({k: v for k, v in state.items() if k in model.state_dict()})
    with torch.inference_mode():
        expected = model(torch.from_numpy(images))[0].mean((2, 3)).numpy()
    assert embedder.embed(images) == pytest.approx(unit(expected), abs=1e-5)
    assert embedder.identity["layer"] == (4 if layer is None else layer)


def test_the_default_stage_is_the_deepest_that_the_checkpoint_holds(tmp_path: Path, resnet_weights: Path) -> None:
    state = timm.models.load_state_dict(str(resnet_weights))
    torch.save({k: v for k, v in state.items() if not k.startswith(("layer3", "layer4"))}, tmp_path / "cut.pt")
    embedder = load("resnet10t", tmp_path / "cut.pt", image_size=64)
    assert embedder.identity["layer"] == 2
    with pytest.raises(ModelError, match=r"missing \(layer3\.0"):
        load("resnet10t", tmp_path / "cut.pt", layer=4, image_size=64)


def test_a_stage_that_is_there_in_part_is_damage_and_no_earlier_cut(tmp_path: Path, resnet_weights: Path) -> None:
    state = timm.models.load_state_dict(str(resnet_weights))
    del state["layer4.0.conv1.weight"]
    torch.save(state, tmp_path / "holed.pt")
    with pytest.raises(ModelError, match=r"layer4\.0\.conv1\.weight"):
        load("resnet10t", tmp_path / "holed.pt", image_size=64)


@pytest.mark.parametrize(("setting", "value"), [("facet", "value"), ("facet", "key"), ("pooling", "cls"), ("layer", 5)])
def test_what_only_plain_transformers_have_is_refused_elsewhere(resnet_weights: Path, setting: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"backbone.{setting}"):
        load("resnet10t", resnet_weights, image_size=64, **{setting: value})


# ---- weights, names, identity ----------------------------------------------------------------------------------------


def test_weights_of_another_model_are_refused_with_both_lists(vit_weights: Path, resnet_weights: Path) -> None:
    for name, path in (("vit_of_tests", resnet_weights), ("resnet10t", vit_weights)):
        with pytest.raises(ModelError) as caught:
            load(name, path, image_size=32)
        assert "missing" in caught.value.what
        assert "unexpected" in caught.value.what


def test_weights_of_another_width_are_refused(tmp_path: Path, vit_weights: Path) -> None:
    state = timm.models.load_state_dict(str(vit_weights))
    state["blocks.0.norm1.weight"] = torch.zeros(25)
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(ModelError, match="other shape"):
        load("vit_of_tests", tmp_path / "w.safetensors", image_size=32)


def test_a_classifier_in_the_checkpoint_does_no_harm(tmp_path: Path, vit_weights: Path) -> None:
    state = {**timm.models.load_state_dict(str(vit_weights)), "head.weight": torch.zeros(7, 24), "head.bias": torch.zeros(7)}
    save_file(state, tmp_path / "w.safetensors")
    with_head, without = (load("vit_of_tests", path, image_size=32) for path in (tmp_path / "w.safetensors", vit_weights))
    assert np.array_equal(with_head.embed(batch(without)), without.embed(batch(without)))


def test_an_unknown_name_is_answered_with_close_ones() -> None:
    with pytest.raises(ModelError, match="vit_tiny_patch16_224"):
        load("vit_tinny_patch16_224")


def test_no_network_names_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise ConnectionError("no route to the hub")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(ModelError, match="no route to the hub") as caught:
        load("vit_tiny_patch16_224")
    assert "--checkpoint" in caught.value.fix


@pytest.mark.parametrize("name", ["hf-hub:somebody/model", "local-dir:/nowhere"])
def test_a_model_on_the_hub_needs_more_than_a_checkpoint(name: str, vit_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise ConnectionError("no route to the hub")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(ModelError, match="no route to the hub") as caught:
        load(name, vit_weights)
    assert "timm's own name" in caught.value.fix


def test_torchvision_of_another_build_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def broken(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "timm":
            raise RuntimeError("operator torchvision::nms does not exist")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", broken)
    with pytest.raises(ModelError, match="different builds") as caught:
        timm_embedder.import_timm()
    assert "pip install" in caught.value.fix


def test_identity_covers_every_setting_and_not_where_the_weights_lie(tmp_path: Path, vit_weights: Path) -> None:
    moved = tmp_path / "elsewhere.safetensors"
    moved.write_bytes(vit_weights.read_bytes())
    other = tmp_path / "other.safetensors"
    save_file(models.random_weights("vit_of_tests", seed=1), other)
    base = load("vit_of_tests", vit_weights, image_size=32).identity
    assert load("vit_of_tests", moved, image_size=32).identity == base
    explicit: dict[str, Any] = {"facet": "value", "pooling": "gem", "layer": -2}
    assert load("vit_of_tests", moved, image_size=32, **explicit).identity == base, "resolved settings count"
    changes: list[dict[str, Any]] = [{"layer": 1}, {"facet": "key"}, {"pooling": "max"}, {"gem_p": 4.0}, {"image_size": 40}]
    identities = [load("vit_of_tests", vit_weights, **{"image_size": 32, **change}).identity for change in changes]
    identities.append(load("vit_of_tests", other, image_size=32).identity)
    assert all(identity != base for identity in identities)
    assert "elsewhere" not in str(identities)


def test_bfloat16_is_close_and_has_another_identity(vit_weights: Path) -> None:
    config = BackboneConfig(name="vit_of_tests", checkpoint=str(vit_weights), image_size=32)
    exact, coarse = (backbones.load(config, Device.CPU, precision) for precision in (Precision.FLOAT32, Precision.BFLOAT16))
    a, b = exact.embed(batch(exact)), coarse.embed(batch(exact))
    assert b.dtype == np.float32
    assert not np.array_equal(a, b)
    assert (a * b).sum(1).min() > 0.999
    assert exact.identity != coarse.identity


def test_devices_and_precisions_that_are_not_there_are_refused(vit_weights: Path) -> None:
    config = BackboneConfig(name="vit_of_tests", checkpoint=str(vit_weights), image_size=32)
    with pytest.raises(ConfigError, match="tf32"):
        backbones.load(config, Device.CPU, Precision.TF32)
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="cuda"):
            backbones.load(config, Device.CUDA)


def test_preprocessing_is_the_models_own(vit_weights: Path) -> None:
    embedder = load("vit_of_tests", vit_weights, image_size=32)
    assert embedder.prepare(Image.new("L", (50, 30), 255)) == pytest.approx(np.ones((3, 32, 32)))  # mean = std = 0.5
    assert embedder.prepare(Image.new("RGB", (32, 32))) == pytest.approx(-np.ones((3, 32, 32)))


def test_pooling_over_places_refuses_the_class_token() -> None:
    with pytest.raises(ValueError, match="cls"):
        pool(torch.zeros(1, 2, 3), Pooling.CLS, 3.0)
