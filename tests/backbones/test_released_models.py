"""Released checkpoints: their names, what is computed from them (transcribed naively), and files that do not fit."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file

from cvgl import backbones
from cvgl.backbones.released import RELEASED, fsra, geodtr, sample4geo
from cvgl.backbones.released.embedder import ReleasedEmbedder
from cvgl.config import BackboneConfig, Device, Precision
from cvgl.errors import ConfigError, ModelError
from cvgl.types import View, ViewDependentEmbedder
from tests.backbones import released as made

State = dict[str, torch.Tensor]
MAKERS: Mapping[str, Callable[[], State]] = {"sample4geo": made.sample4geo, "fsra": made.fsra, "geodtr": made.geodtr}


def load(path: Path, name: str, state: Any, **settings: object) -> ReleasedEmbedder:
    torch.save(state, path / f"{name}.pth")
    return loaded(path / f"{name}.pth", name, **settings)


def loaded(path: Path, name: str, **settings: object) -> ReleasedEmbedder:
    size = {"image_size": 96} if name == "sample4geo" else {}
    config = BackboneConfig(**{"name": name, "checkpoint": str(path), **size, **settings})
    embedder = backbones.load(config, Device.CPU)
    assert isinstance(embedder, ReleasedEmbedder)
    return embedder


def image(seed: int = 0, width: int = 90, height: int = 90) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def inputs(embedder: ReleasedEmbedder, view: View, count: int = 2) -> np.ndarray:
    return np.stack([embedder.for_view(view).prepare(image(seed)) for seed in range(count)])


def unit(rows: torch.Tensor) -> np.ndarray:
    return F.normalize(rows, dim=1).numpy()


# ---- what is computed ---------------------------------------------------------------------------------------------------


Names = Callable[[int, str], str]
"""Stage and part of a ConvNeXt -> the part's name in a file."""


def of_timm(stage: int, part: str) -> str:
    return f"model.stem{part}" if stage < 0 else f"model.stages.{stage}{part}"


def naive_convnext(state: State, batch: torch.Tensor, stages: int = 4, names: Names = of_timm) -> torch.Tensor:
    """(B, H, W, C), the last stage's map."""

    def normed(x: torch.Tensor, name: str) -> torch.Tensor:  # over channels, which come last
        return F.layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"], 1e-6)

    def convolved(x: torch.Tensor, name: str, **how: int) -> torch.Tensor:
        return F.conv2d(x.permute(0, 3, 1, 2), state[f"{name}.weight"], state[f"{name}.bias"], **how).permute(0, 2, 3, 1)

    def linear(x: torch.Tensor, name: str) -> torch.Tensor:
        return F.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])

    x = normed(convolved(batch.permute(0, 2, 3, 1), names(-1, ".0"), stride=4), names(-1, ".1"))
    for stage in range(stages):
        if stage:
            x = convolved(normed(x, names(stage, ".downsample.0")), names(stage, ".downsample.1"), stride=2)
        block = 0
        while names(stage, f".blocks.{block}.gamma") in state:
            own = f".blocks.{block}"
            y = convolved(x, names(stage, f"{own}.conv_dw"), padding=3, groups=x.shape[3])
            y = F.gelu(linear(normed(y, names(stage, f"{own}.norm")), names(stage, f"{own}.mlp.fc1")))
            y = linear(y, names(stage, f"{own}.mlp.fc2"))
            x = x + state[names(stage, f"{own}.gamma")].flatten() * y
            block += 1
    return x


def of_torchvision(side: str) -> Names:
    parts = {"gamma": "layer_scale", "conv_dw": "block.0", "norm": "block.2", "mlp.fc1": "block.3", "mlp.fc2": "block.5"}

    def name(stage: int, part: str) -> str:
        net = f"backbone_{side}.net"
        if stage < 0:
            return f"{net}.0{part}"
        if part.startswith(".downsample"):
            return f"{net}.{2 * stage}{part.removeprefix('.downsample')}"
        _, _, block, layer = part.split(".", 3)
        return f"{net}.{2 * stage + 1}.{block}.{parts[layer]}"

    return name


