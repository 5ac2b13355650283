"""Crops of a map: the right ground, rotated the right way, at the location of their tile."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cvgl.config import IngestConfig
from cvgl.errors import ConfigError, DataError
from cvgl.geo import Position
from cvgl.ingestion.manifest import list_manifest
from cvgl.ingestion.map_crops import SIDE, GeoreferencedMap, write_map_crops
from cvgl.lake import Lake
from cvgl.stages.ingest import ingest
from cvgl.types import View
from tests.data.images import place_image, save

Float64Array: TypeAlias = NDArray[np.float64]

METRES = 0.25  # a pixel


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A map of 300 x 300 m with north-west at (1000, 2000), two tiles, a drone image."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 255, (60, 60, 3), dtype=np.uint8))
    (tmp_path / "s").mkdir()
    coarse.resize((1200, 1200), Image.Resampling.BICUBIC).save(tmp_path / "map.png")
    (tmp_path / "map.pgw").write_text(f"{METRES}\n0\n0\n{-METRES}\n{1000 + METRES / 2}\n{2000 - METRES / 2}\n")
    for number in range(3):
        save(place_image(number), tmp_path / "s" / f"{number}.jpg")
    (tmp_path / "m.csv").write_text(
        "path,view,subset,x,y,crs,sequence,location_id\n"
        "s/0.jpg,drone,train,,,,f,\n"
        "s/1.jpg,satellite,gallery;query;train,1150,1850,local,,a\ns/2.jpg,satellite,gallery,1020,1980,local,,\n"
    )
    return tmp_path


def test_the_manifest_is_read_as_ingestion_reads_it(source: Path) -> None:
    (source / "m.csv").write_text(
        "Path;view;subset;x;y;crs;location_id\nS\\0.JPG;drone;train;NaN;NA;;null\n"
        "s/1.jpg;satellite;gallery;1150,0;1850,0;local;a\n",
        "utf-16",
    )
    written = write_map_crops(source / "m.csv", source / "map.png", source / "looks", rotations=1)
    entries = {entry.view: entry for entry in list_manifest(written).entries}
    assert (entries[View.DRONE].path, entries[View.DRONE].location_id) == (source / "looks/s/0.jpg", None)
    assert entries[View.SATELLITE].position == Position(x=1150, y=1850, crs="local")


def pixels(path: Path) -> Float64Array:
    return np.asarray(Image.open(path), np.float64)


def test_a_crop_is_the_ground_around_its_point(source: Path) -> None:
    source_map = GeoreferencedMap.open(source / "map.png")
    ground = np.asarray(source_map.image, np.float64)[472:728, 472:728]  # 64 m around the middle, a pixel of the map each
    np.testing.assert_allclose(np.asarray(source_map.crop(1150, 1850, 64, 0)), ground, atol=1)
    np.testing.assert_allclose(np.asarray(source_map.crop(1150, 1850, 64, 90)), np.rot90(ground), atol=1)
    np.testing.assert_allclose(np.asarray(source_map.crop(1150, 1850, 64, 180)), np.rot90(ground, 2), atol=1)


def test_a_crop_has_metres_of_ground_in_any_unit(source: Path) -> None:
    as_metres = GeoreferencedMap.open(source / "map.png")
    middle = (3e6 + 150 / 0.3048, 1.7e6 - 150 / 0.3048)
    foot = METRES / 0.3048  # the same map, in a frame that counts in feet
    (source / "map.pgw").write_text(f"{foot}\n0\n0\n{-foot}\n{3e6 + foot / 2}\n{1.7e6 - foot / 2}\n")
    (source / "map.prj").write_text("EPSG:2231")
    in_feet = np.asarray(GeoreferencedMap.open(source / "map.png").crop(*middle, 64, 0), np.float64)
    difference = in_feet - np.asarray(as_metres.crop(1150, 1850, 64, 0), np.float64)
    assert np.abs(difference).mean() < 2
    (source / "map.prj").write_text("EPSG:4258")
    with pytest.raises(DataError, match="square"):
        GeoreferencedMap.open(source / "map.png").crop(4.0, 52.0, 64, 0)


def test_wider_and_rotated_crops_share_their_middle(source: Path) -> None:
    source_map = GeoreferencedMap.open(source / "map.png")
    near, wide = source_map.crop(1150, 1850, 64, 0), source_map.crop(1150, 1850, 128, 0)
    middle = np.asarray(near.reduce(2), np.float64)
    assert np.abs(np.asarray(wide, np.float64)[64:192, 64:192] - middle).mean() < 3
    back = source_map.crop(1150, 1850, 64, 30).rotate(-30, Image.Resampling.BICUBIC)
    inside = slice(SIDE // 4, -SIDE // 4)
    assert np.abs(np.asarray(back, np.float64) - np.asarray(near, np.float64))[inside, inside].mean() < 3


def test_ground_beyond_the_map_is_the_map_mirrored(source: Path) -> None:
    crop = np.asarray(GeoreferencedMap.open(source / "map.png").crop(1000, 1850, 64, 0), np.float64)
    np.testing.assert_allclose(crop[:, : SIDE // 2], crop[:, SIDE // 2 :][:, ::-1], atol=1)


def test_each_tile_becomes_its_crops_and_one_is_a_query(source: Path) -> None:
    listing = list_manifest(write_map_crops(source / "m.csv", source / "map.png", source / "out", sizes=(64, 128), rotations=2))
    assert listing.refusals == []
    rows = {
        re.sub("looks-[0-9a-f]{12}", "looks", str(e.path.relative_to(source / "out"))): (" ".join(e.subsets), e.location_id)
        for e in listing.entries
    }
    assert rows["looks/s/1/64m-0.jpg"] == ("gallery query train", "a")
    assert rows["looks/s/1/64m-180.jpg"] == rows["looks/s/1/128m-0.jpg"] == ("gallery train", "a")
    assert rows["looks/s/2/128m-180.jpg"] == ("gallery", None)
    assert rows["s/0.jpg"] == ("train", None)
    assert len(rows) == 9
    assert {(e.position.x, e.position.y) for e in listing.entries if e.position} == {(1150, 1850), (1020, 1980)}
    assert (source / "out/s/0.jpg").read_bytes() == (source / "s/0.jpg").read_bytes()


def test_what_was_written_is_taken_in(source: Path, lake: Lake) -> None:
    manifest = write_map_crops(source / "m.csv", source / "map.png", source / "out", rotations=4)
    outcome = ingest(IngestConfig(source=str(manifest), dataset="looks"), lake)
    from cvgl.ingestion.tables import read_images

    views = [row["view"] for row in read_images(lake, outcome.ref.name).to_pylist()]
    assert (views.count(View.SATELLITE), views.count(View.DRONE)) == (8, 1)


def test_a_second_run_ends_in_the_same_bytes(source: Path) -> None:
    def written() -> dict[str, bytes]:
        write_map_crops(source / "m.csv", source / "map.png", source / "out", rotations=2)
        return {str(path): path.read_bytes() for path in sorted((source / "out").rglob("*")) if path.is_file()}

    first = written()
    next((source / "out").rglob("100m-180.jpg")).unlink()  # a killed run
    assert written() == first


def test_crops_of_another_map_are_not_reused(source: Path) -> None:
    before = write_map_crops(source / "m.csv", source / "map.png", source / "out", rotations=1).read_bytes()
    (source / "map.pgw").write_text((source / "map.pgw").read_text().replace("1000.125", "1010.125"))
    assert write_map_crops(source / "m.csv", source / "map.png", source / "out", rotations=1).read_bytes() != before
    crops = sorted((source / "out").glob("looks-*/s/1/100m-0.jpg"))
    assert len(crops) == 2
    assert np.abs(pixels(crops[0]) - pixels(crops[1])).mean() > 5


@pytest.mark.parametrize(
    ("change", "error", "word"),
    [
        (lambda root: (root / "map.pgw").unlink(), DataError, "no world file"),
        (lambda root: (root / "map.pgw").write_text("1\n2\n0\n-1\n0\n0\n"), DataError, "is turned"),
        (lambda root: (root / "map.pgw").write_text("0.25\n0\n0\n-0.25\n0\n0\n"), DataError, "beyond the map"),
        (lambda root: (root / "m.csv").write_text("path,view,x,y,crs\ns/1.jpg,satellite,,,\n"), DataError, "no x and y"),
        (lambda root: (root / "m.csv").write_text("path,view,x,y,crs\n../a,satellite,1,1,local\n"), DataError, "leaves"),
    ],
)
def test_what_cannot_be_cut_is_refused(
    source: Path, change: Callable[[Path], object], error: type[Exception], word: str
) -> None:
    change(source)
    with pytest.raises(error, match=word):
        write_map_crops(source / "m.csv", source / "map.png", source / "out")


def test_settings_without_a_crop_are_refused(source: Path) -> None:
    for sizes, rotations in (((), 4), ((0,), 4), ((50, 50), 4), ((50,), 0)):
        with pytest.raises(ConfigError, match="rotations"):
            write_map_crops(source / "m.csv", source / "map.png", source / "out", sizes=sizes, rotations=rotations)
    with pytest.raises(ConfigError, match="folder"):
        write_map_crops(source / "m.csv", source / "map.png", source)
