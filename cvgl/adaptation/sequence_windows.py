"""Believing in a window: what the images just before (or around) each one say about it, for answers while a flight lasts.

The model is that of `trajectory.believe`, run once for every image on its window alone. Windows of one length are worked on
together, so that the moves of all of them are one matrix product.

Hubness is that of the flight itself: how similar a reference is to the images taken so far, whatever they show. No stored
statistic is needed, and no later image has a say.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from cvgl.adaptation.sequences import FIRST_MOVING, NEW_START, ROUNDS, evidence_of
from cvgl.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cvgl.types import Float32Array

    Float64Array = NDArray[np.float64]

WINDOW = 20
"""Images in a window: few enough that a live answer comes from what is in view, more than show one reference."""

NEIGHBOURS = 10
"""k of the hubness, as in `robust`."""

_CELLS = 2**21  # numbers that the forward pass of windows worked on together may hold: 16 MB


def believe_windows(
    similarities: Float32Array | Float64Array,
    moves: Float64Array,
    size: int = WINDOW,
    *,
    centred: bool = False,
    hubness: Float32Array | None = None,
    moving: float = FIRST_MOVING,
) -> Float32Array:
    """The posterior of each image of one run, given the images of its window.

    Args:
        similarities: float (n, N), of each image to each reference, in the order taken. A row of equal values says
            nothing: an image that is missing.
        moves: float64 (N, N), of `trajectory.steps`.
        size: images in a window, at least 1; fewer at the ends of the run.
        centred: the window lies around the image, for afterwards. Otherwise it ends with the image, and no later one
            has a say, which is what can be known in flight.
        hubness: float32 (n, N), of `hubness_so_far`; half of what was known at the end of a window is taken from its
            similarities.
        moving: where the estimate of the probability of moving starts, in each window.

    Returns:
        float32 (n, N); rows add up to 1.

    Raises:
        ConfigError: a window without an image.
    """
    if size < 1:
        raise ConfigError(f"a window of {size} images", where="window", fix="give at least 1")
    posterior, silent = np.empty(similarities.shape, np.float32), says_nothing(similarities)
    for images, rows, place in _windows(len(similarities), size, centred):
        together = max(1, _CELLS // (rows.shape[1] * len(moves)))
        for start in range(0, len(images), together):
            some = slice(start, start + together)
            used = rows[some]
            values = np.asarray(similarities[used], np.float64)
            if hubness is not None:
                values -= hubness[used[:, -1]][:, None] / 2
            evidence = evidence_of(values.reshape(used.size, -1)).reshape(values.shape)
            evidence[silent[used]] = 1
            posterior[images[some]] = _posteriors(evidence, moves, place, moving)
    return posterior


def hubness_so_far(similarities: Float32Array, neighbours: int = NEIGHBOURS) -> Float32Array:
    """How similar each reference is to what was taken until then: the mean of its largest similarities.

    Args:
        similarities: float32 (n, N), of the images of one run to each reference, in the order taken; those that say nothing
            are left out.
        neighbours: how many are averaged; all of those so far where there are fewer.

    Returns:
        float32 (n, N), row t of images 0..t.
    """
    n, count = similarities.shape
    found, silent, seen = np.zeros((n, count), np.float32), says_nothing(similarities), 0
    largest, columns = np.zeros((neighbours, count)), np.arange(count)
    for t in range(n):
        if not silent[t]:
            if seen < neighbours:
                largest[seen] = similarities[t]
            else:
                least = largest.argmin(axis=0)
                largest[least, columns] = np.maximum(largest[least, columns], similarities[t])
            seen += 1
        found[t] = largest[: min(seen, neighbours)].mean(axis=0) if seen else 0
    return found


def says_nothing(similarities: Float32Array | Float64Array) -> NDArray[np.bool_]:
    """Which images are equally similar to all references: missing ones. On a map of one reference none is."""
    if similarities.shape[1] < 2:
        return np.zeros(len(similarities), bool)
    return np.asarray(similarities.max(axis=1) == similarities.min(axis=1))


def _windows(n: int, size: int, centred: bool) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], int]]:
    """Windows of one form: which images (B,), the rows of their windows (B, L), and where in them the images stand."""
    images = np.arange(n)
    behind = (size - 1) // 2 if centred else 0
    first = np.maximum(images - (size - 1 - behind), 0)
    last = np.minimum(images + behind, n - 1)
    forms, form = np.unique(np.stack([last - first + 1, images - first], axis=1), axis=0, return_inverse=True)
    for index, (length, place) in enumerate(forms.tolist()):
        chosen = np.flatnonzero(form.ravel() == index)
        yield chosen, first[chosen, None] + np.arange(length), place


def _posteriors(evidence: Float64Array, moves: Float64Array, place: int, moving: float) -> Float64Array:
    """Forward-backward over B windows at once, each with its own probability of moving; see `trajectory.believe`.

    Args:
        evidence: float64 (B, L, N).
        moves: float64 (N, N).
        place: the image asked about, 0..L-1.
        moving: first estimate.

    Returns:
        float64 (B, N).
    """
    length = evidence.shape[1]
    probability = np.full((len(evidence), 1), moving)
    for _ in range(ROUNDS):
        forward = _forward(evidence, moves, probability)
        backward, stays, found = np.ones_like(evidence[:, 0]), np.zeros((len(evidence), 1)), forward[:, place]
        for t in range(length - 2, -1, -1):
            ahead = evidence[:, t + 1] * backward
            backward = _moved(ahead, moves.T, probability)
            both = (forward[:, t] * backward).sum(axis=1, keepdims=True)
            stays += (forward[:, t] * ahead).sum(axis=1, keepdims=True) * (1 - probability) / both
            backward /= backward.sum(axis=1, keepdims=True)
            if t == place:
                found = forward[:, t] * backward
        if length > 1:
            probability = np.clip(1 - stays / (length - 1), 0.01, 0.9)
    return np.asarray(found / found.sum(axis=1, keepdims=True))


def _forward(evidence: Float64Array, moves: Float64Array, probability: Float64Array) -> Float64Array:
    forward = np.empty_like(evidence)
    forward[:, 0] = evidence[:, 0] / evidence[:, 0].sum(axis=1, keepdims=True)
    for t in range(1, evidence.shape[1]):
        forward[:, t] = evidence[:, t] * _moved(forward[:, t - 1], moves, probability)
        forward[:, t] /= forward[:, t].sum(axis=1, keepdims=True)
    return forward


def _moved(state: Float64Array, moves: Float64Array, probability: Float64Array) -> Float64Array:
    """One image on: (B, N) through the transitions, which differ by window only in how often the chain moves."""
    near = (1 - probability) * state + probability * (state @ moves)
    anywhere = state.sum(axis=1, keepdims=True) / state.shape[1]
    return np.asarray((1 - NEW_START) * near + NEW_START * anywhere)
