"""`cvgl doctor data` on one's own tiles: positions that are missing, all the same, or elsewhere than the images."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from cvgl.datasets.inspection import Inspection, Problem, inspect
from tests.data.rasters import UTM, plain, raster, world_file


def transform(i: int, step: float = 60.0) -> tuple[float, ...]:
    return (2.0, 0.0, 500_000.0 + step * i, 0.0, -2.0, 5_200_000.0)


def tiles(root: Path, count: int = 3, step: float = 60.0, crs: str | None = UTM) -> None:
    for i in range(count):
        raster(root / f"satellite/{i}.tif", transform(i, step), crs, seed=i)


def drone(path: Path, latitude: float, longitude: float, seed: int = 50) -> None:
    """A JPEG with a camera's position."""
    plain(path, seed)
    with Image.open(path) as image:
        exif = image.getexif()
        gps = exif.get_ifd(0x8825)
        gps[1], gps[2] = "N" if latitude >= 0 else "S", (abs(latitude), 0.0, 0.0)
        gps[3], gps[4] = "E" if longitude >= 0 else "W", (abs(longitude), 0.0, 0.0)
        image.save(path, exif=exif)


def one(problems: tuple[Problem, ...], word: str) -> Problem:
    [problem] = [problem for problem in problems if word in problem.what]
    assert problem.fix
    return problem


def looked_at(root: Path) -> Inspection:
    return inspect(str(root))


def test_tiles_with_positions_are_right(tmp_path: Path) -> None:
    tiles(tmp_path)
    drone(tmp_path / "drone/a.jpg", 46.95, 9.0)
    inspection = looked_at(tmp_path)
    assert (inspection.problems, inspection.warnings) == ((), ())
    assert [(each.with_position, each.pictures) for each in inspection.summaries] == [(1, 1), (3, 3)]


def test_tiles_without_positions_are_told_with_what_it_costs(tmp_path: Path) -> None:
    for i in range(4):
        plain(tmp_path / f"satellite/{i}.png", i)
    problem = one(looked_at(tmp_path).warnings, "none of the 4")
    assert "metres" in problem.what
    assert problem.count == 4
    assert problem.examples[0] == "satellite/0.png"


def test_some_tiles_without_a_position(tmp_path: Path) -> None:
    tiles(tmp_path)
    plain(tmp_path / "satellite/n.png", 9)
    assert one(looked_at(tmp_path).warnings, "1 of 4").examples == ("satellite/n.png",)


def test_tiles_that_could_have_a_position(tmp_path: Path) -> None:
    tiles(tmp_path, crs=None)
    assert one(looked_at(tmp_path).warnings, "no CRS").count == 3
    plain(tmp_path / "satellite/p.png", 9)
    (tmp_path / "satellite/p.prj").write_text(UTM)
    assert one(looked_at(tmp_path).warnings, ".prj lies beside").examples == ("satellite/p.png",)


def test_degrees_without_a_crs_are_a_problem(tmp_path: Path) -> None:
    world_file(plain(tmp_path / "satellite/a.jpg").with_suffix(".jgw"), (1e-5, 0.0, 8.0, 0.0, -1e-5, 47.0))
    inspection = looked_at(tmp_path)
    assert not inspection.is_right
    assert one(inspection.problems, "bad_position").examples == ("satellite/a.jpg",)


def test_a_table_that_names_no_image(tmp_path: Path) -> None:
    plain(tmp_path / "satellite/a.png")
    (tmp_path / "positions.csv").write_text("path,latitude,longitude\nsatellite/other.png,47,8\n")
    inspection = looked_at(tmp_path)
    assert not inspection.is_right
    assert one(inspection.problems, "refused as missing").count == 1
    assert one(inspection.warnings, "none of the 1").count == 1


@pytest.mark.parametrize(("step", "words"), [(0.0, "one and the same"), (0.1, "within")])
def test_positions_that_are_not_spread(tmp_path: Path, step: float, words: str) -> None:
    tiles(tmp_path, step=step)
    inspection = looked_at(tmp_path)
    assert not inspection.is_right
    assert one(inspection.problems, words).count == 3


@pytest.mark.parametrize("crs", ["EPSG:32732", "EPSG:32633"])
def test_a_crs_of_another_hemisphere_or_zone(tmp_path: Path, crs: str) -> None:
    tiles(tmp_path, crs=crs)
    drone(tmp_path / "drone/a.jpg", 46.95, 9.0)
    assert one(looked_at(tmp_path).warnings, "km from the map")


def test_positions_outside_of_where_their_crs_is_used(tmp_path: Path) -> None:
    raster(tmp_path / "satellite/a.tif")
    raster(tmp_path / "satellite/far.tif", (2.0, 0.0, 500_000.0, 0.0, -2.0, -5_200_000.0), seed=8)
    assert one(looked_at(tmp_path).warnings, "outside of the area")


def test_a_sample_of_none_says_nothing_of_positions(tmp_path: Path) -> None:
    plain(tmp_path / "satellite/a.png")
    inspection = inspect(str(tmp_path), sample=0)
    assert (inspection.problems, inspection.warnings, inspection.summaries) == ((), (), ())
