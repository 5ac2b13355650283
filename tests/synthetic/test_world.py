"""The built-in world: geometry of its cameras, light, plan, and what makes its two views differ."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from cvgl.errors import ConfigError
from cvgl.geo import haversine_m
from cvgl.synthetic import Season, Shot, WorldConfig, contact_sheet, generate
from cvgl.synthetic.camera import Camera, look, look_around, look_from_above
from cvgl.synthetic.light import Light, LitGround, illuminate, shadow_height
from cvgl.synthetic.objects import Material, Roof
from cvgl.synthetic.raster import CHUNK, Ground, GroundMap
from cvgl.synthetic.town import Town, Use
from cvgl.types import Subset, View

SMALL = WorldConfig(places=5, distractors=3, views=4, image_size=48, tile_metres=80)
NOON = Light(azimuth=180, elevation=45)


def plain(size: int = 240, texel: float = 1.0) -> Ground:
    """Flat grey ground with its middle at (0, 0)."""
    shape = (size, size)
    return Ground(
        x0=-size * texel / 2,
        y0=-size * texel / 2,
        texel=texel,
        height=np.zeros(shape, np.float32),
        albedo=np.full((*shape, 3), 0.5, np.float32),
        slope_x=np.zeros(shape, np.float32),
        slope_y=np.zeros(shape, np.float32),
        material=np.full(shape, Material.ASPHALT, np.uint8),
        part=np.zeros(shape, np.int32),
        parts=(),
    )


def lit(ground: Ground) -> LitGround:
    """The ground's own colours, without any light."""
    return LitGround(ground, NOON, ground.albedo, ground.height - 1)


def mark(ground: Ground, x: float, y: float, half: int = 3, height: float = 0.0) -> None:
    """A red square."""
    column, row = round((x - ground.x0) / ground.texel), round((y - ground.y0) / ground.texel)
    inside = slice(row - half, row + half), slice(column - half, column + half)
    ground.albedo[inside] = (1, 0, 0)
    ground.height[inside] = height


def red_middle(image: np.ndarray) -> tuple[float, float] | None:
    """(column, row) of the middle of what is red."""
    rows, columns = np.nonzero(image[..., 0] - image[..., 1] > 0.3)
    return (float(columns.mean()), float(rows.mean())) if len(rows) else None


def expected_pixel(camera: Camera, point: tuple[float, float, float], size: int) -> tuple[float, float]:
    """Pinhole projection, written out."""
    heading, tilt = math.radians(camera.heading), math.radians(camera.depression)
    dx, dy, dz = point[0] - camera.x, point[1] - camera.y, point[2] - camera.z
    ahead, right = dx * math.sin(heading) + dy * math.cos(heading), dx * math.cos(heading) - dy * math.sin(heading)
    depth = ahead * math.cos(tilt) - dz * math.sin(tilt)
    up = ahead * math.sin(tilt) + dz * math.cos(tilt)
    focal = size / 2 / math.tan(math.radians(camera.field_of_view) / 2)
    return size / 2 - 0.5 + focal * right / depth, size / 2 - 0.5 - focal * up / depth


@pytest.mark.parametrize("heading", [0.0, 70.0, 200.0, -110.0])
@pytest.mark.parametrize("depression", [40.0, 60.0, 85.0])
@pytest.mark.parametrize("point", [(0.0, 0.0), (18.0, -9.0), (-14.0, 12.0)])
def test_a_drone_sees_a_point_where_a_pinhole_camera_does(
    heading: float, depression: float, point: tuple[float, float]
) -> None:
    ground = plain()
    mark(ground, *point, half=2)
    slant, bearing, tilt = 90.0, math.radians(heading), math.radians(depression)
    camera = Camera(
        -slant * math.cos(tilt) * math.sin(bearing),
        -slant * math.cos(tilt) * math.cos(bearing),
        slant * math.sin(tilt),
        heading,
        depression,
        0.0,
        50.0,
    )
    image, distance = look(lit(ground), camera, 96)
    pixel = red_middle(image)
    assert pixel is not None
    assert pixel == pytest.approx(expected_pixel(camera, (*point, 0.0), 96), abs=0.8)
    assert distance[48, 48] == pytest.approx(slant, rel=0.03)


