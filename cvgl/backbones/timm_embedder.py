"""Any timm model as the frozen f0."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from cvgl.backbones import checkpoint, hierarchical, positions
from cvgl.backbones.device import apply_precision, resolve
from cvgl.backbones.pooling import Head
from cvgl.backbones.preprocessing import Preprocessing
from cvgl.backbones.presets import check_name
from cvgl.backbones.transformer import FacetPooling, is_plain
from cvgl.config import BackboneConfig, Device, Facet, Pooling, PositionResampling, Precision, Preprocess
from cvgl.errors import ConfigError, ModelError
from cvgl.hashing import sha256_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import ModuleType

    from PIL.Image import Image

    from cvgl.types import Float32Array

IMPLEMENTATION = 1  # raised whenever the same image would get another descriptor
_RELEASED_SIZE, _RELEASED_RESIZE = 252, 256  # pixels; 252 is 18 patches of 14
_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # mean and deviation of each channel


@dataclass(frozen=True, slots=True)
class TimmEmbedder:
    """Follows `cvgl.types.Embedder`.

    Attributes:
        resampled: method by which learned positions were fitted to the input size; None where they already fitted.
    """

    network: FacetPooling | hierarchical.StagePooling
    preprocessing: Preprocessing
    device: torch.device
    precision: Precision
    name: str
    weights_sha256: str
    dimension: int
    resampled: PositionResampling | None = None

    @property
    def identity(self) -> Mapping[str, str | int | float]:
        """Everything that changes a descriptor, by name."""
        return self.identity_of(self.network.head)

    def identity_of(self, head: Head) -> Mapping[str, str | int | float]:
        """The identity of the same model with another head."""
        layers = [self.network.layers[position] for position in head.positions]
        return {
            "backbone": self.name,
            "weights_sha256": self.weights_sha256,
            "facet": str(self.network.facet),
            "layer": layers[0] if len(layers) == 1 else ",".join(map(str, layers)),
            "pooling": str(head.pooling),
            **({"gem_p": head.gem_p} if head.pooling is Pooling.GEM else {}),
            **({"rings": head.rings} if head.rings > 1 else {}),
            **({"cells": head.cells} if head.cells > 1 else {}),
            **({"final_norm": "yes"} if getattr(self.network, "final_norm", False) else {}),
            **({"position_resampling": self.resampled.stored} if self.resampled is not None else {}),
            "precision": str(self.precision),
            "implementation": f"timm-{IMPLEMENTATION}",
            **self.preprocessing.identity(),
        }

    def prepare(self, image: Image) -> Float32Array:
        """RGB image -> model input, float32 (3, H, W)."""
        return self.preprocessing(image)

    def embed(self, batch: Float32Array) -> Float32Array:
        """float32 (B, 3, H, W) -> float32 (B, d0), unit rows."""
        return self.embed_with((self.network.head,), batch)[0]

    def embed_with(self, heads: Sequence[Head], batch: Float32Array) -> list[Float32Array]:
        """One pass through the model for several heads: for each, float32 (B, d), unit rows."""
        with torch.inference_mode(), apply_precision(self.device, self.precision):
            local = self.network.local(torch.from_numpy(batch).to(self.device))
            return [F.normalize(head(local).float(), dim=1).cpu().numpy() for head in heads]


def load_timm(config: BackboneConfig, device: Device, precision: Precision) -> TimmEmbedder:
    """Builds the model, fills it with weights, cuts it behind the layer that is used.

    Raises:
        ConfigError, ModelError: see `cvgl.backbones.load`.
    """
    timm = import_timm()
    target = resolve(device)
    apply_precision(target, precision)  # fails here rather than at the first batch
    model = _build(timm, config)
    preprocessing = _preprocessing(timm, model, config)
    weights: dict[str, torch.Tensor] | None = None
    if config.checkpoint is not None:
        path = Path(config.checkpoint).expanduser()
        weights, weights_sha256 = _fitted(path, model, config.name), sha256_file(path)
    else:
        weights_sha256 = checkpoint.sha256_tensors(model.state_dict())
    network: FacetPooling | hierarchical.StagePooling
    if is_plain(model):
        network, resampled = _plain(model, config, weights, (preprocessing.height, preprocessing.width))
    else:
        network, resampled = _staged(model, config, weights), None
    network.head = replace(network.head, cells=config.cells)
    network.eval().requires_grad_(False).to(target)
    dimension = _dimension(network, preprocessing, target)
    return TimmEmbedder(network, preprocessing, target, precision, config.name, weights_sha256, dimension, resampled)


def import_timm() -> ModuleType:
    """Imports timm, with a remedy for the one way in which that commonly fails.

    Raises:
        ModelError: torch and torchvision are of different builds.
    """
    try:
        import timm
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        raise ModelError(
            f"torch {torch.__version__} and the installed torchvision are of different builds ({error})",
            where="import timm",
            fix="install both from one source in one command, e.g. `pip install --force-reinstall torch torchvision`",
        ) from error
    return timm  # type: ignore[no-any-return, unused-ignore]  # timm has no stubs


def _build(timm: ModuleType, config: BackboneConfig) -> Any:
    """The model, with the hub's weights unless there is a checkpoint.

    A transformer with learned positions is built at the size of its weights and gets its input size later, with its positions;
    others may need their size when built, and convolutional ones take any.
    """
    check_name(timm, config.name)
    arguments: dict[str, Any] = {"num_classes": 0, "pretrained": config.checkpoint is None}
    native, size = _create(timm, config, arguments), _input_size(config)
    if size is None or (is_plain(native) and positions.has_learned_positions(native)):
        return native
    try:
        return _create(timm, config, {**arguments, "img_size": size})
    except TypeError as error:
        if "img_size" not in str(error):
            raise
        return native


def _input_size(config: BackboneConfig) -> int | None:
    """Side in pixels; none for the model's own."""
    return config.image_size or (_RELEASED_SIZE if config.preprocessing is Preprocess.RELEASED else None)


