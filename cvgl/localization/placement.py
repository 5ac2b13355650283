"""The answer to "where was this image taken?", and its forms for other programs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import Field

from cvgl.geo import Position as Position

FROZEN = "frozen"


class Answer(Position):
    """A reference that looks like the image, with its position.

    Attributes:
        image_id: the reference.
        uri: its file.
        score: cosine similarity to the image, less half of the reference's hubness where that is corrected.
    """

    image_id: str
    uri: str
    score: float


class Placement(Position):
    """Where one image was taken: the position of the reference that looks most like it.

    Attributes:
        image: path as given.
        score: of the first answer; none when the image could not be placed.
        margin: how far the second answer lies behind; none when there is no second one.
        top_k: answers, best first.
        adapter: the run whose adapter was used, or ``"frozen"``.
        problem: why the image could not be placed; none when it was.
        warning: what to know before believing the position, e.g. that the table of references has others than the map; none
            where nothing is known against it.
    """

    picture: str
    score: float | None = None
    margin: float | None = Field(None, ge=0)
    top_k: tuple[Answer, ...] = ()
    adapter: str = FROZEN
    problem: str | None = None
    warning: str | None = None

    @property
    def placed(self) -> bool:
        """Whether the image has an answer."""
        return self.problem is None


class JointPlacement(Placement):
    """Where several images of one place were taken: one answer for all of them.

    Attributes:
        image: the first of them.
        images: all that the answer rests on.
    """

    pictures: tuple[str, ...] = ()


class LikelyAnswer(Answer):
    """An answer that the rest of a flight has a say in.

    Attributes:
        probability: that the image shows this reference, given the other images of the flight or window.
    """

    probability: float = Field(ge=0, le=1)


class FramePlacement(Placement):
    """Where one image of a flight was taken: the position of its most probable reference.

    Attributes:
        frame: place in the order of images, from 0.
        probability: of the first answer; none when there is no answer.
        mean: positions of all references weighted by their probabilities, which lies between tiles when those compete; none
            where positions are not known.
        score: similarity of the image itself to the first answer.
        margin: none: what counts is how probable the answers are.
        top_k: answers, most probable first.
    """

    frame: int = Field(ge=0)
    probability: float | None = Field(None, ge=0, le=1)
    mean: Position | None = None
    top_k: tuple[LikelyAnswer, ...] = ()


def to_geojson(placements: Iterable[Placement]) -> dict[str, Any]:
    """A GeoJSON FeatureCollection (RFC 7946): one point an image, without geometry where there are no degrees.

    Where x and y could not become degrees, the property ``geometry_problem`` says why.
    """
    return {"type": "FeatureCollection", "features": [_feature(placement) for placement in placements]}


def _feature(placement: Placement) -> dict[str, Any]:
    degrees, properties = placement.degrees(), placement.model_dump(mode="json")
    # RFC 7946: longitude comes first.
    geometry = None if degrees is None else {"type": "Point", "coordinates": [degrees[1], degrees[0]]}
    problem = placement.degrees_problem()
    if problem is not None:
        properties["geometry_problem"] = problem
    return {"type": "Feature", "geometry": geometry, "properties": properties}
