"""From images to descriptors: the code path that extraction and localisation share."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from cvgl.config import AlignmentConfig
from cvgl.errors import ModelError
from cvgl.features.alignment import Pass, model_inputs, passes, prepared_bases
from cvgl.features.batches import BatchSize, embed_all
from cvgl.types import Embedder, View, ViewDependentEmbedder

if TYPE_CHECKING:
    from PIL.Image import Image

    from cvgl.types import Float32Array


def prepare(
    image: Image, embedder: Embedder, view: View, alignment: AlignmentConfig, image_passes: Sequence[Pass] | None = None
) -> Float32Array:
    """RGB image -> bases of its model inputs, (b, 3, H, W): cropped and warped, without the quarter turns that cost memory.

    Safe in several threads.

    Args:
        image: RGB.
        embedder: the frozen model.
        view: of the image.
        alignment: crops, rotations and warps.
        image_passes: default: all passes of the settings.
    """
    image_passes, embedder = passes(view, alignment) if image_passes is None else image_passes, for_view(embedder, view)
    return np.stack([embedder.prepare(base) for base in prepared_bases(image, view, alignment, image_passes)])


def for_view(embedder: Embedder, view: View) -> Embedder:
    """The embedder of a view: the embedder itself, unless it depends on the view."""
    return embedder.for_view(view) if isinstance(embedder, ViewDependentEmbedder) else embedder


def embed_prepared(
    prepared: Sequence[Float32Array], views: Sequence[View], embedder: Embedder, alignment: AlignmentConfig, batch: BatchSize
) -> Float32Array:
    """Descriptors of prepared images.

    Args:
        prepared: of `prepare`, one per image.
        views: the view of each.
        embedder: the frozen model.
        alignment: crops, rotations and warps.
        batch: inputs per forward pass; shrinks when memory runs out.

    Returns:
        float32 (n, d0), unit rows; the row of an image without a usable descriptor (not finite, or zero) is NaN.
    """
    if not prepared:
        return np.zeros((0, embedder.dimension), np.float32)
    if isinstance(embedder, ViewDependentEmbedder):
        return _view_by_view(prepared, views, embedder, alignment, batch)
    image_passes = [passes(view, alignment) for view in views]
    inputs = [model_inputs(bases, view, alignment, own) for bases, view, own in zip(prepared, views, image_passes, strict=True)]
    rows = embed_all(inputs, embedder, batch)
    firsts = np.concatenate([[0], np.cumsum([len(own) for own in image_passes], dtype=np.intp)])
    means = [rows[first:last].mean(axis=0) for first, last in pairwise(firsts)]
    return unit_or_nan(np.asarray(means, dtype=np.float32).reshape(len(prepared), embedder.dimension))


def _view_by_view(
    prepared: Sequence[Float32Array],
    views: Sequence[View],
    embedder: ViewDependentEmbedder,
    alignment: AlignmentConfig,
    batch: BatchSize,
) -> Float32Array:
    """Inputs of different views may be of different sizes, and so never go through the model together."""
    parts: dict[View, list[int]] = {}
    for index, view in enumerate(views):
        parts.setdefault(view, []).append(index)
    blocks = [
        embed_prepared([prepared[index] for index in indices], [view] * len(indices), embedder.for_view(view), alignment, batch)
        for view, indices in parts.items()
    ]
    order = np.argsort(np.concatenate([np.asarray(indices, np.intp) for indices in parts.values()]))
    return np.concatenate(blocks)[order]


def unit_or_nan(descriptors: Float32Array) -> Float32Array:
    """Rows of unit length; a row that is zero or not finite becomes NaN throughout."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        lengths = np.linalg.norm(descriptors, axis=1, keepdims=True)
        usable = np.isfinite(lengths) & (lengths > 0)
        return np.where(usable, descriptors / lengths, np.float32(np.nan)).astype(np.float32)


def embed_images(
    images: Sequence[Image],
    embedder: Embedder,
    view: View,
    alignment: AlignmentConfig | None = None,
    batch_size: int = 32,
) -> Float32Array:
    """Unit descriptors of RGB images of one view.

    Args:
        images: RGB.
        embedder: the frozen model.
        view: of all images.
        alignment: crops, rotations and warps; default: none.
        batch_size: inputs at once; shrinks when memory runs out.

    Returns:
        float32 (n, d0).

    Raises:
        ModelError: the model gives no usable descriptor for an image, or memory does not suffice for one.
    """
    alignment = alignment or AlignmentConfig()
    batch = BatchSize(batch_size)
    parts = [np.zeros((0, embedder.dimension), dtype=np.float32)]
    for start in range(0, len(images), batch_size):
        inputs = [prepare(image, embedder, view, alignment) for image in images[start : start + batch_size]]
        parts.append(embed_prepared(inputs, [view] * len(inputs), embedder, alignment, batch))
    descriptors = np.concatenate(parts)
    unusable = np.flatnonzero(~np.isfinite(descriptors).all(axis=1))
    if len(unusable):
        raise ModelError(
            f"the model gives no finite descriptor for {len(unusable)} of {len(images)} images",
            where=f"image {unusable[0]} of those given, counted from 0",
            fix="try --precision float32; if it stays, the weights are damaged",
        )
    return descriptors
