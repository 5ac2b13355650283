"""Where the forward pass ends: right behind the projection that is pooled, and nothing beside it is computed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import early_exit
from cvgl import backbones
from cvgl.backbones.timm_embedder import TimmEmbedder
from cvgl.backbones.transformer import FacetPooling
from cvgl.config import BackboneConfig, Device, Facet, Pooling, Precision
from cvgl.errors import ConfigError
from tests.backbones import models
from tests.data.images import place_image

VITS = ["vit_of_tests", "vit_with_registers_of_tests", "dinov3_of_tests", "dinov2_nano_of_tests"]


def load(tmp_path: Path, name: str, state: dict[str, torch.Tensor] | None = None, **settings: Any) -> TimmEmbedder:
    path = tmp_path / "weights.pt"
    torch.save(models.random_weights(name) if state is None else state, path)
    loaded = backbones.load(BackboneConfig(name=name, checkpoint=str(path), **settings), Device.CPU)
    assert isinstance(loaded, TimmEmbedder)
    return loaded


def operations(model: torch.nn.Module, images: torch.Tensor) -> int:
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model(images)
    return int(counter.get_total_flops())


@pytest.mark.parametrize("name", VITS)
@pytest.mark.parametrize("layer", [0, 2])
def test_a_pass_costs_the_blocks_before_and_one_projection(name: str, layer: int) -> None:
    images = torch.zeros(2, 3, 56, 56)
    size = {} if name == "dinov3_of_tests" else {"img_size": 56}
    whole = timm.create_model(name, num_classes=0, **size).eval()
    cut = timm.create_model(name, num_classes=0, **size).eval()
    cut.blocks = cut.blocks[:layer] if layer else torch.nn.Sequential()
    before = operations(cut, images)
    places = (56 // whole.patch_embed.patch_size[0]) ** 2 + whole.num_prefix_tokens
    projection = 2 * len(images) * places * whole.embed_dim**2
    for facet in (Facet.QUERY, Facet.KEY, Facet.VALUE):
        model = timm.create_model(name, num_classes=0, **size).eval()
        ours = FacetPooling(model, (layer,), facet, Pooling.GEM, 3.0)
        assert operations(ours, images) == before + projection, facet
    assert operations(whole, images) > before + projection


def test_blocks_on_the_way_that_are_asked_for_cost_one_projection_each() -> None:
    images = torch.zeros(2, 3, 32, 32)
    single, several = (
        operations(
            FacetPooling(timm.create_model("vit_of_tests", num_classes=0).eval(), layers, Facet.VALUE, Pooling.GEM, 3.0),
            images,
        )
        for layers in ((3,), (1, 3))
    )
    assert several - single == 2 * len(images) * 17 * 24**2


@pytest.mark.parametrize("name", VITS)
@pytest.mark.parametrize("facet", ["query", "key", "value"])
def test_other_projections_and_what_lies_behind_do_not_matter(tmp_path: Path, name: str, facet: str) -> None:
    """Weights that are not a number would spread to the descriptor if anything were computed with them."""
    settings: dict[str, Any] = {"layers": (2,), "facet": facet, "image_size": 56}
    clean = load(tmp_path, name, **settings)
    images = np.stack([clean.prepare(place_image(place)) for place in range(2)])
    state = models.random_weights(name)
    size = len(state["blocks.2.attn.qkv.weight"]) // 3
    wanted = ("query", "key", "value").index(facet)
    spoiled = [
        key for key in state if key.startswith(("blocks.2.attn.", "blocks.2.mlp.", "blocks.2.norm2.", "blocks.3.", "norm."))
    ]
    for key in spoiled:
        keep = state[key].clone()
        state[key] = torch.full_like(keep, torch.nan)
        if ".attn.qkv." in key:
            part = slice(wanted * size, (wanted + 1) * size)
            state[key][part] = keep[part]
    assert len(spoiled) > 5
    assert np.array_equal(load(tmp_path, name, state, **settings).embed(images), clean.embed(images))


@pytest.mark.parametrize("name", ["vit_with_registers_of_tests", "dinov3_of_tests"])
@pytest.mark.parametrize("pooling", ["gem", "mean", "max", "cls"])
@pytest.mark.parametrize("facet", ["token", "query", "key", "value"])
def test_registers_and_the_class_token_are_not_pooled(tmp_path: Path, name: str, facet: str, pooling: str) -> None:
    ours = load(tmp_path, name, layers=(2,), facet=facet, pooling=pooling, image_size=32)
    images = np.stack([ours.prepare(place_image(place)) for place in range(2)])
    model = timm.create_model(name, num_classes=0).eval()
    model.load_state_dict(models.random_weights(name))
    if name == "dinov3_of_tests":
        model.set_input_size((32, 32))
    captured: dict[str, torch.Tensor] = {}
    block = model.blocks[2]
    block.attn.qkv.register_forward_hook(
        lambda _m, _i, out: captured.update(zip(("query", "key", "value"), out.chunk(3, -1), strict=True))
    )
    block.register_forward_hook(lambda _m, _i, out: captured.update(token=out))
    with torch.inference_mode():
        model(torch.from_numpy(images))
    rows = captured[facet]
    assert rows.shape[1] == 1 + 4 + 16
    places = torch.nn.functional.normalize(rows[:, 5:], dim=-1)
    pooled = {
        "gem": places.clamp(min=1e-6).pow(3).mean(1).pow(1 / 3),
        "mean": places.mean(1),
        "max": places.amax(1),
        "cls": rows[:, 0],
    }[pooling]
    expected = torch.nn.functional.normalize(pooled, dim=-1).numpy()
    assert ours.embed(images) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", VITS)
def test_tokens_may_pass_the_last_normalisation(tmp_path: Path, name: str) -> None:
    """The class token as the model's own head sees it."""
    settings: dict[str, Any] = {"facet": "token", "pooling": "cls", "layers": (-1,), "image_size": 56}
    ours = load(tmp_path, name, final_norm=True, **settings)
    images = np.stack([ours.prepare(place_image(place)) for place in range(2)])
    plain = load(tmp_path, name, **settings)
    model = timm.create_model(name, num_classes=0).eval()
    model.load_state_dict(models.random_weights(name))
    model.set_input_size((56, 56))
    if model.pos_embed is not None:
        model.pos_embed = ours.network.model.pos_embed
    with torch.inference_mode():
        expected = torch.nn.functional.normalize(model.forward_features(torch.from_numpy(images))[:, 0], dim=-1).numpy()
    assert ours.embed(images) == pytest.approx(expected, abs=1e-5)
    assert not np.allclose(plain.embed(images), expected, atol=1e-3)
    assert plain.identity != ours.identity
    with pytest.raises(ConfigError, match="not of facet value"):
        load(tmp_path, name, final_norm=True, image_size=56)


