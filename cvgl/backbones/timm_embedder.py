"""Any timm model as the frozen f0."""

from __future__ import annotations

import difflib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from cvgl.backbones import checkpoint, hierarchical
from cvgl.backbones.device import apply_precision, resolve
from cvgl.backbones.pooling import Head
from cvgl.backbones.preprocessing import Preprocessing
from cvgl.backbones.transformer import FacetPooling, is_plain
from cvgl.config import BackboneConfig, Device, Facet, Pooling, Precision
from cvgl.errors import ConfigError, ModelError
from cvgl.hashing import sha256_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import ModuleType

    from PIL.Image import Image

    from cvgl.types import Float32Array

IMPLEMENTATION = 1  # raised whenever the same picture would get another descriptor


@dataclass(frozen=True, slots=True)
class TimmEmbedder:
    """Follows `cvgl.types.Embedder`."""

    network: FacetPooling | hierarchical.StagePooling
    preprocessing: Preprocessing
    device: torch.device
    precision: Precision
    name: str
    weights_sha256: str
    dimension: int

    @property
    def identity(self) -> Mapping[str, str | int | float]:
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
            "precision": str(self.precision),
            "implementation": f"timm-{IMPLEMENTATION}",
            **self.preprocessing.identity(),
        }

    def prepare(self, image: Image) -> Float32Array:
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
    apply_precision(target, precision)  # refuses now what would otherwise fail at the first batch
    model = _build(timm, config)
    preprocessing = _preprocessing(timm, model, config)
    given: dict[str, torch.Tensor] | None = None
    if config.checkpoint is not None:
        path = Path(config.checkpoint).expanduser()
        given, weights_sha256 = _fitted(path, model, config.name), sha256_file(path)
    else:
        weights_sha256 = checkpoint.sha256_tensors(model.state_dict())
    network = (_plain if is_plain(model) else _staged)(model, config, given)
    network.eval().requires_grad_(False).to(target)
    dimension = _dimension(network, preprocessing, target)
    return TimmEmbedder(network, preprocessing, target, precision, config.name, weights_sha256, dimension)


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
    _check_name(timm, config.name)
    arguments: dict[str, Any] = {"num_classes": 0, "pretrained": config.checkpoint is None}
    if config.image_size is None:
        return _create(timm, config, arguments)
    try:
        return _create(timm, config, {**arguments, "img_size": config.image_size})
    except TypeError as error:
        if "img_size" not in str(error):
            raise
        return _create(timm, config, arguments)  # convolutional models take any size and have no such argument


def _check_name(timm: ModuleType, name: str) -> None:
    architecture = name.split(".")[0]
    if ":" in name or timm.is_model(architecture):  # hf-hub:owner/model is resolved by timm itself
        return
    close = difflib.get_close_matches(architecture, timm.list_models(), n=3)
    hint = f"did you mean {', '.join(close)}? " if close else ""
    raise ModelError(
        f"timm {timm.__version__} has no model '{name}'",
        where="--backbone",
        fix=f"{hint}`python -c 'import timm; print(timm.list_models())'` prints all names; 'gist' needs no weights",
    )


def _create(timm: ModuleType, config: BackboneConfig, arguments: dict[str, Any]) -> Any:
    try:
        return timm.create_model(config.name, **arguments)
    except TypeError:
        raise
    except (AssertionError, ValueError) as error:
        raise ConfigError(
            f"'{config.name}' cannot be built at {config.image_size or 'its own'} pixels: {error}",
            where="backbone.image_size",
            fix="choose another size, or leave it out",
        ) from error
    except Exception as error:
        if not arguments["pretrained"]:
            raise
        # The hub's clients raise errors of several libraries; whatever it is, the way out is the same.
        raise ModelError(
            f"the weights of '{config.name}' cannot be had from the hub ({type(error).__name__}: {_first_line(error)})",
            where="--backbone",
            fix="give local weights with --checkpoint FILE, connect to the network once, or use the backbone 'gist'",
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0]


