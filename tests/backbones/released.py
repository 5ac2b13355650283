"""Small random checkpoints with the names and the nesting of the released ones, written down name by name."""

from __future__ import annotations

from collections.abc import Mapping

import torch

State = dict[str, torch.Tensor]


class Maker:
    """Random weights, none of them zero, that follow from a seed."""

    def __init__(self, seed: int = 0) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.state: State = {}

    def add(self, name: str, *shape: int, scale: float = 0.2, around: float = 0.0) -> None:
        self.state[name] = around + scale * torch.randn(*shape, generator=self.generator)

    def layer(self, name: str, *shape: int, bias: bool = True) -> None:
        """A convolution or a linear layer."""
        inputs = int(torch.tensor(shape[1:]).prod())
        self.add(f"{name}.weight", *shape, scale=inputs**-0.5)
        if bias:
            self.add(f"{name}.bias", shape[0])

    def norm(self, name: str, width: int, batch: bool = False) -> None:
        self.add(f"{name}.weight", width, around=1.0)
        self.add(f"{name}.bias", width)
        if batch:
            self.add(f"{name}.running_mean", width)
            self.state[f"{name}.running_var"] = 0.5 + torch.rand(width, generator=self.generator)
            self.state[f"{name}.num_batches_tracked"] = torch.tensor(7)


def sample4geo(depths: tuple[int, ...] = (1, 2, 1, 1), widths: tuple[int, ...] = (4, 6, 8, 10), seed: int = 0) -> State:
    make = Maker(seed)
    make.layer("model.stem.0", widths[0], 3, 4, 4)
    make.norm("model.stem.1", widths[0])
    for stage, (depth, width) in enumerate(zip(depths, widths, strict=True)):
        if stage:
            make.norm(f"model.stages.{stage}.downsample.0", widths[stage - 1])
            make.layer(f"model.stages.{stage}.downsample.1", width, widths[stage - 1], 2, 2)
        for block in range(depth):
            name = f"model.stages.{stage}.blocks.{block}"
            make.add(f"{name}.gamma", width)
            make.layer(f"{name}.conv_dw", width, 1, 7, 7)
            make.norm(f"{name}.norm", width)
            make.layer(f"{name}.mlp.fc1", 4 * width, width)
            make.layer(f"{name}.mlp.fc2", width, 4 * width)
    make.norm("model.head.norm", widths[-1])
    return {**make.state, "logit_scale": torch.tensor(2.66)}


def fsra(
    width: int = 16, depth: int = 2, side: int = 4, segments: int = 3, models: tuple[str, ...] = ("model_1",), seed: int = 0
) -> State:
    """`side` in patches; classes of buildings and of ImageNet are in the file, as in the released ones."""
    make = Maker(seed)
    for model in models:
        vit = f"{model}.transformer"
        make.add(f"{vit}.cls_token", 1, 1, width)
        make.add(f"{vit}.pos_embed", 1, side * side + 1, width)
        make.layer(f"{vit}.patch_embed.proj", width, 3, 16, 16)
        for block in range(depth):
            make.norm(f"{vit}.blocks.{block}.norm1", width)
            make.layer(f"{vit}.blocks.{block}.attn.qkv", 3 * width, width, bias=False)
            make.layer(f"{vit}.blocks.{block}.attn.proj", width, width)
            make.norm(f"{vit}.blocks.{block}.norm2", width)
            make.layer(f"{vit}.blocks.{block}.mlp.fc1", 3 * width, width)
            make.layer(f"{vit}.blocks.{block}.mlp.fc2", width, 3 * width)
        make.norm(f"{vit}.norm", width)
        make.layer(f"{vit}.fc", 1000, width)
        for head in ("classifier1", *(f"classifier_heat{index + 1}" for index in range(segments))):
            make.layer(f"{model}.{head}.add_block.0", 12, width)
            make.norm(f"{model}.{head}.add_block.1", 12, batch=True)
            make.layer(f"{model}.{head}.classifier.0", 5, 12)
    return make.state


