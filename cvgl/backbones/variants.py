"""Several descriptors of one frozen model from one forward pass, for the choice of layers and rings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cvgl.config import BackboneConfig, Device, Pooling, Precision
from cvgl.errors import ConfigError
from cvgl.types import Embedder

if TYPE_CHECKING:
    from PIL.Image import Image

    from cvgl.backbones.pooling import Head
    from cvgl.backbones.timm_embedder import TimmEmbedder
    from cvgl.types import Float32Array


@dataclass(frozen=True, slots=True)
class Variant:
    """One candidate descriptor.

    Attributes:
        config: of its embedder.
        identity: of that embedder.
        columns: its columns in a row of `Variants.embed`.
    """

    config: BackboneConfig
    identity: Mapping[str, str | int | float]
    columns: slice


@dataclass(frozen=True, slots=True)
class Variants:
    """Follows `cvgl.types.Embedder`; a row holds the descriptors of all variants, each of unit length, side by side."""

    base: Embedder | TimmEmbedder
    heads: tuple[Head, ...]  # none for a model with one descriptor only
    variants: tuple[Variant, ...]

    @property
    def dimension(self) -> int:
        """Length of a descriptor."""
        stop: int = self.variants[-1].columns.stop
        return stop

    @property
    def identity(self) -> Mapping[str, str | int | float]:
        """Everything that changes a descriptor, by name."""
        named = ";".join(f"{variant.identity['layer']}/{variant.identity.get('rings', 1)}" for variant in self.variants)
        return {**self.variants[0].identity, "variants": named}

    def prepare(self, image: Image) -> Float32Array:
        """RGB image -> model input, float32 (3, H, W)."""
        return self.base.prepare(image)

    def embed(self, batch: Float32Array) -> Float32Array:
        """float32 (B, 3, H, W) -> float32 (B, sum of d)."""
        from cvgl.backbones.timm_embedder import TimmEmbedder

        if not isinstance(self.base, TimmEmbedder):
            return self.base.embed(batch)
        return np.concatenate(self.base.embed_with(self.heads, batch), axis=1)


def load_variants(
    config: BackboneConfig,
    rings: Sequence[int],
    more_layers: bool,
    device: Device = Device.AUTO,
    precision: Precision = Precision.FLOAT32,
) -> Variants:
    """Loads a frozen model once for several layers and rings.

    Args:
        config: the model; its layers, when they are given, are the only ones.
        rings: numbers of rings to offer; those that do not fit the model's grid, or its pooling, are left out.
        more_layers: also offer the layer before the model's own, joined to it.
        device: see `cvgl.backbones.load`.
        precision: see `cvgl.backbones.load`.

    Returns:
        The variants; the first is `config` itself.

    Raises:
        ConfigError, ModelError: see `cvgl.backbones.load`.
    """
    from cvgl.backbones import load
    from cvgl.backbones.timm_embedder import TimmEmbedder, load_timm

    base = load(config, device, precision)
    if not isinstance(base, TimmEmbedder):
        return Variants(base, (), (Variant(config, base.identity, slice(0, base.dimension)),))
    embedder = base
    if more_layers and config.layers is None and base.network.layers[0] > 0:
        layer = base.network.layers[0]
        embedder = load_timm(config.model_copy(update={"layers": (layer - 1, layer)}), device, precision)
    heads = _heads(embedder, config, rings)
    widths = [row.shape[1] for row in embedder.embed_with(heads, _probe(embedder))]
    ends = np.cumsum(widths).tolist()
    variants = tuple(
        Variant(_config(config, embedder, head), embedder.identity_of(head), slice(end - width, end))
        for head, width, end in zip(heads, widths, ends, strict=True)
    )
    return Variants(embedder, heads, variants)


def _heads(embedder: TimmEmbedder, config: BackboneConfig, rings: Sequence[int]) -> tuple[Head, ...]:
    """The head that the settings name, then the others that fit."""
    from cvgl.backbones.pooling import Head

    network = embedder.network
    all_layers = tuple(range(len(network.layers)))
    default_layers = all_layers if config.layers is not None else all_layers[-1:]
    pooling, gem_p = network.head.pooling, network.head.gem_p
    divisible = pooling is not Pooling.CLS and network.head.cells == 1
    counts = [config.rings, *(count for count in rings if count == 1 or divisible)]
    candidates = [
        Head(positions, count, pooling, gem_p, network.head.cells)
        for positions in dict.fromkeys((default_layers, all_layers))
        for count in dict.fromkeys(counts)
    ]
    return tuple(head for head in candidates if _fits(embedder, head))


def _fits(embedder: TimmEmbedder, head: Head) -> bool:
    try:
        embedder.embed_with((head,), _probe(embedder))
    except ConfigError:
        return False
    return True


def _probe(embedder: TimmEmbedder) -> Float32Array:
    return np.zeros((1, 3, embedder.preprocessing.height, embedder.preprocessing.width), np.float32)


def _config(config: BackboneConfig, embedder: TimmEmbedder, head: Head) -> BackboneConfig:
    """The settings with a head's layers and rings; the model's own layer stays unnamed, as it was given."""
    layers = tuple(embedder.network.layers[position] for position in head.positions)
    own = config.layers is None and layers == embedder.network.layers[-1:]
    return config.model_copy(update={"layers": config.layers if own else layers, "rings": head.rings})
