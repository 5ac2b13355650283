"""From pictures to descriptors: the one code path that extraction and localisation share."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from cvgl.config import AlignmentConfig
from cvgl.errors import ModelError
from cvgl.features.alignment import crop, turned, turns
from cvgl.features.batches import BatchSize, embed_all
from cvgl.types import Embedder, View

if TYPE_CHECKING:
    from PIL.Image import Image

    from cvgl.types import Float32Array


def prepare(image: Image, embedder: Embedder, view: View, alignment: AlignmentConfig) -> Float32Array:
    """RGB picture -> model input (3, H, W), cropped but not yet turned. Safe in several threads."""
    return embedder.prepare(crop(image, view, alignment))


def describe_prepared(
    prepared: Sequence[Float32Array], views: Sequence[View], embedder: Embedder, alignment: AlignmentConfig, batch: BatchSize
) -> Float32Array:
    """Descriptors of prepared pictures.

    Args:
        prepared: model inputs (3, H, W), one a picture.
        views: the view of each.
        batch: how many inputs go through the model at once; shrinks when memory runs out.

    Returns:
        float32 (n, d0), unit rows; a picture that the model has no answer for (not finite, or zero) has a row of NaN.
    """
    counts = [turns(view, alignment) for view in views]
    rows = embed_all([turned(one, count) for one, count in zip(prepared, counts, strict=True)], embedder, batch)
    firsts = np.concatenate([[0], np.cumsum(counts)])
    means = [rows[first:last].mean(axis=0) for first, last in pairwise(firsts)]
    descriptors = np.asarray(means, dtype=np.float32).reshape(len(prepared), embedder.dimension)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        lengths = np.linalg.norm(descriptors, axis=1, keepdims=True)
        usable = np.isfinite(lengths) & (lengths > 0)
        return np.where(usable, descriptors / lengths, np.float32(np.nan)).astype(np.float32)


def describe(
    pictures: Sequence[Image],
    embedder: Embedder,
    view: View,
    alignment: AlignmentConfig | None = None,
    batch_size: int = 32,
) -> Float32Array:
    """Descriptors of RGB pictures of one view: cropped or turned as the settings say, embedded, of unit length.

    Returns:
        float32 (n, d0).

    Raises:
        ModelError: the model gives no usable descriptor for a picture, or memory does not suffice for one.
    """
    alignment = alignment or AlignmentConfig()
    batch = BatchSize(batch_size)
    parts = [np.zeros((0, embedder.dimension), dtype=np.float32)]
    for start in range(0, len(pictures), batch_size):
        inputs = [prepare(picture, embedder, view, alignment) for picture in pictures[start : start + batch_size]]
        parts.append(describe_prepared(inputs, [view] * len(inputs), embedder, alignment, batch))
    descriptors = np.concatenate(parts)
    unusable = np.flatnonzero(~np.isfinite(descriptors).all(axis=1))
    if len(unusable):
        raise ModelError(
            f"the model gives no finite descriptor for {len(unusable)} of {len(pictures)} pictures",
            where=f"picture {unusable[0]} of those given, counted from 0",
            fix="try --precision float32; if it stays, the weights are damaged",
        )
    return descriptors
