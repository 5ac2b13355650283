"""The course of a flight over references: what an image leaves open, those before and after it settle.

Which references lie near which is the map's own data, and the order of images is the camera's. No label is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cvgl.adaptation.hmm import forward_backward, transition_matrix
from cvgl.adaptation.map_cells import MAX_MAP_CELLS, MapCells, map_cells_of
from cvgl.adaptation.sequence_windows import hubness_so_far, is_uninformative, window_posteriors
from cvgl.errors import ConfigError, DataError
from cvgl.retrieval import search
from cvgl.retrieval.positions import Positions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cvgl.types import Float32Array

    Float64Array = NDArray[np.float64]


_RECENT = 512  # images that hubness is measured on where the map is large


class Believed(NamedTuple):
    """What is believed of some images of a run.

    Attributes:
        images: int64 (n,), which ones.
        references: int64 (m,), which references were considered.
        posterior: float32 (n, m), probability of each place at its most similar look, 0 at its others; rows add up to 1.
        similarity: float32 (n, m), of each image to each of them, as it is without its neighbours.
    """

    pictures: NDArray[np.int64]
    references: NDArray[np.int64]
    posterior: Float32Array
    similarity: Float32Array


def moves_between(positions: Positions) -> Float64Array:
    """Where a flight goes on that leaves a reference, float64 (N, N).

    References near by are reached; where the position of a reference is not known, any other one as well as the next.
    Without any position the order of images still counts: a flight mostly goes on showing what it showed.
    """
    has_position, n = positions.known, len(positions.coordinates)
    if n == 1:
        return np.ones((1, 1))
    moves = (1 - np.eye(n)) / (n - 1)
    if has_position.sum() > 1:
        moves[has_position] = 0
        moves[np.ix_(has_position, has_position)] = transition_matrix(positions.take(np.flatnonzero(has_position)).local_m())
    return moves


def follow(
    queries: Float32Array,
    references: Float32Array,
    positions: Positions,
    window: int | None = None,
    *,
    centred: bool = False,
    most_references: int = MAX_MAP_CELLS,
) -> Iterator[Believed]:
    """Infers which references the images of one run show.

    References at one position are looks of one place: the chain is over places, and the look most similar to an image stands
    for its place.

    Similarities are corrected for hubness by the run itself: with a window by the images until its end, otherwise by all.

    On a larger map than `most_references`, only those are considered that are among the most similar ones to some image
    of the run or window.

    Args:
        queries: float32 (n, d), in the order taken; a row of zeros is an image that is missing.
        references: float32 (N, d), N >= 1, in the same space: inner products are similarities.
        positions: of the references.
        window: each image is inferred from so many, its own included; None: from the whole run.
        centred: see `cvgl.adaptation.sequence_windows.window_posteriors`.
        most_references: places that are considered together; their moves are a square matrix.

    Yields:
        Every image once, in order.

    Raises:
        ConfigError: a window without an image.
        DataError: shapes that do not fit, or a run that is too long for so large a map.
    """
    if window is not None and window < 1:
        raise ConfigError(f"a window of {window} images", where="window", fix="give at least 1")
    if len(positions.coordinates) != len(references):
        raise DataError(
            f"{len(positions.coordinates)} positions for {len(references)} references",
            where="follow",
            fix="give one position a reference, NaN where it is not known",
        )
    if not len(queries):
        return
    places = _places(positions)
    if len(places.centres) > most_references:
        yield from _on_a_large_map(queries, references, positions, window, centred, most_references)
        return
    similarity, moves = queries @ references.T, moves_between(positions.take(places.first))
    of_places = places.max_similarity(similarity)
    hubness = hubness_so_far(of_places)
    if window is None:
        posterior = forward_backward(_corrected(of_places, hubness[-1]), moves).distribution.astype(np.float32)
    else:
        posterior = window_posteriors(of_places, moves, window, centred=centred, hubness=hubness)
    yield Believed(np.arange(len(queries)), np.arange(len(references)), places.to_references(posterior, similarity), similarity)


def _on_a_large_map(
    queries: Float32Array, references: Float32Array, positions: Positions, window: int | None, centred: bool, most: int
) -> Iterator[Believed]:
    n, size = len(queries), min(window or len(queries), len(queries))
    if size > most:
        raise DataError(
            f"{size:,} images in a row on a map of {len(references):,} references are too much at once",
            where="follow",
            fix="give a window",
        )
    nearest = search.top_k(queries, references, most // size).index
    behind = (size - 1) // 2 if centred else 0
    ranges = [(t, max(0, t - (size - 1 - behind)), min(n, t + behind + 1)) for t in range(n)] if window else [(None, 0, n)]
    for image, first, stop in ranges:
        candidates = np.unique(nearest[first:stop])
        since = min(first, max(0, stop - _RECENT))
        candidate_positions = positions.take(candidates)
        places, similarity = _places(candidate_positions), queries[since:stop] @ references[candidates].T
        of_places, rows = places.max_similarity(similarity), np.arange(first, stop)
        values = _corrected(of_places[first - since :], hubness_so_far(of_places)[-1])
        posterior = forward_backward(values, moves_between(candidate_positions.take(places.first))).distribution.astype(
            np.float32
        )
        columns, frame_rows = (
            slice(None) if image is None else slice(image - first, image - first + 1),
            similarity[first - since :],
        )
        yield Believed(
            rows[columns], candidates, places.to_references(posterior[columns], frame_rows[columns]), frame_rows[columns]
        )


def _places(positions: Positions) -> MapCells:
    """References whose position is not known are each a place of their own."""
    alone = np.where(positions.known, 0, 1 + np.arange(len(positions.known)))
    return map_cells_of(np.column_stack([np.nan_to_num(positions.coordinates), alone]))


def _corrected(similarity: Float32Array, hubness: Float32Array) -> Float64Array:
    """Less half of the hubness (N,), but for images that say nothing."""
    values = similarity - hubness.astype(np.float64) / 2
    values[is_uninformative(similarity)] = 0
    return np.asarray(values)
