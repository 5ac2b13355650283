"""Learned positions at another input size: from which size they are taken, how they are resampled, what is recorded."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from timm.layers import resample_abs_pos_embed

from cvgl import backbones
from cvgl.backbones.positions import resample
from cvgl.backbones.timm_embedder import TimmEmbedder
from cvgl.config import BackboneConfig, Device, PositionResampling
from cvgl.errors import ConfigError
from tests.backbones import models
from tests.data.images import place_image

WAYS = list(PositionResampling)


def load(path: Path | None, name: str = "vit_of_tests", **settings: Any) -> TimmEmbedder:
    config = BackboneConfig(name=name, checkpoint=None if path is None else str(path), **settings)
    loaded = backbones.load(config, Device.CPU)
    assert isinstance(loaded, TimmEmbedder)
    return loaded


def positions(embedder: TimmEmbedder) -> torch.Tensor:
    learned = embedder.network.model.pos_embed
    assert isinstance(learned, torch.Tensor)
    return learned.detach()


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "vit.pt"
    torch.save(models.random_weights("vit_of_tests"), path)
    return path


def released(learned: torch.Tensor, side: int) -> torch.Tensor:
    """As DINO's and DINOv2's releases do it, place by place: bicubic with a = -0.75 at (i + 0.5) / scale - 0.5."""
    old = learned.shape[-1]
    scale = (side + 0.1) / old
    rows = torch.zeros(side, old, dtype=torch.float64)
    for place in range(side):
        centre = (place + 0.5) / scale - 0.5
        first = math.floor(centre)
        for near in range(first - 1, first + 3):
            distance = abs(centre - near)
            cubic = (1.25 * distance - 2.25) * distance**2 + 1
            if distance > 1:
                cubic = ((-0.75 * distance + 3.75) * distance - 6) * distance + 3
            rows[place, min(max(near, 0), old - 1)] += cubic
    return torch.einsum("ay,bx,ncyx->ncab", rows, rows, learned.double())


@pytest.mark.parametrize(("old", "side"), [(37, 18), (37, 16), (14, 16), (14, 28), (28, 27)])
def test_the_released_way_scales_by_a_tenth_more_than_the_places(old: int, side: int) -> None:
    learned = torch.randn(1, 5, old, old, generator=torch.Generator().manual_seed(0))
    ours = resample(learned, (side, side), PositionResampling.RELEASED)
    assert ours.shape == (1, 5, side, side)
    assert torch.allclose(ours.double(), released(learned, side), atol=1e-4)
    exact = resample(learned, (side, side), PositionResampling.BICUBIC)
    assert not torch.allclose(ours, exact, atol=1e-3)


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize(("name", "prefix"), [("vit_of_tests", 1), ("vit_with_registers_of_tests", 0)])
@pytest.mark.parametrize("size", [16, 48])
def test_timms_ways_are_timms_function(tmp_path: Path, name: str, prefix: int, size: int, antialias: bool) -> None:
    state = models.random_weights(name)
    torch.save(state, tmp_path / "w.pt")
    ours = load(tmp_path / "w.pt", name, image_size=size, position_resampling=WAYS[antialias])
    side = size // 8
    expected = resample_abs_pos_embed(state["pos_embed"], [side, side], num_prefix_tokens=prefix, antialias=antialias)
    assert torch.allclose(positions(ours), expected, atol=1e-6)


def test_positions_that_fit_are_left_alone_and_not_mentioned(weights: Path) -> None:
    learned = models.random_weights("vit_of_tests")["pos_embed"]
    at_home = [load(weights, image_size=32, position_resampling=way) for way in WAYS]
    assert all(torch.equal(positions(embedder), learned) for embedder in at_home)
    assert all(embedder.identity == at_home[0].identity for embedder in at_home)
    assert "position_resampling" not in at_home[0].identity
    elsewhere = [load(weights, image_size=48, position_resampling=way).identity for way in WAYS]
    assert [embedder["position_resampling"] for embedder in elsewhere] == ["timm", "timm-antialiased", "released"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("target", [None, 32, 48])
def test_a_checkpoint_of_another_size_is_resampled_once(tmp_path: Path, way: PositionResampling, target: int | None) -> None:
    state = models.random_weights("vit_of_tests", img_size=72)  # the model is built at 32, and takes 224 by itself
    torch.save(state, tmp_path / "w.pt")
    ours = load(tmp_path / "w.pt", image_size=target, position_resampling=way)
    side = (target or 224) // 8
    assert ours.prepare(place_image(0)).shape == (3, side * 8, side * 8)
    grid = state["pos_embed"][:, 1:].reshape(1, 9, 9, 24).permute(0, 3, 1, 2)
    expected = resample(grid, (side, side), way).flatten(2).transpose(1, 2)
    assert torch.equal(positions(ours)[:, :1], state["pos_embed"][:, :1]), "the class token keeps its own"
    assert torch.allclose(positions(ours)[:, 1:], expected, atol=1e-6)
    assert ours.identity["position_resampling"] == way.stored


def test_positions_in_half_precision_are_resampled_in_full(tmp_path: Path) -> None:
    halves = {key: tensor.half() for key, tensor in models.random_weights("vit_of_tests").items()}
    torch.save(halves, tmp_path / "half.pt")
    torch.save({key: tensor.float() for key, tensor in halves.items()}, tmp_path / "full.pt")
    ours, full = (load(tmp_path / f"{name}.pt", image_size=48) for name in ("half", "full"))
    assert torch.equal(positions(ours), positions(full))


def test_weights_of_the_hub_are_resampled_alike(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the hub gives has the size that the model was trained at."""
    real = timm.create_model

    def of_the_hub(name: str, pretrained: bool = False, **arguments: Any) -> Any:
        model = real(name, **arguments)
        if pretrained:
            assert "img_size" not in arguments, "timm would resample in its own way"
            model.load_state_dict(torch.load(weights, weights_only=True))
        return model

    monkeypatch.setattr(timm, "create_model", of_the_hub)
    hub, local = (load(path, image_size=48, position_resampling="released") for path in (None, weights))
    images = np.stack([hub.prepare(place_image(0))])
    assert np.array_equal(hub.embed(images), local.embed(images))
    sizes = {load(None, image_size=size).weights_sha256 for size in (32, 48)}
    assert len(sizes) == 1, "the same weights"


