"""Posteriors from a window of images around or before each one: answers while a flight lasts.

The model is that of `hmm.forward_backward`, run once for every image on its window alone; windows of one length are batched.

Hubness is that of the sequence itself: the similarity of a reference to the images so far. It needs no stored statistics and
no later image.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from cvgl.adaptation.hmm import INITIAL_P_MOVE, batched_posteriors, emission_likelihood
from cvgl.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cvgl.types import Float32Array

    Float64Array = NDArray[np.float64]

WINDOW = 20
"""Images in a window: few enough for a live answer from the current surroundings, more than show one map cell."""

NEIGHBOURS = 10
"""k of the hubness, as in `robust`."""

_BATCH_NUMBERS = 2**21  # size of the forward pass of a batch of windows: 16 MB


def window_posteriors(
    similarities: Float32Array | Float64Array,
    transitions: Float64Array,
    size: int = WINDOW,
    *,
    centred: bool = False,
    hubness: Float32Array | None = None,
    p_move: float = INITIAL_P_MOVE,
) -> Float32Array:
    """Posterior of each image of one sequence, given the images of its window.

    Args:
        similarities: float (n, P), of each image to each map cell, in the order of capture. A row of equal values is
            uninformative: a missing image.
        transitions: float64 (P, P), of `hmm.transition_matrix`.
        size: images in a window, at least 1; fewer at the ends of the sequence.
        centred: the window lies around the image, for offline use. Otherwise it ends with the image and uses no later one, as
            in flight.
        hubness: float32 (n, P), of `hubness_so_far`; half of the hubness at the end of a window is subtracted from its
            similarities.
        p_move: start of the estimate of the probability of moving, in each window.

    Returns:
        float32 (n, P); rows add up to 1.

    Raises:
        ConfigError: a window without an image.
    """
    if size < 1:
        raise ConfigError(f"a window of {size} images", where="window", fix="give at least 1")
    posterior, missing = np.empty(similarities.shape, np.float32), is_uninformative(similarities)
    for images, rows, place in _windows(len(similarities), size, centred):
        batch = max(1, _BATCH_NUMBERS // (rows.shape[1] * len(transitions)))
        for start in range(0, len(images), batch):
            window_rows = rows[start : start + batch]
            values = np.asarray(similarities[window_rows], np.float64)
            if hubness is not None:
                values -= hubness[window_rows[:, -1]][:, None] / 2
            likelihood = emission_likelihood(values.reshape(window_rows.size, -1)).reshape(values.shape)
            likelihood[missing[window_rows]] = 1
            posterior[images[start : start + batch]] = batched_posteriors(likelihood, transitions, p_move)[:, place]
    return posterior


def hubness_so_far(similarities: Float32Array, neighbours: int = NEIGHBOURS) -> Float32Array:
    """Hubness of each map cell at each image: the mean of its largest similarities to the images so far.

    Args:
        similarities: float32 (n, P), of the images of one sequence to each cell, in the order of capture; uninformative ones
            are left out.
        neighbours: number of similarities averaged; all so far where there are fewer.

    Returns:
        float32 (n, P), row t over images 0..t.
    """
    n, n_cells = similarities.shape
    hubness, missing, count = np.zeros((n, n_cells), np.float32), is_uninformative(similarities), 0
    largest, columns = np.zeros((neighbours, n_cells)), np.arange(n_cells)
    for t in range(n):
        if not missing[t]:
            if count < neighbours:
                largest[count] = similarities[t]
            else:
                least = largest.argmin(axis=0)
                largest[least, columns] = np.maximum(largest[least, columns], similarities[t])
            count += 1
        hubness[t] = largest[: min(count, neighbours)].mean(axis=0) if count else 0
    return hubness


def is_uninformative(similarities: Float32Array | Float64Array) -> NDArray[np.bool_]:
    """Which images are equally similar to all cells: missing ones. On a map of one cell none is."""
    if similarities.shape[1] < 2:
        return np.zeros(len(similarities), bool)
    return np.asarray(similarities.max(axis=1) == similarities.min(axis=1))


def _windows(n: int, size: int, centred: bool) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], int]]:
    """Windows of one shape: their images (B,), the rows of each window (B, L), and the images' place in their windows."""
    images = np.arange(n)
    behind = (size - 1) // 2 if centred else 0
    first = np.maximum(images - (size - 1 - behind), 0)
    last = np.minimum(images + behind, n - 1)
    shapes, shape = np.unique(np.stack([last - first + 1, images - first], axis=1), axis=0, return_inverse=True)
    for index, (length, place) in enumerate(shapes.tolist()):
        members = np.flatnonzero(shape.ravel() == index)
        yield members, first[members, None] + np.arange(length), place
