"""Placing the images of a flight together: one answer an image, with what the others say about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cvgl.errors import ConfigError, DataError
from cvgl.geo import GEOGRAPHIC, Position, full_turn
from cvgl.localization.placement import FROZEN, FramePlacement, LikelyAnswer
from cvgl.localization.sequence_posterior import Believed, follow
from cvgl.retrieval.positions import Positions, positions_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cvgl.localization.placing import ReferenceIndex
    from cvgl.types import Float32Array

    Float64Array = NDArray[np.float64]


def localize_sequence(
    images: Sequence[str],
    descriptors: Float32Array,
    index: ReferenceIndex,
    top_k: int = 5,
    *,
    window: int | None = None,
    centred: bool = False,
    adapter: str = FROZEN,
) -> list[FramePlacement]:
    """Places the images of one flight: a hidden Markov chain over the references (`cvgl.adaptation.sequences`).

    Args:
        images: names, in the order taken.
        descriptors: float32 (n, d), one an image; a row of zeros stands for an image that is missing, whose place its
            neighbours tell. Hubness is corrected by the flight's own images.
        index: the map, in the same space. Where it knows positions, a flight moves between references near by.
        top_k: answers an image; all references when there are fewer.
        window: each image is placed by so many, its own included; None: by the whole flight.
        centred: the window lies around the image. Otherwise it ends with it, so that an image's answer can be given when
            it is taken, and later images do not change it.
        adapter: what the descriptors went through, for the record.

    Returns:
        One placement an image, in order.

    Raises:
        DataError: the map is empty, shapes do not fit, positions are in frames between which no distance exists, or the
            flight is too long to be placed at once on so large a map.
        ConfigError: `top_k` or `window` below 1.
    """
    if top_k < 1:
        raise ConfigError(f"top_k is {top_k}", where="localize_sequence", fix="ask for at least one answer")
    if not index.references:
        raise DataError("the map has no references", where="reference index", fix="ingest satellite images and extract them")
    if len(images) != len(descriptors):
        raise DataError(
            f"{len(images)} images have {len(descriptors)} descriptors",
            where="localize_sequence",
            fix="pass one descriptor an image",
        )
    positions = positions_of([reference.position.model_dump() for reference in index.references])
    return [
        _frame(int(posterior.pictures[row]), images, posterior, row, index, positions, top_k, adapter)
        for posterior in follow(descriptors, index.descriptors, positions, window, centred=centred)
        for row in range(len(posterior.pictures))
    ]


def _frame(
    frame: int,
    images: Sequence[str],
    frame_posterior: Believed,
    row: int,
    index: ReferenceIndex,
    positions: Positions,
    top_k: int,
    adapter: str,
) -> FramePlacement:
    posterior = frame_posterior.posterior[row]
    answers = []
    for column in np.argsort(-posterior, kind="stable")[:top_k].tolist():
        reference = index.references[frame_posterior.references[column]]
        answers.append(
            LikelyAnswer(
                image_id=reference.image_id,
                uri=reference.uri,
                score=float(frame_posterior.similarity[row, column]),
                probability=min(float(posterior[column]), 1.0),
                **reference.position.model_dump(),
            )
        )
    first = answers[0]
    return FramePlacement(
        picture=images[frame],
        frame=frame,
        **{name: getattr(first, name) for name in Position.model_fields},
        score=first.score,
        probability=first.probability,
        mean=mean_position(positions.take(frame_posterior.references), posterior),
        top_k=tuple(answers),
        adapter=adapter,
    )


def mean_position(positions: Positions, weights: Float32Array | Float64Array) -> Position | None:
    """The weighted mean of those positions that are known; None where none is.

    Args:
        positions: n of them.
        weights: float (n,), at least 0.
    """
    share = np.where(positions.known, weights, 0).astype(np.float64)
    if not share.sum() > 0:
        return None
    first, second = np.nan_to_num(positions.coordinates).T
    share /= share.sum()
    if positions.frame != GEOGRAPHIC:
        turn = full_turn(positions.frame)
        x = float(share @ first) if turn is None else _mean_direction(first, share, turn)
        return Position(x=x, y=float(share @ second), crs=positions.frame)
    return Position(latitude=float(share @ first), longitude=_mean_direction(second, share, 360.0))


def _mean_direction(longitude: Float64Array, share: Float64Array, turn: float) -> float:
    """Longitudes are directions: those on both sides of the antimeridian lie side by side."""
    scale = 2 * np.pi / turn
    return float(np.angle(share @ np.exp(1j * longitude * scale)) / scale)
