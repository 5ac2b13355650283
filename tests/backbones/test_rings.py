"""Several layers and square rings: what they are invariant to, and that one pass serves all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from cvgl import backbones
from cvgl.backbones.pooling import Head, LocalFeatures, ring_of_tokens
from cvgl.backbones.timm_embedder import TimmEmbedder
from cvgl.config import BackboneConfig, Device, Pooling
from cvgl.errors import ConfigError
from tests.backbones import models
from tests.data.images import place_image


def load(name: str, weights: Path, **settings: Any) -> TimmEmbedder:
    embedder = backbones.load(BackboneConfig(name=name, checkpoint=str(weights), **settings), Device.CPU)
    assert isinstance(embedder, TimmEmbedder)
    return embedder


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "vit.safetensors"
    save_file(models.random_weights("vit_of_tests"), path)
    return path


@pytest.fixture(scope="module")
def resnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "resnet.pt"
    torch.save(models.random_weights("resnet10t"), path)
    return path


def batch(embedder: TimmEmbedder, count: int = 2) -> np.ndarray:
    return np.stack([embedder.prepare(place_image(place)) for place in range(count)])


def unit(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def joined(*parts: np.ndarray) -> np.ndarray:
    return unit(np.concatenate([unit(part) for part in parts], axis=1))


# ---- rings -----------------------------------------------------------------------------------------------------------


def test_rings_are_concentric_squares_of_equal_width() -> None:
    assert ring_of_tokens(4, 4, 2).reshape(4, 4).tolist() == [[1, 1, 1, 1], [1, 0, 0, 1], [1, 0, 0, 1], [1, 1, 1, 1]]
    assert ring_of_tokens(14, 14, 4).reshape(14, 14)[7].tolist() == [3, 3, 2, 2, 1, 0, 0, 0, 0, 1, 2, 2, 3, 3]
    assert set(ring_of_tokens(2, 6, 1).tolist()) == {0}


@pytest.mark.parametrize("side", [7, 14, 16, 37])
@pytest.mark.parametrize("rings", [2, 3, 4])
def test_turning_a_square_grid_leaves_each_token_in_its_ring(side: int, rings: int) -> None:
    grid = ring_of_tokens(side, side, rings).reshape(side, side)
    for changed in (grid.rot90(), grid.flip(0), grid.flip(1)):
        assert torch.equal(changed, grid)
    assert set(grid.flatten().tolist()) == set(range(rings))


def test_a_grid_that_is_not_square_has_rings_of_its_own_shape() -> None:
    grid = ring_of_tokens(4, 12, 2).reshape(4, 12)
    assert grid[:, :3].eq(1).all()
    assert grid[1:3, 3:9].eq(0).all()
    assert grid[0].eq(1).all()


def test_more_rings_than_the_grid_has_are_refused() -> None:
    with pytest.raises(ConfigError, match="4 x 4 tokens"):
        ring_of_tokens(4, 4, 4)


def test_a_part_is_the_pooling_of_its_ring_and_all_weigh_alike() -> None:
    rows = torch.rand(2, 16, 3)
    inside = ring_of_tokens(4, 4, 2) == 0
    head = Head((0,), 2, Pooling.MEAN, 3.0)
    expected = joined(rows.mean(1).numpy(), rows[:, inside].mean(1).numpy(), rows[:, ~inside].mean(1).numpy())
    assert unit(head([LocalFeatures(rows, (4, 4))]).numpy()) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("pooling", [Pooling.MEAN, Pooling.MAX, Pooling.GEM])
def test_a_quarter_turn_of_the_features_does_not_change_the_rings(pooling: Pooling) -> None:
    maps = torch.rand(2, 6, 6, 5)
    head = Head((0,), 3, pooling, 3.0)
    rows = [head([LocalFeatures(grid.flatten(1, 2), (6, 6))]) for grid in (maps, maps.rot90(1, (1, 2)))]
    assert torch.allclose(rows[0], rows[1], atol=1e-6)
    plain = [maps.flatten(1, 2)[:, :18].mean(1), maps.rot90(1, (1, 2)).flatten(1, 2)[:, :18].mean(1)]
    assert not torch.allclose(plain[0], plain[1], atol=1e-3), "or the test would prove nothing"


# ---- in real models --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("facet", ["token", "value", "key"])
@pytest.mark.parametrize("pooling", ["gem", "mean", "cls"])
def test_several_blocks_are_the_single_ones_joined(vit: Path, facet: str, pooling: str) -> None:
    settings = {"facet": facet, "pooling": pooling, "image_size": 32}
    both = load("vit_of_tests", vit, layers=(3, 1), **settings)
    images = batch(both)
    singles = [load("vit_of_tests", vit, layers=(layer,), **settings).embed(images) for layer in (1, 3)]
    assert both.embed(images) == pytest.approx(joined(*singles), abs=1e-6)
    assert both.identity["layer"] == "1,3"
    assert both.dimension == 48


def test_rings_of_a_transformer_are_those_of_its_patches(vit: Path) -> None:
    settings = {"image_size": 48, "position_resampling": "timm-antialiased"}  # what timm does by itself below
    embedder = load("vit_of_tests", vit, layers=(2,), facet="token", pooling="mean", rings=2, **settings)
    images = batch(embedder)
    model = timm.create_model("vit_of_tests", num_classes=0, img_size=48).eval()
    model.load_state_dict(timm.models.vision_transformer.checkpoint_filter_fn(timm.models.load_state_dict(str(vit)), model))
    with torch.inference_mode():
        maps = model.forward_intermediates(torch.from_numpy(images), indices=[2], intermediates_only=True)[0]
    rows = F.normalize(maps.flatten(2).transpose(1, 2), dim=-1)
    ring = ring_of_tokens(6, 6, 2)
    expected = joined(rows.mean(1).numpy(), rows[:, ring == 0].mean(1).numpy(), rows[:, ring == 1].mean(1).numpy())
    assert embedder.embed(images) == pytest.approx(expected, abs=1e-5)


def test_several_stages_with_rings_are_the_single_ones_joined(resnet: Path) -> None:
    both = load("resnet10t", resnet, layers=(-2, 2), rings=2, image_size=96)
    images = batch(both)
    assert both.identity["layer"] == "2,3"
    assert both.identity["rings"] == 2
    singles = [load("resnet10t", resnet, layers=(layer,), rings=2, image_size=96).embed(images) for layer in (2, 3)]
    widths = [rows.shape[1] // 3 for rows in singles]
    parts = [rows[:, k * width : (k + 1) * width] for rows, width in zip(singles, widths, strict=True) for k in range(3)]
    assert both.embed(images) == pytest.approx(joined(*parts), abs=1e-5)


def test_one_ring_and_one_layer_keep_their_descriptor(vit: Path, resnet: Path) -> None:
    for name, weights, size in (("vit_of_tests", vit, 32), ("resnet10t", resnet, 64)):
        old, new = (BackboneConfig.model_validate({"name": name, key: value}) for key, value in (("layer", 2), ("layers", [2])))
        assert old == new
        embedder = load(name, weights, layers=(2,), image_size=size)
        assert embedder.identity["layer"] == 2
        assert "rings" not in embedder.identity
        assert not any(".block." in key for key in embedder.network.state_dict()), "nothing is tapped"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rings": 4, "image_size": 32}, "2 x 2|4 x 4"),
        ({"layers": (2, -3), "image_size": 32}, "twice"),
        ({"layers": (1, 9), "image_size": 32}, "block 9"),
        ({"rings": 2, "pooling": "cls", "image_size": 32}, "class token"),
    ],
)
def test_what_does_not_fit_the_model_is_refused(vit: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load("vit_of_tests", vit, **settings)


def test_the_weight_free_descriptor_has_no_rings() -> None:
    with pytest.raises(ConfigError, match="rings"):
        backbones.load(BackboneConfig(rings=2))


# ---- variants --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "size"), [("vit_of_tests", 48), ("resnet10t", 96)])
def test_each_variant_is_the_embedder_that_its_settings_load(vit: Path, resnet: Path, name: str, size: int) -> None:
    config = BackboneConfig(name=name, checkpoint=str(vit if name == "vit_of_tests" else resnet), image_size=size)
    variants = backbones.load_variants(config, (1, 2, 16), True, Device.CPU)
    assert [variant.config.rings for variant in variants.variants] == [1, 2, 1, 2], "16 rings fit into neither grid"
    assert variants.variants[0].config == config
    images = np.stack([variants.prepare(place_image(place)) for place in range(2)])
    rows = variants.embed(images)
    assert rows.shape == (2, variants.dimension)
    for variant in variants.variants:
        alone = backbones.load(variant.config, Device.CPU)
        assert rows[:, variant.columns] == pytest.approx(alone.embed(images), abs=1e-6)
        assert dict(variant.identity) == dict(alone.identity)


def test_layers_and_rings_that_were_given_are_the_only_ones(vit: Path) -> None:
    config = BackboneConfig(name="vit_of_tests", checkpoint=str(vit), image_size=32, layers=(1, 2), rings=2)
    variants = backbones.load_variants(config, (), True, Device.CPU)
    assert [variant.config for variant in variants.variants] == [config]


def test_a_model_with_one_descriptor_has_one_variant() -> None:
    variants = backbones.load_variants(BackboneConfig(), (1, 2, 4), True)
    assert [variant.config for variant in variants.variants] == [BackboneConfig()]
    image = np.stack([variants.prepare(place_image(0))])
    assert np.array_equal(variants.embed(image), backbones.load(BackboneConfig()).embed(image))
