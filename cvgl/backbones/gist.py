"""A descriptor that needs no weights: GIST with colour, as IM2GPS used (Hays & Efros 2008, Section 3).

Three parts, each of unit length before it is weighted:

- GIST (Oliva & Torralba 2001): energies of 4 scales x 8 orientations in a 4 x 4 grid, on locally contrast-normalised
  luminance. Square roots keep single strong edges from deciding alone, and each scale loses its mean, so that what is
  compared is where and in which direction there is structure and not how much texture the sensor resolves.
- The L*a*b* means of the grid's cells, L* relative to the image's own mean: exposure differs between the views.
- A joint L*a*b* histogram (Hellinger), which does not depend on heading.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cvgl.backbones.colour import luminance, to_lab
from cvgl.backbones.gabor import GRID, ORIENTATIONS, SCALES, cell_means, energies, filter_bank, prefilter
from cvgl.backbones.preprocessing import Preprocessing
from cvgl.config import BackboneConfig, Facet, Pooling, PositionResampling, Preprocess
from cvgl.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from PIL.Image import Image

    from cvgl.types import Float32Array

IMPLEMENTATION = 1  # raised whenever the same image would get another descriptor
DEFAULT_SIZE = 128
_SIZE_STEP = 32  # padded sizes stay divisible by the coarsest scale's reduction
_WEIGHTS = (1.0, 0.5, 0.5)  # structure leads, both colour parts together weigh half as much in a product of descriptors
_LIGHTNESS_BINS, _CHROMA_BINS = 4, 7
_LIGHTNESS_STEP, _CHROMA_STEP = 25.0, 10.0  # chroma beyond +-35 is rare in aerial imagery and shares the outer bins


@dataclass(frozen=True, slots=True)
class GistEmbedder:
    """Follows `cvgl.types.Embedder`. Runs on the CPU in float32."""

    preprocessing: Preprocessing

    @classmethod
    def from_config(cls, config: BackboneConfig) -> GistEmbedder:
        """Raises ConfigError for settings that have no meaning without a network."""
        is_set = {
            "checkpoint": config.checkpoint is not None,
            "layer": config.layers is not None,
            "facet": config.facet is not Facet.AUTO,
            "pooling": config.pooling is not Pooling.AUTO,
            "rings": config.rings != 1,
            "cells": config.cells != 1,
            "preprocessing but of the whole image": config.preprocessing is not Preprocess.WHOLE,
            "positions": config.position_resampling is not PositionResampling.BICUBIC,
            "final_norm": config.final_norm,
        }
        unsupported = [name for name, set_by_user in is_set.items() if set_by_user]
        if unsupported:
            raise ConfigError(
                f"the backbone 'gist' has no {', '.join(unsupported)}",
                where="backbone",
                fix="leave the setting out, or name a timm model",
            )
        size = config.image_size or DEFAULT_SIZE
        if size % _SIZE_STEP:
            raise ConfigError(
                f"the backbone 'gist' works at multiples of {_SIZE_STEP} pixels, not at {size}",
                where="backbone.image_size",
                fix=f"use {max(_SIZE_STEP, round(size / _SIZE_STEP) * _SIZE_STEP)}",
            )
        return cls(Preprocessing(size, size, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)))

    @property
    def dimension(self) -> int:
        """Length of a descriptor."""
        return GRID * GRID * (SCALES * ORIENTATIONS + 3) + _LIGHTNESS_BINS * _CHROMA_BINS**2

    @property
    def identity(self) -> Mapping[str, str | int | float]:
        """Everything that changes a descriptor, by name."""
        return {
            "backbone": "gist",
            "weights_sha256": "none",
            "facet": "none",
            "layer": "none",
            "pooling": f"grid{GRID}",
            "precision": "float32",
            "implementation": f"gist-{IMPLEMENTATION}",
            **self.preprocessing.identity(),
        }

    def prepare(self, image: Image) -> Float32Array:
        """RGB image -> model input, float32 (3, H, W)."""
        return self.preprocessing(image)

    def embed(self, batch: Float32Array) -> Float32Array:
        """float32 (B, 3, S, S) in [0, 1] -> float32 (B, 756), unit rows."""
        # One image at a time: its spectra fit into the processor's cache, and its row does not depend on those beside it.
        images = [batch[index : index + 1].clip(0, 1) for index in range(len(batch))]
        with ThreadPoolExecutor(min(max(len(images), 1), os.cpu_count() or 1)) as pool:
            rows = list(pool.map(descriptors, images))
        return np.concatenate([np.zeros((0, self.dimension), np.float32), *rows])


def descriptors(images: Float32Array) -> Float32Array:
    """(B, 3, S, S) in [0, 1] -> (B, 756), unit rows."""
    lab = to_lab(images)
    parts = (structure(luminance(images)), layout_of_colour(lab), histogram_of_colour(lab))
    return _unit(np.concatenate([weight * _unit(part) for weight, part in zip(_WEIGHTS, parts, strict=True)], axis=1))


def structure(light: Float32Array) -> Float32Array:
    """(B, S, S) -> (B, 512), not normalised."""
    bank = filter_bank(light.shape[-1])
    roots = np.sqrt(energies(prefilter(light, bank), bank))
    relative: Float32Array = roots - roots.mean((2, 3, 4), keepdims=True)
    return relative.reshape(len(light), -1)


def layout_of_colour(lab: Float32Array) -> Float32Array:
    """(B, 3, S, S) -> (B, 48), not normalised."""
    cells = cell_means(lab)
    light, chroma = cells[:, :1], cells[:, 1:]
    # a* and b* of outdoor scenes spread about half as far as L*.
    return np.concatenate([light - light.mean((2, 3), keepdims=True), 2 * chroma], axis=1).reshape(len(lab), -1)


def histogram_of_colour(lab: Float32Array) -> Float32Array:
    """(B, 3, S, S) -> square roots of the shares of pixels in 4 x 7 x 7 bins, (B, 196)."""
    light = np.clip(lab[:, 0] / _LIGHTNESS_STEP, 0, _LIGHTNESS_BINS - 1).astype(np.intp)
    chroma = np.clip(np.floor(lab[:, 1:] / _CHROMA_STEP + _CHROMA_BINS / 2), 0, _CHROMA_BINS - 1).astype(np.intp)
    bins = (light * _CHROMA_BINS + chroma[:, 0]) * _CHROMA_BINS + chroma[:, 1]
    counts = [np.bincount(image.ravel(), minlength=_LIGHTNESS_BINS * _CHROMA_BINS**2) for image in bins]
    shares: Float32Array = np.sqrt(np.stack(counts) / bins[0].size, dtype=np.float32)
    return shares


def _unit(rows: Float32Array) -> Float32Array:
    """Rows of length one; a row of zeros stays one."""
    unit: Float32Array = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.float32(1e-12))
    return unit