def test_a_tower_hides_what_stands_behind_it() -> None:
    ground = plain()
    mark(ground, 0, 20)
    camera = Camera(0, -60, 40, 0, 30, 0, 60)
    assert red_middle(look(lit(ground), camera, 64)[0]) is not None
    column = int(-ground.x0)
    ground.height[column : column + 4, column - 30 : column + 30] = 35
    assert red_middle(look(lit(ground), camera, 64)[0]) is None


def test_flat_ground_is_seen_without_holes_or_rings() -> None:
    ground = plain(texel=0.5)
    ground.height[:] = np.linspace(0, 6, 240, dtype=np.float32)[:, None]
    image, distance = look(lit(ground), Camera(0, -40, 60, 0, 60, 0, 40), 96)
    assert np.isfinite(distance).all()
    np.testing.assert_allclose(image, 0.5, atol=1e-6)


def test_a_tile_is_north_up_and_to_scale() -> None:
    ground = plain(texel=0.5)
    mark(ground, 20, 30)
    pixel = red_middle(look_from_above(lit(ground), 0, 0, 100, 100))
    assert pixel == pytest.approx((70, 20), abs=1)


def test_a_panorama_has_north_in_the_middle_and_east_right() -> None:
    ground = plain()
    mark(ground, 25, 0, height=8)
    camera = Camera(0, 0, 2, 0, 0, 0, 90)
    image, distance = look_around(lit(ground), camera, 128, 32, -45, 45)
    pixel = red_middle(image)
    assert pixel is not None
    assert pixel[0] == pytest.approx(0.75 * 128, abs=1.5)
    assert np.isinf(distance[0]).all()
    assert np.isfinite(distance[-1]).all()


def test_a_shadow_is_as_long_as_the_sun_is_low_and_points_away_from_it() -> None:
    ground = plain(texel=0.5)
    mark(ground, 0, 0, half=4, height=20)
    shadow = shadow_height(ground.height, ground.texel, Light(azimuth=180, elevation=45))
    middle = 120
    north, south = shadow[middle + 8 :, middle], shadow[: middle - 8, middle]
    assert (south < 0.5).all()
    assert np.count_nonzero(north > 0.5) * ground.texel == pytest.approx(20, abs=3)
    colour = illuminate(ground, Light(azimuth=180, elevation=45), Season.SUMMER).colour
    assert colour[middle + 16, middle].sum() < 0.6 * colour[middle - 16, middle].sum()


def test_roofs_turned_to_the_sun_are_brighter() -> None:
    ground = plain()
    ground.slope_y[:120] = 0.8  # rises towards north: faces south
    ground.slope_y[120:] = -0.8
    colour = illuminate(ground, NOON, Season.SUMMER).colour
    assert colour[60, 60, 0] > 1.3 * colour[180, 60, 0]


def test_blocks_tile_the_plane_and_agree_on_their_streets() -> None:
    town = Town(3, 100.0, 600.0)
    for x, y in np.random.default_rng(0).uniform(-400, 400, (200, 2)):
        sites = {cell: math.hypot(x - town.site(*cell)[0], y - town.site(*cell)[1]) for cell in town.cells_near(x, y, 1)}
        nearest = min(sites, key=sites.__getitem__)
        block = town.block(nearest)
        assert (block.normals @ np.array([x, y]) <= block.offsets + 1e-6).all()
    for a, b in itertools.pairwise([(0, 0), (1, 0), (1, 1), (0, 1)]):
        assert town.street(a, b) == town.street(b, a)


def test_ground_does_not_depend_on_the_window_it_is_seen_through() -> None:
    town = Town(1, 100.0, 400.0)
    first, second = GroundMap(town, 0.6), GroundMap(town, 0.6)
    large = first.around(40, 10, 110)
    small = second.around(60, -5, 40)
    column, row = round((small.x0 - large.x0) / 0.6), round((small.y0 - large.y0) / 0.6)
    side = len(small.height)
    window = large.window(column, row, side, side)
    np.testing.assert_array_equal(window.height, small.height)
    np.testing.assert_array_equal(window.albedo, small.albedo)
    inside = small.part > 0
    assert [large.parts[i - 1] for i in window.part[inside][::97]] == [small.parts[i - 1] for i in small.part[inside][::97]]
    assert CHUNK * 0.6 < 2 * 110  # the large window did span several chunks