def _create(timm: ModuleType, config: BackboneConfig, arguments: dict[str, Any]) -> Any:
    try:
        return timm.create_model(config.name, **arguments)
    except TypeError:
        raise
    except (AssertionError, ValueError) as error:
        raise ConfigError(
            f"'{config.name}' cannot be built at {arguments.get('img_size', 'its own')} pixels: {error}",
            where="backbone.image_size",
            fix="choose another size, or leave it out",
        ) from error
    except Exception as error:
        if ":" in config.name and not arguments["pretrained"]:
            raise ModelError(
                f"the model '{config.name}' cannot be looked up on the hub ({type(error).__name__}: {_first_line(error)})",
                where="--backbone",
                fix="give timm's own name of the model, or connect to the network once",
            ) from error
        if not arguments["pretrained"]:
            raise
        # The hub's clients raise errors of several libraries; the remedy is the same for all.
        raise ModelError(
            f"the weights of '{config.name}' cannot be downloaded from the hub ({type(error).__name__}: {_first_line(error)})",
            where="--backbone",
            fix="give local weights with --checkpoint FILE, connect to the network once, or use the backbone 'gist'",
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0]


def _preprocessing(timm: ModuleType, model: Any, config: BackboneConfig) -> Preprocessing:
    published = timm.data.resolve_data_config({}, model=model)
    size = _input_size(config)
    height, width = (size, size) if size else published["input_size"][-2:]
    patch = getattr(getattr(model, "patch_embed", None), "patch_size", (1, 1))
    for side, step in zip((height, width), patch, strict=True):
        if side % step:
            raise ConfigError(
                f"'{config.name}' cuts its input into patches of {step} pixels, which {side} is not a multiple of",
                where="backbone.image_size",
                fix=f"use {max(step, round(side / step) * step)}",
            )
    channel_statistics = tuple(published["mean"]), tuple(published["std"])
    if config.preprocessing is Preprocess.WHOLE:
        return Preprocessing(height, width, *channel_statistics, published["interpolation"])
    if config.preprocessing is Preprocess.RELEASED:
        resize = config.resize or round(height * _RELEASED_RESIZE / _RELEASED_SIZE)
        return Preprocessing(height, width, *_IMAGENET, "bicubic", Preprocess.RELEASED, resize)
    if height != width or published["crop_mode"] not in ("center", "squash"):
        raise ConfigError(
            f"timm's evaluation of '{config.name}' pads images or cuts out a rectangle, which is not built here",
            where="backbone.preprocessing",
            fix="use whole or released",
        )
    resize, squashed = config.resize or math.floor(height / published["crop_pct"]), published["crop_mode"] == "squash"
    return Preprocessing(height, width, *channel_statistics, published["interpolation"], Preprocess.NATIVE, resize, squashed)


