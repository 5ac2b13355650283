"""The answer to "where was this picture taken?", and its forms for other programs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from cvgl.geo import LOCAL_CRS, to_geographic

FROZEN = "frozen"


class Position(BaseModel):
    """Degrees (WGS 84), or planar in a CRS; nothing where the map does not say."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    latitude: float | None = None
    longitude: float | None = None
    x: float | None = None
    y: float | None = None
    crs: str | None = None

    def degrees(self) -> tuple[float, float] | None:
        """Latitude and longitude, converted where there is a CRS; None for a local frame and where nothing is known.

        Raises:
            DataError: the CRS is unknown.
            MissingDependencyError: a conversion is needed and pyproj is not installed.
        """
        if self.latitude is not None and self.longitude is not None:
            return self.latitude, self.longitude
        if self.x is None or self.y is None or self.crs in (None, LOCAL_CRS):
            return None
        latitude, longitude = to_geographic(self.x, self.y, str(self.crs))
        return float(latitude), float(longitude)


class Answer(Position):
    """A reference that looks like the picture, with its position.

    Attributes:
        image_id: the reference.
        uri: its file.
        score: cosine similarity to the picture.
    """

    image_id: str
    uri: str
    score: float


class Placement(Position):
    """Where one picture was taken: the position of the reference that looks most like it.

    Attributes:
        picture: path as given.
        score: cosine similarity to the first answer; none when the picture could not be placed.
        margin: how far the second answer lies behind; none when there is no second one.
        top_k: answers, best first.
        adapter: the run whose adapter was used, or ``"frozen"``.
        problem: why the picture could not be placed; none when it was.
    """

    picture: str
    score: float | None = None
    margin: float | None = Field(None, ge=0)
    top_k: tuple[Answer, ...] = ()
    adapter: str = FROZEN
    problem: str | None = None

    @property
    def placed(self) -> bool:
        return self.problem is None


def to_geojson(placements: Iterable[Placement]) -> dict[str, Any]:
    """A GeoJSON FeatureCollection (RFC 7946): one point a picture, without geometry where there are no degrees.

    Raises:
        DataError, MissingDependencyError: see `Position.degrees`.
    """
    return {"type": "FeatureCollection", "features": [_feature(placement) for placement in placements]}


def _feature(placement: Placement) -> dict[str, Any]:
    degrees = placement.degrees()
    # RFC 7946: longitude comes first.
    geometry = None if degrees is None else {"type": "Point", "coordinates": [degrees[1], degrees[0]]}
    return {"type": "Feature", "geometry": geometry, "properties": placement.model_dump(mode="json")}