def test_a_town_has_every_use_every_roof_and_all_that_aerial_images_show() -> None:
    world = generate(WorldConfig(seed=0, places=150, distractors=50))
    uses = {world.town.block(place.cell).use for place in world.locations}
    assert uses == set(Use)
    contents = [world.ground.content(place.cell) for place in world.locations]
    assert {part.roof for content in contents for part in content.parts} == set(Roof)
    assert all(part.half_length >= part.half_width > 0 and part.eave > 0 for content in contents for part in content.parts)
    materials: set[int] = set()
    one_each = {world.town.block(place.cell).use: place for place in world.locations}
    for place in one_each.values():
        materials |= set(np.unique(world.ground.around(place.x, place.y, 45).material).tolist())
    assert materials == {int(material) for material in Material}


def test_buildings_stay_out_of_streets_and_river() -> None:
    world = generate(WorldConfig(seed=2, places=40, distractors=0))
    for place in world.locations:
        block = world.town.block(place.cell)
        for part in world.ground.content(place.cell).parts:
            assert block.room(part.x, part.y) > 0
            assert world.town.to_river(part.x, part.y) > 0


def test_images_do_not_depend_on_what_was_drawn_before() -> None:
    alone, after = generate(SMALL), generate(SMALL)
    place = alone.locations[2]
    wanted = list(alone.images(place))
    for other in reversed(after.locations):
        list(after.render(list(after.images(other))[:2]))
    expected = [image.tobytes() for _, image in alone.render(wanted)]
    assert [next(after.render([shot]))[1].tobytes() for shot in reversed(wanted)] == expected[::-1]


def test_another_seed_is_another_town() -> None:
    first, second = (generate(SMALL.model_copy(update={"seed": seed})) for seed in (0, 1))
    images = [next(world.render([next(world.images(world.locations[0]))]))[1].tobytes() for world in (first, second)]
    assert images[0] != images[1]


def test_places_are_distinct_and_divided_as_asked() -> None:
    world = generate(WorldConfig(places=10, distractors=4, train_share=0.3))
    assert [place.subset for place in world.locations] == [Subset.TRAIN] * 3 + [Subset.QUERY] * 7 + [Subset.GALLERY] * 4
    assert len({place.cell for place in world.locations}) == 14
    nearest = min(math.hypot(a.x - b.x, a.y - b.y) for a, b in itertools.combinations(world.locations, 2))
    assert nearest > 30


def test_degrees_and_metres_agree() -> None:
    world = generate(SMALL)
    a, b = world.locations[0], world.locations[1]
    metres = float(haversine_m(*world.position(a.x, a.y), *world.position(b.x, b.y)))
    assert metres == pytest.approx(math.hypot(a.x - b.x, a.y - b.y), rel=1e-3)