@pytest.mark.parametrize("way", WAYS[1:])
def test_models_without_learned_positions_refuse_a_way_to_resample_them(tmp_path: Path, way: PositionResampling) -> None:
    for name in ("dinov3_of_tests", "resnet10t"):
        torch.save(models.random_weights(name), tmp_path / "w.pt")
        assert np.isfinite(load(tmp_path / "w.pt", name, image_size=64).embed(np.zeros((1, 3, 64, 64), np.float32))).all()
        with pytest.raises(ConfigError, match="learned positions"):
            load(tmp_path / "w.pt", name, image_size=64, position_resampling=way)


@pytest.mark.parametrize("size", [32, 48])
@pytest.mark.parametrize("name", ["eva02_of_tests", "beit_of_tests", "vit_with_registers_of_tests"])
@pytest.mark.parametrize("trained_at", [32, 64])
def test_other_kinds_of_positions_follow_as_timm_has_it(tmp_path: Path, name: str, size: int, trained_at: int) -> None:
    """Against timm's own loading of the same weights at that size, token by token."""
    state = models.random_weights(name, img_size=trained_at)
    torch.save(state, tmp_path / "w.pt")
    way = {} if name == "beit_of_tests" else {"position_resampling": "timm-antialiased"}
    ours = load(tmp_path / "w.pt", name, image_size=size, layers=(-1,), facet="token", pooling="cls", **way)
    model = timm.create_model(name, num_classes=0, img_size=size).eval()
    convert = sys.modules[type(model).__module__].checkpoint_filter_fn
    model.load_state_dict(convert(state, model))
    images = torch.from_numpy(np.stack([ours.prepare(place_image(place)) for place in range(2)]))
    with torch.inference_mode():
        tokens = model.forward_intermediates(images, indices=[4], return_prefix_tokens=True, intermediates_only=True)[0][1]
    expected = torch.nn.functional.normalize(tokens[:, 0], dim=1).numpy()
    assert ours.embed(images.numpy()) == pytest.approx(expected, abs=1e-5)


def test_the_stored_name_of_a_resampling_is_read_and_written() -> None:
    old, new = (BackboneConfig(name="vit_of_tests", position_resampling=word) for word in ("timm", "bicubic"))
    assert old == new
    assert old.position_resampling is PositionResampling.BICUBIC
    for mode in ("json", "python"):
        assert new.model_dump(mode=mode)["position_resampling"] == "timm", "records and fingerprints stay what they are"
    assert [str(way) for way in PositionResampling] == ["bicubic", "timm-antialiased", "released"]


@pytest.mark.parametrize("size", [16, 48])
def test_what_is_called_timms_is_what_timm_does_unasked(tmp_path: Path, size: int) -> None:
    state = models.random_weights("vit_of_tests")
    torch.save(state, tmp_path / "w.pt")
    side = size // 8
    expected = resample_abs_pos_embed(state["pos_embed"], [side, side], num_prefix_tokens=1)
    assert torch.allclose(positions(load(tmp_path / "w.pt", image_size=size, position_resampling="timm-antialiased")), expected)
    assert not torch.allclose(positions(load(tmp_path / "w.pt", image_size=size)), expected, atol=1e-4)