def test_the_last_normalisation_may_be_behind_the_average() -> None:
    model = timm.create_model("vit_of_tests", num_classes=0, global_pool="avg", class_token=False, fc_norm=True).eval()
    torch.nn.init.normal_(model.fc_norm.weight)
    norm = model.fc_norm
    ours = FacetPooling(model, (4,), Facet.TOKEN, Pooling.MEAN, 3.0, final_norm=True)
    assert ours.norm is norm


def test_the_benchmark_measures_block_31_of_40() -> None:
    arguments = {"depth": early_exit.BLOCKS, "embed_dim": 48, "img_size": 64}
    cpu = torch.device("cpu")
    row = early_exit.measure("vit_of_tests", arguments, 64, 2, cpu, Precision.FLOAT32, matrix=64, rounds=1)
    assert row.flops_ratio == pytest.approx(40 / (31 + 1 / 12), rel=0.02), (
        "a projection is a twelfth of a block, attention apart"
    )
    assert row.images_per_second == pytest.approx(2 / row.ours_s)
    assert row.share_of_peak > 0
    lines = early_exit.table([row])
    assert sum(line.startswith("| vit_of_tests, 40 blocks, 2 x 64 x 64, float32 |") for line in lines) == 1
    assert any("No CUDA device" in line for line in lines)
    assert not any("No CUDA device" in line for line in early_exit.table([row, replace(row, device="NVIDIA H100")]))


def test_the_papers_model_is_what_the_benchmark_builds_for_a_gpu() -> None:
    """Without memory for weights: operations alone."""
    meta = torch.device("meta")
    whole, model = (early_exit.build_model(early_exit.GIANT, {"img_size": 252}, meta) for _ in range(2))
    ours = FacetPooling(model, (early_exit.BLOCK,), Facet.VALUE, Pooling.GEM, 3.0)
    images = torch.zeros(1, 3, 252, 252, device=meta)
    ratio = early_exit.count_operations(whole, images) / early_exit.count_operations(ours, images)
    assert ratio == pytest.approx(40 / (31 + 1 / 12), rel=0.01)
    assert ratio > early_exit.BOUND
    if not torch.cuda.is_available():
        assert early_exit.giant_on_the_gpu() is None