@pytest.mark.parametrize("view", View)
def test_sample4geo_is_the_naive_convnext(tmp_path: Path, view: View) -> None:
    state = made.sample4geo()
    embedder = load(tmp_path, "sample4geo", state)
    batch = inputs(embedder, view)
    assert batch.shape[2:] == ((35, 192) if view is View.GROUND else (96, 96))
    rows = embedder.for_view(view).embed(batch)
    pooled = naive_convnext(state, torch.from_numpy(batch)).mean((1, 2))
    expected = F.layer_norm(pooled, (10,), state["model.head.norm.weight"], state["model.head.norm.bias"], 1e-6)
    assert rows == pytest.approx(unit(expected), abs=1e-5)
    assert rows.shape[1] == embedder.dimension == 10


def naive_fsra(state: State, model: str, batch: torch.Tensor, segments: int) -> torch.Tensor:
    """One pass, (B, 12, segments + 1)."""

    def normed(x: torch.Tensor, name: str) -> torch.Tensor:
        return F.layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"], 1e-6)

    def linear(x: torch.Tensor, name: str) -> torch.Tensor:
        return F.linear(x, state[f"{name}.weight"], state.get(f"{name}.bias"))

    vit = f"{model}.transformer"
    x = F.conv2d(batch, state[f"{vit}.patch_embed.proj.weight"], state[f"{vit}.patch_embed.proj.bias"], stride=16)
    x = x.flatten(2).transpose(1, 2)
    x = torch.cat([state[f"{vit}.cls_token"].expand(len(x), -1, -1), x], dim=1) + state[f"{vit}.pos_embed"]
    width, block = x.shape[2], 0
    while f"{vit}.blocks.{block}.norm1.weight" in state:
        name = f"{vit}.blocks.{block}"
        qkv = linear(normed(x, f"{name}.norm1"), f"{name}.attn.qkv").reshape(len(x), -1, 3, 8, width // 8)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        attention = (q @ k.transpose(2, 3) * width**-0.5).softmax(3)  # of the whole width, as released
        x = x + linear((attention @ v).transpose(1, 2).flatten(2), f"{name}.attn.proj")
        x = x + linear(F.gelu(linear(normed(x, f"{name}.norm2"), f"{name}.mlp.fc1")), f"{name}.mlp.fc2")
        block += 1
    x = normed(x, f"{vit}.norm")

    def reduced(y: torch.Tensor, head: str) -> torch.Tensor:
        own = f"{model}.{head}.add_block"
        statistics = (state[f"{own}.1.running_mean"], state[f"{own}.1.running_var"])
        return F.batch_norm(linear(y, f"{own}.0"), *statistics, state[f"{own}.1.weight"], state[f"{own}.1.bias"])

    whole = reduced(x[:, 0], "classifier1")
    if segments == 1:
        return whole[:, :, None]
    rows = []
    for places in x[:, 1:]:
        order = sorted(range(len(places)), key=lambda place: -float(places[place].mean()))
        share = len(places) // segments
        cuts = [order[i * share : (i + 1) * share if i < segments - 1 else None] for i in range(segments)]
        rows.append([reduced(places[cut].mean(0)[None], f"classifier_heat{i + 1}")[0] for i, cut in enumerate(cuts)])
    parts = [torch.stack([row[i] for row in rows]) for i in range(segments)]
    return torch.stack([*parts, whole], dim=2)


@pytest.mark.parametrize("segments", [1, 2, 3, 5])
def test_fsra_is_the_naive_transcription(tmp_path: Path, segments: int) -> None:
    state = made.fsra(segments=segments)
    embedder = load(tmp_path, "fsra", state)
    batch = inputs(embedder, View.DRONE)
    assert batch.shape[2:] == (64, 64)
    tensor = torch.from_numpy(batch)
    parts = naive_fsra(state, "model_1", tensor, segments) + naive_fsra(state, "model_1", tensor.flip(3), segments)
    expected = F.normalize(parts, dim=1).flatten(1).numpy() / parts.shape[2] ** 0.5
    rows = embedder.for_view(View.DRONE).embed(batch)
    assert rows == pytest.approx(expected, abs=2e-5)
    assert embedder.dimension == 12 * (1 if segments == 1 else segments + 1)
    assert embedder.identity["segments"] == segments


def test_fsra_has_a_second_network_for_street_images_where_the_file_has(tmp_path: Path) -> None:
    single = load(tmp_path, "fsra", made.fsra())
    assert single.for_view(View.DRONE).network is single.for_view(View.SATELLITE).network
    with pytest.raises(ModelError, match="ground images"):
        single.for_view(View.GROUND)
    state = made.fsra(models=("model_1", "model_2"))
    both = load(tmp_path, "fsra", state)
    batch = inputs(both, View.GROUND)
    parts = sum(
        naive_fsra(state, "model_2", single, 3) for single in (torch.from_numpy(batch), torch.from_numpy(batch).flip(3))
    )
    expected = F.normalize(parts, dim=1).flatten(1).numpy() / 2  # type: ignore[arg-type]
    assert both.for_view(View.GROUND).embed(batch) == pytest.approx(expected, abs=2e-5)


def naive_geodtr(state: State, side: str, batch: torch.Tensor, heads: int, layers: int) -> torch.Tensor:
    def conv_bn(x: torch.Tensor, conv: str, bn: str, stride: int, padding: int) -> torch.Tensor:
        x = F.conv2d(x, state[f"{conv}.weight"], stride=stride, padding=padding)
        statistics = (state[f"{bn}.running_mean"], state[f"{bn}.running_var"])
        return F.batch_norm(x, *statistics, state[f"{bn}.weight"], state[f"{bn}.bias"])

    base = f"backbone_{side}.layers"
    x = conv_bn(batch, f"{base}.0", f"{base}.1", 2, 3).relu()  # no max pooling behind it
    for stage in range(4):
        name, stride = f"{base}.{3 + stage}.0", 2 if stage else 1
        y = conv_bn(x, f"{name}.conv1", f"{name}.bn1", stride, 1).relu()
        y = conv_bn(y, f"{name}.conv2", f"{name}.bn2", 1, 1)
        short = (
            conv_bn(x, f"{name}.downsample.0", f"{name}.downsample.1", stride, 0)
            if f"{name}.downsample.0.weight" in state
            else x
        )
        x = (y + short).relu()
    features = x.flatten(2)
    strength, channel = features.max(1)
    ge = f"ge_{side}"
    codes = torch.einsum("bi,idj->bdj", strength, state[f"{ge}.w1"]) + state[f"{ge}.b1"]
    if layers:
        own = f"{ge}.tr_module.pos_encoder"
        encoding = torch.einsum("bi,idj->bdj", channel / features.shape[1], state[f"{own}.linear"])
        codes = codes + (encoding + state[f"{own}.embedding_parameter"]).clamp(-1, 1)
        for layer in range(layers):
            codes = _naive_layer(state, f"{ge}.tr_module.transformer_encoder.layers.{layer}", codes, heads)
        norm = f"{ge}.tr_module.transformer_encoder.norm"
        codes = F.layer_norm(codes, codes.shape[-1:], state[f"{norm}.weight"], state[f"{norm}.bias"])
    masks = (torch.einsum("bdj,jdi->bdi", codes, state[f"{ge}.w2"]) + state[f"{ge}.b2"]).clamp(-1, 1)
    return (features @ masks.transpose(1, 2)).flatten(1)


def _naive_layer(state: State, name: str, x: torch.Tensor, heads: int) -> torch.Tensor:
    """A post-norm encoder layer."""
    size = x.shape[2]
    qkv = F.linear(x, state[f"{name}.self_attn.in_proj_weight"], state[f"{name}.self_attn.in_proj_bias"])
    q, k, v = (part.reshape(len(x), -1, heads, size // heads).transpose(1, 2) for part in torch.split(qkv, size, dim=2))
    mixed = ((q @ k.transpose(2, 3) / (size // heads) ** 0.5).softmax(3) @ v).transpose(1, 2).flatten(2)

    def linear(y: torch.Tensor, layer: str) -> torch.Tensor:
        return F.linear(y, state[f"{name}.{layer}.weight"], state[f"{name}.{layer}.bias"])

    def normed(y: torch.Tensor, layer: str) -> torch.Tensor:
        return F.layer_norm(y, (size,), state[f"{name}.{layer}.weight"], state[f"{name}.{layer}.bias"])

    x = normed(x + linear(mixed, "self_attn.out_proj"), "norm1")
    return normed(x + linear(F.gelu(linear(x, "linear1")), "linear2"), "norm2")


@pytest.mark.parametrize("layers", [0, 1, 2])
@pytest.mark.parametrize(("places", "tile"), [(336, (122, 671)), (256, (256, 256))])
def test_geodtr_is_the_naive_transcription(tmp_path: Path, layers: int, places: int, tile: tuple[int, int]) -> None:
    state = made.geodtr({"grd": 336, "sat": places}, layers=layers)
    embedder = load(tmp_path, "geodtr", state)
    for view, side, size in ((View.GROUND, "grd", (122, 671)), (View.SATELLITE, "sat", tile)):
        batch = inputs(embedder, view)
        assert batch.shape[2:] == size
        expected = unit(naive_geodtr(state, side, torch.from_numpy(batch), 4, layers))
        rows = embedder.for_view(view).embed(batch)
        assert rows == pytest.approx(expected, abs=2e-5)
        assert rows.shape[1] == embedder.dimension == 8 * 3
    assert embedder.identity["satellite_interpolation"] == ("polar" if places == 336 else "bilinear")


def naive_geodtr_plus(
    state: State, side: str, batch: torch.Tensor, heads: int, layers: int, finish: Mapping[str, bool]
) -> torch.Tensor:
    features = naive_convnext(state, batch, 3, of_torchvision(side)).flatten(1, 2).transpose(1, 2)  # (B, C, N)
    ge = f"GLE_{side}"
    x = features.transpose(1, 2)
    if layers:
        x = x + state[f"{ge}.pe.pe"]
        for layer in range(layers):
            x = _naive_layer(state, f"{ge}.transformer_encoder.layers.{layer}", x, heads)
        norm = f"{ge}.transformer_encoder.norm"
        x = F.layer_norm(x, x.shape[-1:], state[f"{norm}.weight"], state[f"{norm}.bias"])
    masks = F.linear(x, state[f"{ge}.pointwise.weight"], state[f"{ge}.pointwise.bias"])
    if finish.get("bottleneck"):
        finished = []
        for mask in range(masks.shape[2]):
            code = masks[:, :, mask] @ state[f"{ge}.w1"][mask] + state[f"{ge}.b1"][0, mask]
            finished.append(code @ state[f"{ge}.w2"][mask] + state[f"{ge}.b2"][0, mask])
        masks = torch.stack(finished, dim=2)
    if finish.get("normalize"):
        masks = torch.linalg.qr(masks)[0] if finish.get("orthogonalize") else masks / masks.norm(dim=1, keepdim=True)
    else:
        masks = masks.sigmoid()
    return (features @ masks).flatten(1)


@pytest.mark.parametrize("layers", [0, 2])
@pytest.mark.parametrize(
    "finish", [{}, {"bottleneck": True}, {"normalize": True, "bottleneck": True}, {"normalize": True, "orthogonalize": True}]
)
def test_geodtr_plus_is_the_naive_transcription(tmp_path: Path, layers: int, finish: dict[str, bool]) -> None:
    state = made.geodtr_plus({"grd": 287, "sat": 256}, layers=layers)
    if finish:
        (tmp_path / "1_parameter.json").write_text(json.dumps({"TR_heads": 2, **finish}))
    embedder = load(tmp_path, "geodtr", {"model_state_dict": {f"module.{name}": value for name, value in state.items()}})
    heads = embedder.identity["heads"]
    assert heads == (2 if finish else 4)
    for view, side, size in ((View.GROUND, "grd", (122, 671)), (View.SATELLITE, "sat", (256, 256))):
        batch = inputs(embedder, view)
        assert batch.shape[2:] == size
        expected = unit(naive_geodtr_plus(state, side, torch.from_numpy(batch), int(heads), layers, finish))
        assert embedder.for_view(view).embed(batch) == pytest.approx(expected, abs=2e-5)
    assert embedder.identity["variant"] == "geodtr+"
    assert embedder.identity["ground_mean"] == "0.485,0.456,0.406"


def test_geodtr_plus_stands_on_the_resnet_too(tmp_path: Path) -> None:
    older = made.geodtr(widths=(6, 6, 6, 8))
    resnet = {name: value for name, value in older.items() if name.startswith("backbone_")}
    masks = made.geodtr_plus({"grd": 336, "sat": 336}, widths=(4, 6, 8))
    embedder = load(tmp_path, "geodtr", {**resnet, **{name: value for name, value in masks.items() if "GLE_" in name}})
    assert embedder.identity["satellite_interpolation"] == "polar"
    assert embedder.dimension == 8 * 3
    with pytest.raises(ModelError, match=r"GLE_sat.pe.pe"):
        load(tmp_path, "geodtr", {name: value for name, value in masks.items() if name != "GLE_sat.pe.pe"})
    with pytest.raises(ModelError, match="have 100 tokens"):
        load(tmp_path, "geodtr", made.geodtr_plus({"grd": 287, "sat": 100}, layers=0))


def test_geodtr_reads_its_heads_where_training_left_them(tmp_path: Path) -> None:
    state = made.geodtr()
    plain = load(tmp_path, "geodtr", state)
    run = tmp_path / "run"
    (run / "epoch_3").mkdir(parents=True)
    (run / "1666_parameter.json").write_text(json.dumps({"TR_heads": 7, "n_des": 3}))
    own = load(run / "epoch_3", "geodtr", state)
    assert (plain.identity["heads"], own.identity["heads"]) == (4, 7)
    batch = inputs(own, View.GROUND)
    expected = unit(naive_geodtr(state, "grd", torch.from_numpy(batch), 7, 1))
    assert own.for_view(View.GROUND).embed(batch) == pytest.approx(expected, abs=2e-5)
    assert np.abs(plain.for_view(View.GROUND).embed(batch) - expected).max() > 1e-4
    for content in ("{}", "no json", '{"TR_heads": "many"}', '{"TR_heads": 5}'):
        (run / "1666_parameter.json").write_text(content)
        with pytest.raises(ModelError, match="heads"):
            load(run / "epoch_3", "geodtr", state)


def test_geodtr_knows_no_drones_and_its_size_is_fixed(tmp_path: Path) -> None:
    embedder = load(tmp_path, "geodtr", made.geodtr())
    with pytest.raises(ModelError, match="drone images"):
        embedder.for_view(View.DRONE)
    with pytest.raises(ConfigError, match="input size"):
        loaded(tmp_path / "geodtr.pth", "geodtr", image_size=256)
    with pytest.raises(ModelError, match="have 100 tokens"):
        load(tmp_path, "geodtr", made.geodtr({"grd": 336, "sat": 100}, layers=0))


def test_fsra_s_positions_fix_its_size(tmp_path: Path) -> None:
    load(tmp_path, "fsra", made.fsra(), image_size=64)
    with pytest.raises(ConfigError, match="64 pixels"):
        load(tmp_path, "fsra", made.fsra(), image_size=256)


@pytest.mark.parametrize(("module", "millions"), [("sample4geo", 87.57), ("fsra", 49.61), ("geodtr", 48.51)])
def test_without_a_file_to_go_by_the_sizes_are_the_released_ones(module: str, millions: float) -> None:
    """ConvNeXt-base; FSRA's transformer with three segments (its unused classifiers left out); GeoDTR's two branches."""
    networks: Mapping[str, Callable[[], torch.nn.Module]] = {
        "sample4geo": lambda: sample4geo.build_network({}),
        "fsra": lambda: fsra.build_network({}, "model_1.", Path()),
        "geodtr": lambda: torch.nn.ModuleList(geodtr.build_branch({}, side, 4, Path()) for side in ("grd", "sat")),
    }
    with torch.device("meta"):
        network = networks[module]()
    assert sum(value.numel() for value in network.parameters()) / 1e6 == pytest.approx(millions, abs=0.02)


# ---- files --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RELEASED)
def test_every_wrapping_gives_the_same_model(tmp_path: Path, name: str) -> None:
    state = MAKERS[name]()
    plain = load(tmp_path, name, state)
    view = View.SATELLITE
    batch = inputs(plain, view)
    expected = plain.for_view(view).embed(batch)
    parallel = {f"module.{key}": value for key, value in state.items()}
    training = {"epoch": 3, "optimizer_state_dict": {"state": {}, "param_groups": [{"lr": 1e-4}]}}
    for content in (parallel, {**training, "model_state_dict": parallel}, {"state_dict": state}):
        assert np.array_equal(load(tmp_path, name, content).for_view(view).embed(batch), expected)
    save_file(state, tmp_path / "weights.safetensors")
    assert np.array_equal(loaded(tmp_path / "weights.safetensors", name).for_view(view).embed(batch), expected)
    half = {key: value.half() if value.is_floating_point() else value for key, value in state.items()}
    assert load(tmp_path, name, half).for_view(view).embed(batch) == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize(
    ("name", "lost"),
    [
        ("sample4geo", "model.stages.2.blocks.0.mlp.fc2.bias"),
        ("fsra", "model_1.classifier_heat2.add_block.0.weight"),
        ("geodtr", "ge_sat.tr_module.transformer_encoder.layers.0.self_attn.in_proj_weight"),
        ("geodtr", "backbone_grd.layers.4.0.bn1.running_var"),
    ],
)
def test_missing_and_unexpected_names_are_listed_as_the_file_has_them(tmp_path: Path, name: str, lost: str) -> None:
    state = MAKERS[name]()
    damaged = {**state, "strange.thing": torch.zeros(1)}
    del damaged[lost]
    with pytest.raises(ModelError) as raised:
        load(tmp_path, name, damaged)
    assert f"1 missing ({lost})" in str(raised.value)
    assert "1 unexpected (strange.thing)" in str(raised.value)
    assert "released" in raised.value.fix


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("sample4geo", "model.stages.3.blocks.0.mlp.fc1.weight"),
        ("fsra", "model_1.transformer.blocks.1.attn.proj.weight"),
        ("geodtr", "ge_grd.w2"),
    ],
)
def test_wrong_shapes_are_told(tmp_path: Path, name: str, key: str) -> None:
    state = MAKERS[name]()
    shape = tuple(state[key].shape)
    state[key] = torch.zeros(2, 2)
    with pytest.raises(ModelError) as raised:
        load(tmp_path, name, state)
    assert f"{key} (shape (2, 2) instead of {shape})" in str(raised.value)


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("fsra", made.fsra(width=12)),
        ("fsra", made.fsra() | {"model_1.transformer.cls_token": torch.zeros(1, 1, 0)}),
        ("geodtr", made.geodtr() | {"ge_grd.w1": torch.zeros(1, 3, 1)}),
        ("geodtr", made.geodtr() | {"ge_grd.w1": torch.zeros(0, 3, 1)}),
    ],
)
def test_sizes_that_no_attention_can_share_are_refused(tmp_path: Path, name: str, state: State) -> None:
    with pytest.raises(ModelError, match="attention heads"):
        load(tmp_path, name, state)


@pytest.mark.parametrize("name", RELEASED)
def test_another_model_s_weights_are_refused(tmp_path: Path, name: str) -> None:
    for other, make in MAKERS.items():
        if other != name:
            with pytest.raises(ModelError, match="missing"):
                load(tmp_path, name, make())


def test_counters_of_batches_may_be_missing(tmp_path: Path) -> None:
    state = {key: value for key, value in made.geodtr().items() if not key.endswith("num_batches_tracked")}
    assert load(tmp_path, "geodtr", state).dimension == 24


class Dangerous:
    def __reduce__(self) -> tuple[object, ...]:
        return (print, ("this must never run",))


@pytest.mark.parametrize("name", RELEASED)
def test_files_that_could_run_code_are_not_opened(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ModelError, match="more than weights"):
        load(tmp_path, name, {"model_state_dict": MAKERS[name](), "extra": Dangerous()})
    assert "never" not in capsys.readouterr().out
    with pytest.raises(ModelError, match="no checkpoint"):
        loaded(tmp_path / "nowhere.pth", name)


# ---- the embedder -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RELEASED)
def test_descriptors_are_unit_rows_that_depend_on_nothing_else(tmp_path: Path, name: str) -> None:
    embedder = load(tmp_path, name, MAKERS[name]())
    assert isinstance(embedder, ViewDependentEmbedder)
    for view, branch in embedder.branches.items():
        batch = inputs(embedder, view, 3)
        rows = branch.embed(batch)
        assert np.linalg.norm(rows, axis=1) == pytest.approx(np.ones(3), abs=1e-5)
        assert np.array_equal(rows, branch.embed(batch))
        assert rows[1:2] == pytest.approx(branch.embed(batch[1:2]), abs=1e-5)
        assert np.abs(rows[0] - rows[1]).max() > 1e-4
        assert (branch.dimension, branch.identity) == (embedder.dimension, embedder.identity)
    with pytest.raises(ModelError, match="for each view"):
        embedder.prepare(image())
    with pytest.raises(ModelError, match="for each view"):
        embedder.embed(batch)


@pytest.mark.parametrize("name", RELEASED)
def test_the_identity_tells_weights_inputs_and_precision(tmp_path: Path, name: str) -> None:
    first, other = (load(tmp_path / str(seed), name, MAKERS[name](seed=seed)) for seed in _folders(tmp_path))  # type: ignore[call-arg]
    assert first.identity["backbone"] == name
    assert first.identity["weights_sha256"] != other.identity["weights_sha256"]
    for view in first.branches:
        inputs_ = first.for_view(view).inputs.identity()
        assert {key: first.identity[f"{view}_{key}"] for key in inputs_} == inputs_
    config = BackboneConfig(name=name, checkpoint=str(tmp_path / "0" / f"{name}.pth"))
    if name == "sample4geo":
        with pytest.raises(ConfigError, match="64 x 12 pixels"):
            loaded(tmp_path / "0" / f"{name}.pth", name, image_size=32)
    assert backbones.load(config, Device.CPU, Precision.BFLOAT16).identity["precision"] == "bfloat16"
    if name == "sample4geo":
        assert backbones.load(config, Device.CPU).identity["ground_height"] == 140
        assert backbones.load(config, Device.CPU).identity["ground_width"] == 768
        assert backbones.load(config, Device.CPU).identity["satellite_width"] == 384


def _folders(path: Path) -> tuple[int, int]:
    for seed in (0, 1):
        (path / str(seed)).mkdir()
    return 0, 1


_RESAMPLED = {"position_resampling": "released"}


@pytest.mark.parametrize("name", RELEASED)
def test_settings_that_released_models_have_not_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="authors released"):
        backbones.load(BackboneConfig(name=name))
    for setting in ({"layers": (1,)}, {"facet": "value"}, {"pooling": "gem"}, {"pooling": "vlad"}, {"rings": 2}, _RESAMPLED):
        with pytest.raises(ConfigError, match="own head"):
            backbones.load(BackboneConfig(**{"name": name, "checkpoint": "x.pth", **setting}))


def test_the_choice_of_an_alignment_sees_one_variant(tmp_path: Path) -> None:
    load(tmp_path, "fsra", made.fsra())
    config = BackboneConfig(name="fsra", checkpoint=str(tmp_path / "fsra.pth"))
    variants = backbones.load_variants(config, (1, 2), True, Device.CPU)
    assert [variant.config for variant in variants.variants] == [config]
