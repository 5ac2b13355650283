"""Descriptors whose views differ by noise that is correlated between dimensions, singly or along a flight."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cvgl.adaptation import FrameSequences
from tests.adaptation.synthetic import Array, CrossView

STYLES = 10


def correlated_noise(places: int = 150, views: int = 1, d0: int = 48, strength: float = 2.0, seed: int = 0) -> CrossView:
    """Places differ in all directions, and images of one place by strong noise in ten directions and little in the others."""
    rng = np.random.default_rng(seed)
    mix = strength * rng.normal(size=(STYLES, d0)) / np.sqrt(d0)
    offsets = rng.normal(size=(2, d0))

    def look(content: NDArray[np.float64], view: int) -> Array:
        noise = rng.normal(size=(len(content), STYLES)) @ mix + 0.4 * rng.normal(size=content.shape)
        return np.asarray((content + offsets[view] + noise).astype(np.float32))

    train, test = (0.7 * rng.normal(size=(places, d0)) for _ in range(2))
    # The order of the training rows says nothing about who belongs to whom.
    queries = look(np.repeat(train, views, axis=0), 0)[rng.permutation(places * views)]
    return CrossView(queries, look(train, 1)[rng.permutation(places)], look(test, 0), look(test, 1))


class Flight(NamedTuple):
    """Frames in the order taken, over a few of the tiles of a grid.

    Attributes:
        frames, tiles: descriptors.
        course: int64, the tile that each frame shows.
        sequences: of the frames.
        test_frames: of other tiles, one each.
        test_tiles: the tile of each.
    """

    frames: Array
    tiles: Array
    course: NDArray[np.int64]
    sequences: FrameSequences
    test_frames: Array
    test_tiles: NDArray[np.int64]


def flight(
    side: int = 14, n_shown: int = 15, each: int = 26, d0: int = 48, strength: float = 2.0, drift: float = 0.9, seed: int = 0
) -> Flight:
    """A drone over `n_shown` neighbouring tiles of a map of side x side, whose look changes slowly (`drift` a frame)."""
    rng = np.random.default_rng(seed)
    mix = strength * rng.normal(size=(STYLES, d0)) / np.sqrt(d0)
    offsets, content = rng.normal(size=(2, d0)), 0.7 * rng.normal(size=(side * side, d0))
    rows, columns = np.divmod(np.arange(side * side), side)
    snake = rows * side + np.where(rows % 2, side - 1 - columns, columns)  # neighbours in time are neighbours in space
    course = np.repeat(snake[:n_shown], each)
    style = rng.normal(size=(len(course), STYLES))
    for frame in range(1, len(course)):
        style[frame] = drift * style[frame - 1] + np.sqrt(1 - drift**2) * style[frame]

    def look(which: NDArray[np.int64], view: int, style: NDArray[np.float64]) -> Array:
        noise = style @ mix + 0.2 * rng.normal(size=(len(which), d0))
        return np.asarray((content[which] + offsets[view] + noise).astype(np.float32))

    every = np.arange(side * side)
    unseen = snake[n_shown:]
    positions = 60.0 * np.stack([columns, rows], axis=1)
    return Flight(
        frames=look(course, 0, style),
        tiles=look(every, 1, rng.normal(size=(len(every), STYLES))),
        course=course,
        sequences=FrameSequences.of(["flight"] * len(course), positions),
        test_frames=look(unseen, 0, rng.normal(size=(len(unseen), STYLES))),
        test_tiles=unseen,
    )