def test_a_flight_goes_round_and_down_and_looks_at_its_place() -> None:
    world = generate(SMALL.model_copy(update={"views": 12}))
    place = world.locations[0]
    cameras = [world._drone_camera(place, Season.SUMMER, index) for index in range(12)]
    assert cameras[-1].z < cameras[0].z - 20
    quarters = {int(camera.heading % 360 // 90) for camera in cameras}
    assert quarters == {0, 1, 2, 3}
    for camera in cameras:
        assert expected_pixel(camera, (place.x, place.y, world.town.ground(place.x, place.y)), 48) == pytest.approx(
            (24, 24), abs=8
        )


def test_headings_can_be_kept_near_north() -> None:
    world = generate(SMALL.model_copy(update={"views": 12, "heading_spread_degrees": 40.0}))
    headings = [world._drone_camera(world.locations[0], Season.SUMMER, index).heading for index in range(12)]
    assert max(abs(heading) for heading in headings) < 20 + 6


def _mean_colours(config: WorldConfig, view: View) -> np.ndarray:
    world = generate(config)
    means = []
    for place in world.locations:
        wanted = [shot for shot in world.images(place) if shot.view is view]
        means += [np.asarray(image, float).mean((0, 1)) for _, image in world.render(wanted)]
    return np.asarray(np.array(means).mean(0))


def test_the_two_views_differ_by_a_shift_that_can_be_switched_off() -> None:
    config = WorldConfig(places=3, distractors=0, views=2, image_size=32, tile_metres=80)
    shifts = []
    for gap in (0.0, 1.0):
        strong = config.model_copy(update={"view_gap": gap})
        shifts.append(np.abs(_mean_colours(strong, View.DRONE) - _mean_colours(strong, View.SATELLITE)).mean())
    assert shifts[1] > shifts[0] + 10


def test_seasons_recolour_leaves_and_bring_flights_of_their_own() -> None:
    config = SMALL.model_copy(update={"drone_seasons": (Season.SUMMER, Season.AUTUMN)})
    world = generate(config)
    drone = [image for image in world.images(world.locations[0]) if image.view is View.DRONE]
    assert [image.index for image in drone] == list(range(1, 9))
    assert [image.season for image in drone] == [Season.SUMMER] * 4 + [Season.AUTUMN] * 4
    assert drone[4].captured_at > drone[3].captured_at
    ground = plain()
    ground.material[:] = Material.TREE
    ground.albedo[:] = (0.22, 0.33, 0.15)
    summer, autumn = (illuminate(ground, NOON, season).colour[5, 5] for season in (Season.SUMMER, Season.AUTUMN))
    assert summer[1] > summer[0]
    assert autumn[0] > autumn[1]


def test_panoramas_are_taken_from_a_street_near_their_place() -> None:
    world = generate(SMALL.model_copy(update={"panoramas": 2}))
    place = world.locations[1]
    street = [shot for shot in world.images(place) if shot.view is View.GROUND]
    assert len(street) == 2
    image = next(world.render(street))[1]
    assert image.size == (4 * 48, 48)
    top, bottom = np.asarray(image, float)[:6].mean((0, 1)), np.asarray(image, float)[-6:].mean((0, 1))
    assert top[2] > top[0]
    assert top.mean() > bottom.mean()
    middle = world.position(place.x, place.y)
    assert all(float(haversine_m(*middle, p.latitude, p.longitude)) < 110 for p in street)


def test_a_distractor_has_a_tile_only() -> None:
    world = generate(SMALL.model_copy(update={"panoramas": 1}))
    assert [image.view for image in world.images(world.locations[-1])] == [View.SATELLITE]


def test_images_of_test_places_are_queries_and_gallery() -> None:
    world = generate(SMALL)
    by_subset = {place.subset: next(world.images(place)) for place in world.locations}
    assert by_subset[Subset.TRAIN].subsets == (Subset.TRAIN,)
    assert by_subset[Subset.QUERY].subsets == (Subset.GALLERY, Subset.QUERY)
    assert by_subset[Subset.GALLERY].subsets == (Subset.GALLERY,)


def test_a_single_place_is_a_world() -> None:
    world = generate(WorldConfig(places=1, distractors=0, views=1, image_size=32, train_share=0))
    images: list[Shot] = list(world.images(world.locations[0]))
    assert [shot.view for shot in images] == [View.SATELLITE, View.DRONE]
    assert all(image.size == (32, 32) for _, image in world.render(images))
    assert list(world.render([])) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"places": 0},
        {"image_size": 8},
        {"train_share": 1.5},
        {"distance_tiles": (0.1, 1.0)},
        {"depression_degrees": (10.0, 60.0)},
        {"drone_seasons": ()},
        {"drone_seasons": ("summer", "summer")},
        {"tile_meters": 100},
    ],
)
def test_settings_without_a_meaning_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        WorldConfig.model_validate(wrong)


def test_an_image_record_cannot_be_changed_by_accident() -> None:
    image = next(generate(SMALL).images(generate(SMALL).locations[0]))
    assert replace(image, index=2) != image
    assert hash(image) == hash(replace(image))


def test_a_contact_sheet_shows_a_place_a_row_with_its_tile_first() -> None:
    world = generate(SMALL)
    sheet = contact_sheet(world, world.locations[:2] + world.locations[-1:])
    assert sheet.size == (5 * 50 - 2, 3 * 50 - 2)
    tile = next(world.render([next(world.images(world.locations[1]))]))[1]
    assert sheet.crop((0, 50, 48, 98)).tobytes() == tile.tobytes()
    with pytest.raises(ConfigError, match="no places"):
        contact_sheet(world, ())
