"""VLAD over the local features of a frozen model, as AnyLoc pools them (Keetha et al. 2023, "AnyLoc", Section III-B).

A vocabulary of visual words is learned without labels from local features. An image's descriptor is, word by
word, the sum of residuals of the tokens nearest to it (Jegou et al. 2010), each word's part of unit length (Arandjelovic &
Zisserman 2013, "All about VLAD"). As in AnyLoc's released code, tokens are scaled to unit length first, belong to the word of
the highest cosine, and words are means of their tokens, not scaled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from cvgl.backbones.device import apply_precision
from cvgl.backbones.timm_embedder import TimmEmbedder, load_timm
from cvgl.backbones.vocabulary import Vocabulary, read_vocabulary
from cvgl.config import BackboneConfig, Device, Pooling, Precision
from cvgl.errors import ConfigError

if TYPE_CHECKING:
    from PIL.Image import Image

    from cvgl.types import Float32Array

IMPLEMENTATION = 1  # raised whenever the same image and vocabulary would give another descriptor
_POOLING_KEYS = ("pooling", "gem_p", "rings")


def vlad(rows: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
    """Pools tokens by visual words.

    Args:
        rows: (B, N, C) float32, unit rows.
        words: (k, C).

    Returns:
        (B, k C), unit rows; zero where every token lies exactly on its word.
    """
    nearest = (rows @ F.normalize(words, dim=1).T).argmax(dim=2)
    belongs = F.one_hot(nearest, len(words)).to(rows.dtype)
    residuals = belongs.transpose(1, 2) @ rows - belongs.sum(dim=1)[:, :, None] * words
    return F.normalize(F.normalize(residuals, dim=2).flatten(1), dim=1)


@dataclass(frozen=True, slots=True)
class VladEmbedder:
    """Follows `cvgl.types.Embedder`."""

    base: TimmEmbedder
    vocabulary: Vocabulary  # on the base's device

    @property
    def dimension(self) -> int:
        """Length of a descriptor."""
        return sum(words.numel() for words in self.vocabulary.words)

    @property
    def identity(self) -> Mapping[str, str | int | float]:
        """Everything that changes a descriptor, by name."""
        own: dict[str, str | int | float] = {
            "pooling": str(Pooling.VLAD),
            "clusters": self.vocabulary.clusters,
            "vocabulary": self.vocabulary.sha256,
            "vlad_implementation": IMPLEMENTATION,
        }
        return {**without_pooling(self.base.identity), **own}

    def prepare(self, image: Image) -> Float32Array:
        """RGB image -> model input, float32 (3, H, W)."""
        return self.base.prepare(image)

    def embed(self, batch: Float32Array) -> Float32Array:
        """float32 (B, 3, H, W) -> float32 (B, k times the layers' sizes), unit rows."""
        with torch.inference_mode():
            layers = local_rows(self.base, batch)
            parts = [vlad(rows, words) for rows, words in zip(layers, self.vocabulary.words, strict=True)]
            return F.normalize(torch.cat(parts, dim=1), dim=1).cpu().numpy()


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A frozen model without pooling, the source of visual words. Follows `cvgl.types.Embedder`.

    Attributes:
        shapes: tokens and size (N, C) of each layer.
    """

    base: TimmEmbedder
    shapes: tuple[tuple[int, int], ...]

    @property
    def dimension(self) -> int:
        """Length of a descriptor."""
        return sum(tokens * size for tokens, size in self.shapes)

    @property
    def identity(self) -> Mapping[str, str | int | float]:
        """Everything about the model that changes a local descriptor."""
        return without_pooling(self.base.identity)

    def prepare(self, image: Image) -> Float32Array:
        """RGB image -> model input, float32 (3, H, W)."""
        return self.base.prepare(image)

    def embed(self, batch: Float32Array) -> Float32Array:
        """float32 (B, 3, H, W) -> all tokens of all layers in one row, float32 (B, sum of N C); see `tokens`."""
        with torch.inference_mode():
            return torch.cat([rows.flatten(1) for rows in local_rows(self.base, batch)], dim=1).cpu().numpy()

    def tokens(self, row: Float32Array) -> list[Float32Array]:
        """One row of `embed` -> for each layer (N, C), unit rows."""
        ends = np.cumsum([tokens * size for tokens, size in self.shapes])
        return [part.reshape(shape) for part, shape in zip(np.split(row, ends[:-1]), self.shapes, strict=True)]


def without_pooling(identity: Mapping[str, str | int | float]) -> dict[str, str | int | float]:
    """The part of an identity that concerns tokens, without pooling."""
    return {name: value for name, value in identity.items() if name not in _POOLING_KEYS}


def local_rows(base: TimmEmbedder, batch: Float32Array) -> list[torch.Tensor]:
    """The tokens of each layer, (B, N, C) float32 of unit length, on the model's device."""
    with apply_precision(base.device, base.precision):
        layers = base.network.local(torch.from_numpy(batch).to(base.device))
    return [F.normalize(layer.rows.float(), dim=-1) for layer in layers]


def load_vlad(config: BackboneConfig, device: Device, precision: Precision) -> VladEmbedder:
    """Loads a frozen model and the visual words that its tokens are pooled by.

    Args:
        config: `vocabulary` is a file.
        device: see `cvgl.backbones.load`.
        precision: likewise.

    Raises:
        ConfigError: no vocabulary is given, or it is of another model or number of clusters.
        ConfigError, ModelError: see `cvgl.backbones.load`.
    """
    if config.vocabulary is None:
        raise ConfigError(
            "pooling 'vlad' needs visual words",
            where="backbone.vocabulary",
            fix="`cvgl extract` learns them from the training images of a dataset; in Python, give their file",
        )
    vocabulary = read_vocabulary(Path(config.vocabulary).expanduser())
    return pooled(load_local(config, device, precision), vocabulary, config)


def pooled(model: LocalModel, vocabulary: Vocabulary, config: BackboneConfig) -> VladEmbedder:
    """The model with its tokens pooled by a vocabulary.

    Raises:
        ConfigError: the vocabulary is of another model or number of clusters.
    """
    _check_fit(vocabulary, model.shapes, config)
    return VladEmbedder(model.base, Vocabulary(tuple(words.to(model.base.device) for words in vocabulary.words)))


def _check_fit(vocabulary: Vocabulary, shapes: Sequence[tuple[int, int]], config: BackboneConfig) -> None:
    sizes, expected = [words.shape[1] for words in vocabulary.words], [size for _, size in shapes]
    if sizes != expected:
        raise ConfigError(
            f"the vocabulary has words of {sizes} numbers, and the local descriptors of '{config.name}' have {expected}",
            where=config.vocabulary or "",
            fix="use the model and the layers that the vocabulary was learned with, or leave --vocabulary out",
        )
    if vocabulary.clusters != config.clusters:
        raise ConfigError(
            f"the vocabulary has {vocabulary.clusters} words, not {config.clusters}",
            where=config.vocabulary or "",
            fix=f"use --clusters {vocabulary.clusters}, or leave --vocabulary out",
        )


def load_local(config: BackboneConfig, device: Device, precision: Precision) -> LocalModel:
    """Loads a frozen model without its pooling.

    Raises:
        ConfigError: the model has no local descriptors, or rings are set.
        ConfigError, ModelError: see `cvgl.backbones.load`.
    """
    if config.name == "gist":
        raise ConfigError(
            "the backbone 'gist' has no local descriptors for pooling 'vlad'", where="backbone.pooling", fix="name a timm model"
        )
    if config.rings > 1:
        raise ConfigError(
            "pooling 'vlad' has no rings", where="backbone.rings", fix="use one ring, or pooling gem, mean or max"
        )
    base = load_timm(config.model_copy(update={"pooling": Pooling.MEAN}), device, precision)
    probe = np.zeros((1, 3, base.preprocessing.height, base.preprocessing.width), np.float32)
    with torch.inference_mode():
        shapes = tuple((rows.shape[1], rows.shape[2]) for rows in local_rows(base, probe))
    return LocalModel(base, shapes)
