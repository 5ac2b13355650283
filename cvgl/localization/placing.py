"""Placing descriptors on a map of references (Li et al. 2024, Section III-C): the most similar reference says where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cvgl.errors import DataError
from cvgl.geo import Position
from cvgl.localization.placement import FROZEN, Answer, JointPlacement, Placement
from cvgl.retrieval import search

if TYPE_CHECKING:
    from cvgl.types import Float32Array


@dataclass(frozen=True, slots=True)
class Reference:
    """One reference image of the map."""

    image_id: str
    uri: str
    position: Position


@dataclass(frozen=True, slots=True)
class ReferenceIndex:
    """What is searched. Reading it changes nothing.

    Attributes:
        references: one a row.
        descriptors: float32 (N, d), unit rows, in the space of the queries.
    """

    references: tuple[Reference, ...]
    descriptors: Float32Array

    def __post_init__(self) -> None:
        if len(self.references) != len(self.descriptors):
            raise DataError(
                f"{len(self.references)} references have {len(self.descriptors)} descriptors",
                where="reference index",
                fix="pass one descriptor a reference",
            )


def locate(
    images: Sequence[str],
    descriptors: Float32Array,
    index: ReferenceIndex,
    top_k: int = 5,
    *,
    adapter: str = FROZEN,
    backend: search.Backend = "auto",
) -> list[Placement]:
    """Places images by the references that are most similar to them.

    Args:
        images: names, one a descriptor.
        descriptors: float32 (Q, d), unit rows.
        index: the map.
        top_k: answers an image; all references when there are fewer.
        adapter: what the descriptors went through, for the record.
        backend: see `cvgl.retrieval.search.top_k`.

    Raises:
        DataError: the map is empty, or shapes do not fit.
        ConfigError: `top_k` below 1.
    """
    if not index.references:
        raise DataError("the map has no references", where="reference index", fix="ingest satellite images and extract them")
    if len(images) != len(descriptors):
        raise DataError(
            f"{len(images)} images have {len(descriptors)} descriptors", where="locate", fix="pass one descriptor an image"
        )
    # Two answers are looked for even where one is wanted: the margin needs them.
    neighbours = search.top_k(descriptors, index.descriptors, 2 if top_k == 1 else top_k, backend)
    return [
        _placement(image, [index.references[row] for row in rows], scores, top_k, adapter)
        for image, rows, scores in zip(images, neighbours.index.tolist(), neighbours.score.tolist(), strict=True)
    ]


def localize_together(
    images: Sequence[str],
    descriptors: Float32Array,
    index: ReferenceIndex,
    top_k: int = 5,
    *,
    adapter: str = FROZEN,
    backend: search.Backend = "auto",
) -> JointPlacement:
    """Places several images of one place at once, by the mean of their descriptors.

    The score is the mean of the pictures' similarities to a reference: what all of them share counts in full, and what one
    of them shows by chance counts once. Turned copies of an image, neighbours in a video, and both sides of a building help.

    Args:
        images: names, one a descriptor, at least one.
        descriptors: float32 (n, d), unit rows.
        index: the map.
        top_k: answers; all references when there are fewer.
        adapter: what the descriptors went through, for the record.
        backend: see `cvgl.retrieval.search.top_k`.

    Raises:
        DataError: no image, an empty map, or shapes that do not fit.
        ConfigError: `top_k` below 1.
    """
    if not len(images) or len(images) != len(descriptors):
        raise DataError(
            f"{len(images)} images have {len(descriptors)} descriptors",
            where="localize_together",
            fix="pass at least one image, and one descriptor an image",
        )
    # Not brought back to length 1, which would change no ranking by cosine and make hubness count less than it should.
    mean = descriptors.mean(axis=0, dtype=np.float64, keepdims=True).astype(np.float32)
    (answer,) = locate([images[0]], mean, index, top_k, adapter=adapter, backend=backend)
    return JointPlacement(**answer.model_dump(), pictures=tuple(images))


def _placement(image: str, references: Sequence[Reference], scores: Sequence[float], top_k: int, adapter: str) -> Placement:
    answers = [
        Answer(image_id=reference.image_id, uri=reference.uri, score=score, **reference.position.model_dump())
        for reference, score in zip(references, scores, strict=True)
    ]
    return Placement(
        picture=image,
        **references[0].position.model_dump(),
        score=scores[0],
        margin=scores[0] - scores[1] if len(scores) > 1 else None,
        top_k=tuple(answers[:top_k]),
        adapter=adapter,
    )