def _preprocessing(timm: ModuleType, model: Any, config: BackboneConfig) -> Preprocessing:
    wanted = timm.data.resolve_data_config({}, model=model)
    height, width = (config.image_size,) * 2 if config.image_size else wanted["input_size"][-2:]
    patch = getattr(getattr(model, "patch_embed", None), "patch_size", (1, 1))
    for side, step in zip((height, width), patch, strict=True):
        if side % step:
            raise ConfigError(
                f"'{config.name}' cuts its input into patches of {step} pixels, which {side} is not a multiple of",
                where="backbone.image_size",
                fix=f"use {max(step, round(side / step) * step)}",
            )
    return Preprocessing(height, width, tuple(wanted["mean"]), tuple(wanted["std"]), wanted["interpolation"])


def _fitted(path: Path, model: Any, name: str) -> dict[str, torch.Tensor]:
    """Weights under the model's own names, converted as timm converts them (old names, resampled positions)."""
    known = list(model.state_dict())
    given = checkpoint.restore_names(checkpoint.read_checkpoint(path), known)
    convert = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    if convert is not None:
        try:
            given = convert(given, model)
        except (KeyError, IndexError, AttributeError, RuntimeError, ValueError, TypeError, AssertionError) as error:
            raise checkpoint.misfit(path, name, set(known) - set(given), set(given) - set(known)) from error
    given = checkpoint.restore_names(given, known)
    unexpected = set(given) - set(known) - _of_classifier(model, given)
    wrong_shape = {key for key, tensor in model.state_dict().items() if key in given and given[key].shape != tensor.shape}
    if unexpected or wrong_shape:
        missing = set(known) - set(given)
        raise checkpoint.misfit(path, name, missing | {f"{key} (other shape)" for key in wrong_shape}, unexpected)
    return given


def _of_classifier(model: Any, given: dict[str, torch.Tensor]) -> set[str]:
    """Names of a classifier's weights, which a model without one rightly does not want."""
    layers = getattr(model, "pretrained_cfg", {}).get("classifier") or ()
    layers = (layers,) if isinstance(layers, str) else tuple(layers)
    prefixes = (*(f"{layer}." for layer in layers), "head.", "fc_norm.", "mask_token")
    return {key for key in given if key.startswith(prefixes)}


def _plain(model: Any, config: BackboneConfig, given: dict[str, torch.Tensor] | None) -> FacetPooling:
    facet = Facet.VALUE if config.facet is Facet.AUTO else config.facet
    pooling = Pooling.GEM if config.pooling is Pooling.AUTO else config.pooling
    if given is not None:
        _fill(model, config, given, set(model.state_dict()) - set(given))
    return FacetPooling(model, config.layers, facet, pooling, config.gem_p, config.rings)


def _staged(model: Any, config: BackboneConfig, given: dict[str, torch.Tensor] | None) -> hierarchical.StagePooling:
    facet = Facet.TOKEN if config.facet is Facet.AUTO else config.facet
    pooling = Pooling.MEAN if config.pooling is Pooling.AUTO else config.pooling
    hierarchical.check(model, config.name, facet, pooling)
    stages, missing = hierarchical.cut(model, config.layers, lambda names: names if given is None else names & set(given))
    if given is not None:
        _fill(model, config, given, missing)
    return hierarchical.StagePooling(model, stages, pooling, config.gem_p, config.rings)


def _fill(model: Any, config: BackboneConfig, given: dict[str, torch.Tensor], missing: set[str]) -> None:
    if missing:
        raise checkpoint.misfit(Path(str(config.checkpoint)), config.name, missing, set())
    wanted = set(model.state_dict())
    model.load_state_dict({key: tensor for key, tensor in given.items() if key in wanted}, strict=True)


def _dimension(network: torch.nn.Module, preprocessing: Preprocessing, device: torch.device) -> int:
    """Length of a descriptor, and proof that the model accepts its input size, by one forward pass of an empty picture."""
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