def _fitted(path: Path, model: Any, name: str) -> dict[str, torch.Tensor]:
    """Weights under the model's own names, converted as timm converts them (old names, resampled positions)."""
    names = list(model.state_dict())
    weights = checkpoint.restore_names(checkpoint.read_checkpoint(path), names)
    if is_plain(model):
        positions.match_checkpoint(model, weights)
    convert = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    if convert is not None:
        try:
            weights = convert(weights, model)
        except (KeyError, IndexError, AttributeError, RuntimeError, ValueError, TypeError, AssertionError) as error:
            raise checkpoint.misfit(path, name, set(names) - set(weights), set(weights) - set(names)) from error
    weights = checkpoint.restore_names(weights, names)
    unexpected = set(weights) - set(names) - _of_classifier(model, weights)
    wrong_shape = {key for key, tensor in model.state_dict().items() if key in weights and weights[key].shape != tensor.shape}
    if unexpected or wrong_shape:
        missing = set(names) - set(weights)
        raise checkpoint.misfit(path, name, missing | {f"{key} (other shape)" for key in wrong_shape}, unexpected)
    return weights


def _of_classifier(model: Any, weights: dict[str, torch.Tensor]) -> set[str]:
    """Names of a classifier's weights, which a model without one does not use."""
    layers = getattr(model, "pretrained_cfg", {}).get("classifier") or ()
    layers = (layers,) if isinstance(layers, str) else tuple(layers)
    prefixes = (*(f"{layer}." for layer in layers), "head.", "fc_norm.", "mask_token")
    return {key for key in weights if key.startswith(prefixes)}


def _plain(
    model: Any, config: BackboneConfig, weights: dict[str, torch.Tensor] | None, size: tuple[int, int]
) -> tuple[FacetPooling, PositionResampling | None]:
    facet = Facet.VALUE if config.facet is Facet.AUTO else config.facet
    pooling = Pooling.GEM if config.pooling is Pooling.AUTO else config.pooling
    if weights is not None:
        _fill(model, config, weights, set(model.state_dict()) - set(weights))
    resampled = positions.fit_positions(model, size, config.position_resampling)
    network = FacetPooling(model, config.layers, facet, pooling, config.gem_p, config.rings, config.final_norm)
    return network, resampled


def _staged(model: Any, config: BackboneConfig, weights: dict[str, torch.Tensor] | None) -> hierarchical.StagePooling:
    facet = Facet.TOKEN if config.facet is Facet.AUTO else config.facet
    pooling = Pooling.MEAN if config.pooling is Pooling.AUTO else config.pooling
    hierarchical.check(model, config.name, facet, pooling)
    if config.position_resampling is not PositionResampling.BICUBIC:
        raise positions.no_positions(config.position_resampling)
    if config.final_norm:
        raise ConfigError(f"'{config.name}' has no tokens to normalise", where="backbone.final_norm", fix="leave it out")
    stages, missing = hierarchical.cut(model, config.layers, lambda names: names if weights is None else names & set(weights))
    if weights is not None:
        _fill(model, config, weights, missing)
    return hierarchical.StagePooling(model, stages, pooling, config.gem_p, config.rings)


def _fill(model: Any, config: BackboneConfig, weights: dict[str, torch.Tensor], missing: set[str]) -> None:
    if missing:
        raise checkpoint.misfit(Path(str(config.checkpoint)), config.name, missing, set())
    names = set(model.state_dict())
    model.load_state_dict({key: tensor for key, tensor in weights.items() if key in names}, strict=True)


def _dimension(network: torch.nn.Module, preprocessing: Preprocessing, device: torch.device) -> int:
    """Length of a descriptor, and proof that the model accepts its input size, by one forward pass of an empty image."""
    probe = torch.zeros(1, 3, preprocessing.height, preprocessing.width, device=device)
    try:
        with torch.inference_mode():
            return int(network(probe).shape[1])
    except (AssertionError, RuntimeError) as error:
        if "memory" in str(error):
            raise
        raise ConfigError(
            f"the model does not accept {preprocessing.width} x {preprocessing.height} pixels: {_first_line(error)}",
            where="backbone.image_size",
            fix="leave it out, or choose another",
        ) from error
