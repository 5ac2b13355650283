"""Settings of the built-in world. Equal settings give equal bytes."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from cvgl.config import Settings


class Season(StrEnum):
    """What plants look like and how high the sun stands."""

    SPRING = "spring"
    SUMMER = "summer"
    AUTUMN = "autumn"
    WINTER = "winter"


class WorldConfig(Settings):
    """A small town and the images that are taken of it.

    The defaults make 100 places with 16 drone views each in well under a minute on two cores.
    """

    seed: int = Field(0, ge=0, lt=2**31)
    places: int = Field(100, ge=1, le=20_000, description="places with drone views; each has one satellite tile")
    train_share: float = Field(0.5, ge=0, le=1, description="share of the places, the first ones, that adaptation may see")
    distractors: int = Field(50, ge=0, le=20_000, description="satellite tiles of places that nobody flew around")
    views: int = Field(16, ge=1, le=200, description="drone views a place and flight (University-1652: 54)")
    image_size: int = Field(128, ge=32, le=1024, description="side of an image in pixels")
    tile_metres: float = Field(120.0, ge=40, le=400, description="ground side of a satellite tile")
    spacing_metres: float = Field(110.0, ge=80, le=400, description="mean distance between neighbouring places")
    field_of_view_degrees: float = Field(45.0, ge=20, le=90, description="of the drone's camera")
    distance_tiles: tuple[float, float] = Field(
        (1.6, 0.9), description="from the camera to the place, in tile sides, of the first (highest) and last view of a flight"
    )
    depression_degrees: tuple[float, float] = Field(
        (64.0, 46.0), description="the camera looks down this much, first and last view"
    )
    turns: float = Field(3.0, ge=0, le=20, description="turns of the spiral around a place (University-1652: 3)")
    heading_spread_degrees: float = Field(
        360.0, ge=0, le=360, description="share of the circle from which a place is seen, centred on looking north"
    )
    satellite_season: Season = Season.SUMMER
    drone_seasons: tuple[Season, ...] = Field(
        (Season.SUMMER,), min_length=1, max_length=4, description="one flight around each place in each of these seasons"
    )
    panoramas: int = Field(0, ge=0, le=16, description="street-level panoramas a place (equirectangular, 4:1)")
    view_gap: float = Field(
        1.0, ge=0, le=3, description="strength of what sets drone images apart from tiles: colour, haze, light, noise"
    )
    latitude: float = Field(47.86, ge=-80, le=80, description="of the town's centre")
    longitude: float = Field(9.43, ge=-180, le=180)
    jpeg_quality: int = Field(90, ge=30, le=100)

    @model_validator(mode="after")
    def _check_ranges(self) -> Self:
        if not all(0.5 <= value <= 4 for value in self.distance_tiles):
            raise ValueError("distance_tiles must lie within 0.5..4")
        if not all(25 <= value <= 89 for value in self.depression_degrees):
            raise ValueError("depression_degrees must lie within 25..89: flatter views would see past the generated ground")
        if len(set(self.drone_seasons)) != len(self.drone_seasons):
            raise ValueError("drone_seasons names a season twice")
        return self

    @property
    def train_places(self) -> int:
        """How many of the places belong to the training subset."""
        return round(self.places * self.train_share)

    @property
    def texel_metres(self) -> float:
        """Ground resolution at which the town is drawn: about half a pixel of a tile."""
        return min(0.6, max(0.15, 0.53 * self.tile_metres / self.image_size))
