"""The world as a set of images: which there are, what is known about each, and how to take it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from cvgl.geo import EARTH_RADIUS_M
from cvgl.synthetic import appearance
from cvgl.synthetic.camera import Camera, look, look_around, look_from_above
from cvgl.synthetic.config import Season, WorldConfig
from cvgl.synthetic.light import LitGround, illuminate
from cvgl.synthetic.noise import stream
from cvgl.synthetic.raster import Ground, GroundMap
from cvgl.synthetic.town import Town
from cvgl.types import Subset, View

if TYPE_CHECKING:
    from cvgl.synthetic.noise import Float32Array

_STARTS = {Season.SPRING: (4, 24), Season.SUMMER: (7, 10), Season.AUTUMN: (10, 16), Season.WINTER: (1, 22)}
_STREET_EYES = 2.6  # metres above the road: a camera on a car
_PANORAMA_RANGE = (-42.0, 48.0)  # degrees of elevation


@dataclass(frozen=True, slots=True)
class Location:
    """A place of the town.

    Attributes:
        number: running number; also the location_id, as four digits.
        cell: the block it lies in.
        x, y: metres east and north of the town's centre; the middle of its satellite tile.
        subset: train, query (a test place) or gallery (a distractor).
    """

    number: int
    cell: tuple[int, int]
    x: float
    y: float
    subset: Subset

    @property
    def location_id(self) -> str:
        """The label of its images."""
        return f"{self.number:04d}"

    @property
    def is_distractor(self) -> bool:
        """Whether it has a satellite tile only."""
        return self.subset is Subset.GALLERY


@dataclass(frozen=True, slots=True)
class Shot:
    """One image that can be taken.

    Attributes:
        location: what it shows.
        view: drone, satellite or ground.
        index: running number of the view around its location, from 1 (satellite: 1).
        season: of the flight or of the tile.
        latitude, longitude: the middle of a tile, the point that a drone's camera aims at, the place of a street camera.
        captured_at: UTC.
    """

    location: Location
    view: View
    index: int
    season: Season
    latitude: float
    longitude: float
    captured_at: datetime

    @property
    def subsets(self) -> tuple[Subset, ...]:
        """What it may be used for: test images are asked for and searched, by direction."""
        if self.location.subset is Subset.QUERY:
            return (Subset.GALLERY, Subset.QUERY)
        return (self.location.subset,)


class World:
    """A town and the images of it. Nothing is drawn before it is asked for; safe to use from several threads."""

    def __init__(self, config: WorldConfig) -> None:
        self.config = config
        side = math.sqrt(config.places + config.distractors) * config.spacing_metres
        self.town = Town(config.seed, config.spacing_metres, radius=0.62 * side)
        self.ground = GroundMap(self.town, config.texel_metres)

    @cached_property
    def locations(self) -> tuple[Location, ...]:
        """All places: first those for training, then those for the test, then the distractors."""
        config = self.config
        count = config.places + config.distractors
        reach = math.ceil(math.sqrt(count)) + 1
        cells = [(i, j) for j in range(-reach, reach + 1) for i in range(-reach, reach + 1)]
        cells.sort(key=lambda cell: (math.hypot(*self.town.site(*cell)), cell))
        order = stream(config.seed, 3).permutation(count)
        places = []
        for number, index in enumerate(order):
            x, y = self.town.block(cells[int(index)]).corners.mean(axis=0)
            is_train, is_test = number < config.train_places, number < config.places
            subset = Subset.TRAIN if is_train else Subset.QUERY if is_test else Subset.GALLERY
            places.append(Location(number, cells[int(index)], float(x), float(y), subset))
        return tuple(places)

    def position(self, x: float, y: float) -> tuple[float, float]:
        """Metres in the town's frame -> (latitude, longitude) in degrees, on the plane that touches the Earth at its centre."""
        latitude = self.config.latitude + math.degrees(y / EARTH_RADIUS_M)
        parallel = EARTH_RADIUS_M * math.cos(math.radians(self.config.latitude))
        return latitude, self.config.longitude + math.degrees(x / parallel)

    def images(self, place: Location) -> Iterator[Shot]:
        """All images of a place: its tile, then its drone views by flight, then its panoramas."""
        config = self.config
        taken = _date(config.satellite_season, 2022) + timedelta(hours=10, minutes=35)
        yield self._image(place, View.SATELLITE, 1, config.satellite_season, place.x, place.y, taken)
        if place.is_distractor:
            return
        for flight, season in enumerate(config.drone_seasons):
            start = self._flight_start(place, season)
            for index in range(config.views):
                x, y, _ = self._aim(place, season, index)
                number = flight * config.views + index + 1
                yield self._image(place, View.DRONE, number, season, x, y, start + timedelta(seconds=4 * index))
        for index in range(config.panoramas):
            x, y, _ = self._street_camera(place, index)
            start = self._flight_start(place, config.drone_seasons[0]) + timedelta(days=3, seconds=20 * index)
            yield self._image(place, View.GROUND, index + 1, config.drone_seasons[0], x, y, start)

    def render(self, images: list[Shot]) -> Iterator[tuple[Shot, Image.Image]]:
        """Takes images. Those of one place, season and view after one another share the work of lighting."""
        key: tuple[Location, View, Season] | None = None
        lit: LitGround | None = None
        for image in images:
            if lit is None or key != (image.location, image.view, image.season):
                key = (image.location, image.view, image.season)
                lit = self._lit(image)
            yield image, self._take(image, lit)

    def _image(
        self, place: Location, view: View, index: int, season: Season, x: float, y: float, captured_at: datetime
    ) -> Shot:
        latitude, longitude = self.position(x, y)
        return Shot(place, view, index, season, latitude, longitude, captured_at)

    def _flight_start(self, place: Location, season: Season) -> datetime:
        minutes = int(stream(self.config.seed, 4, place.number, _number(season)).integers(0, 300))
        return _date(season, 2023) + timedelta(days=place.number // 40, hours=11, minutes=minutes)

    def _flight(self, place: Location, season: Season, purpose: int) -> np.random.Generator:
        return stream(self.config.seed, 5, place.number, _number(season), purpose)

    def _lit(self, image: Shot) -> LitGround:
        config, place = self.config, image.location
        if image.view is View.SATELLITE:
            # Room for the shadows that fall in from outside.
            ground = self.ground.around(place.x, place.y, config.tile_metres / 2 + 30)
            light = appearance.satellite_light(image.season, stream(config.seed, 6))
        else:
            ground = self._surroundings(place, image.view)
            light = appearance.drone_light(image.season, config.view_gap, self._flight(place, image.season, 0))
        return illuminate(ground, light, image.season)

    def _surroundings(self, place: Location, view: View) -> Ground:
        """The ground that a flight around a place can see."""
        config = self.config
        if view is View.GROUND:
            return self.ground.around(place.x, place.y, config.spacing_metres + 110)
        half_view = config.field_of_view_degrees / 2
        reach = 0.0
        for distance, depression in zip(config.distance_tiles, config.depression_degrees, strict=True):
            slant, tilt = distance * config.tile_metres, math.radians(depression)
            flattest = math.radians(max(depression - 1.1 * half_view, 12))
            reach = max(reach, slant * math.sin(tilt) / math.tan(flattest) - slant * math.cos(tilt))
        return self.ground.around(place.x, place.y, min(1.12 * reach + 15, 3.2 * config.tile_metres))

    def _take(self, image: Shot, lit: LitGround) -> Image.Image:
        config, place = self.config, image.location
        grain = stream(config.seed, 7, place.number, _number(image.season), image.index, list(View).index(image.view))
        if image.view is View.SATELLITE:
            colour = look_from_above(lit, place.x, place.y, config.tile_metres, config.image_size)
            return appearance.develop(colour, appearance.satellite_look(config.view_gap, grain), grain)
        flight = self._flight(place, image.season, 1)
        style = appearance.drone_look(config.view_gap, flight, grain)
        if image.view is View.GROUND:
            return self._panorama(image, lit, style, grain)
        view = (image.index - 1) % config.views
        colour, distance = look(lit, self._drone_camera(place, image.season, view), config.image_size)
        return appearance.develop(colour, style, grain, distance)

    def _aim(self, place: Location, season: Season, index: int) -> tuple[float, float, np.random.Generator]:
        """Where a drone view looks at, which is not quite the place's middle, and the stream for the rest."""
        rng = self._flight(place, season, 10 + index)
        shift = rng.normal(0, 0.025 * self.config.tile_metres, 2)
        return place.x + float(shift[0]), place.y + float(shift[1]), rng

    def _drone_camera(self, place: Location, season: Season, index: int) -> Camera:
        """A spiral around the place from high to low, as University-1652 was recorded, with a pilot's unsteadiness."""
        config = self.config
        x, y, rng = self._aim(place, season, index)
        share = index / max(config.views - 1, 1)
        distance = float(np.interp(share, (0, 1), config.distance_tiles)) * config.tile_metres * float(rng.normal(1, 0.02))
        depression = float(np.interp(share, (0, 1), config.depression_degrees)) + float(rng.normal(0, 1.2))
        turn = float(self._flight(place, season, 2).uniform(0, 1)) + share * config.turns
        # Equal steps along the spiral, folded into the allowed part of the circle.
        heading = ((turn % 1) - 0.5) * config.heading_spread_degrees
        tilt, bearing = math.radians(depression), math.radians(heading)
        return Camera(
            x=x - distance * math.cos(tilt) * math.sin(bearing),
            y=y - distance * math.cos(tilt) * math.cos(bearing),
            z=self.town.ground(x, y) + distance * math.sin(tilt),
            heading=heading + float(rng.normal(0, 1.5)),
            depression=depression,
            roll=float(rng.normal(0, 1.2)),
            field_of_view=config.field_of_view_degrees,
        )

    def _street_camera(self, place: Location, index: int) -> tuple[float, float, float]:
        """A point on a street along the place's block, and the direction of that street in degrees."""
        block = self.town.block(place.cell)
        following = np.roll(block.corners, -1, axis=0) - block.corners
        length = np.hypot(following[:, 0], following[:, 1]) * np.where(block.streets > 0, 1.0, 1e-3)
        edge = int(np.argsort(-length, kind="stable")[index % len(length)])
        share = 0.5 + 0.25 * (stream(self.config.seed, 8, place.number, index).uniform() - 0.5)
        x, y = block.corners[edge] + share * following[edge]
        return float(x), float(y), math.degrees(math.atan2(following[edge][0], following[edge][1]))

    def _panorama(self, image: Shot, lit: LitGround, style: appearance.Look, grain: np.random.Generator) -> Image.Image:
        x, y, heading = self._street_camera(image.location, image.index - 1)
        camera = Camera(x, y, self.town.ground(x, y) + _STREET_EYES, heading, 0.0, 0.0, 90.0)
        size = self.config.image_size
        colour, distance = look_around(lit, camera, 4 * size, size, *_PANORAMA_RANGE)
        return appearance.develop(_with_sky(colour, distance), style, grain, np.minimum(distance, 400))


def _with_sky(colour: Float32Array, distance: Float32Array) -> Float32Array:
    """Fills what hit nothing with a sky that pales towards the horizon."""
    rows = np.linspace(1, 0, colour.shape[0], dtype=np.float32)[:, None, None]
    sky = np.array([0.80, 0.86, 0.92], np.float32) * (1 - rows) + np.array([0.42, 0.58, 0.84], np.float32) * rows
    return np.where(np.isinf(distance)[..., None], sky, colour)


def _number(season: Season) -> int:
    return list(Season).index(season)


def _date(season: Season, year: int) -> datetime:
    return datetime(year, *_STARTS[season], tzinfo=UTC)


def generate(config: WorldConfig) -> World:
    """The world that a configuration describes. Costs nothing: images are drawn when they are asked for."""
    return World(config)