def geodtr(
    places: Mapping[str, int] | None = None,
    widths: tuple[int, ...] = (6, 6, 6, 8),
    masks: int = 3,
    layers: int = 1,
    seed: int = 0,
) -> State:
    """`places` of the branches 'grd' and 'sat'. The stem has ResNet's own 64 channels."""
    make = Maker(seed)
    for side, count in (places or {"grd": 336, "sat": 336}).items():
        backbone, extractor, size = f"backbone_{side}.layers", f"ge_{side}", count // 2
        make.layer(f"{backbone}.0", 64, 3, 7, 7, bias=False)
        make.norm(f"{backbone}.1", 64, batch=True)
        before = 64
        for stage, width in enumerate(widths):
            name = f"{backbone}.{3 + stage}.0"
            for index, inputs in ((1, before), (2, width)):
                make.layer(f"{name}.conv{index}", width, inputs, 3, 3, bias=False)
                make.norm(f"{name}.bn{index}", width, batch=True)
            if stage or before != width:
                make.layer(f"{name}.downsample.0", width, before, 1, 1, bias=False)
                make.norm(f"{name}.downsample.1", width, batch=True)
            before = width
        for letter, shape in (("1", (count, masks, size)), ("2", (size, masks, count))):
            make.add(f"{extractor}.w{letter}", *shape, scale=shape[0] ** -0.5)
            make.add(f"{extractor}.b{letter}", 1, masks, shape[2])
        if not layers:
            continue
        make.add(f"{extractor}.tr_module.pos_encoder.linear", 2 * size, masks, size, scale=0.05)
        make.add(f"{extractor}.tr_module.pos_encoder.embedding_parameter", 1, masks, size)
        _encoder(make, f"{extractor}.tr_module.transformer_encoder", size, layers)
    return make.state


def geodtr_plus(
    places: Mapping[str, int] | None = None,
    widths: tuple[int, ...] = (4, 6, 8),
    depths: tuple[int, ...] = (1, 2, 1),
    masks: int = 3,
    layers: int = 1,
    seed: int = 0,
) -> State:
    """GeoDTR+ on torchvision's ConvNeXt, up to its third stage."""
    make = Maker(seed)
    for side, count in (places or {"grd": 287, "sat": 287}).items():
        net, extractor, width, size = f"backbone_{side}.net", f"GLE_{side}", widths[-1], count // 2
        make.layer(f"{net}.0.0", widths[0], 3, 4, 4)
        make.norm(f"{net}.0.1", widths[0])
        for stage, (depth, own) in enumerate(zip(depths, widths, strict=True)):
            if stage:
                make.norm(f"{net}.{2 * stage}.0", widths[stage - 1])
                make.layer(f"{net}.{2 * stage}.1", own, widths[stage - 1], 2, 2)
            for block in range(depth):
                name = f"{net}.{2 * stage + 1}.{block}"
                make.add(f"{name}.layer_scale", own, 1, 1)
                make.layer(f"{name}.block.0", own, 1, 7, 7)
                make.norm(f"{name}.block.2", own)
                make.layer(f"{name}.block.3", 4 * own, own)
                make.layer(f"{name}.block.5", own, 4 * own)
        for letter, shape in (("1", (masks, count, size)), ("2", (masks, size, count))):
            make.add(f"{extractor}.w{letter}", *shape, scale=shape[1] ** -0.5)
            make.add(f"{extractor}.b{letter}", 1, masks, shape[2])
        make.layer(f"{extractor}.pointwise", masks, width)
        if layers:
            make.add(f"{extractor}.pe.pe", 1, count, width)
            _encoder(make, f"{extractor}.transformer_encoder", width, layers)
    return make.state


def _encoder(make: Maker, name: str, size: int, layers: int) -> None:
    """torch's TransformerEncoder."""
    for layer in range(layers):
        own = f"{name}.layers.{layer}"
        make.add(f"{own}.self_attn.in_proj_weight", 3 * size, size, scale=size**-0.5)
        make.add(f"{own}.self_attn.in_proj_bias", 3 * size)
        make.layer(f"{own}.self_attn.out_proj", size, size)
        make.layer(f"{own}.linear1", 20, size)
        make.layer(f"{own}.linear2", size, 20)
        make.norm(f"{own}.norm1", size)
        make.norm(f"{own}.norm2", size)
    make.norm(f"{name}.norm", size)
