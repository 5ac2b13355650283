"""Which of the things that say where a tile lies counts, and what the CRS of its numbers is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cvgl.config import IngestConfig
from cvgl.datasets.detection import list_source
from cvgl.geo import Position
from cvgl.ingestion.entries import PositionSource, Reason, Refusal
from cvgl.ingestion.merging import SourceImage, merge_entries
from cvgl.ingestion.scanning import scan_file
from tests.data import rasters
from tests.data.rasters import KEYS, KEYS_UTM, NORTH_UP, UTM, aux_xml, plain, raster, tagged, world_file

DEGREES = (1e-5, 0.0, 8.0, 0.0, -1e-5, 47.0)
EAST = (2.0, 0.0, 600_000.0, 0.0, -2.0, 5_200_000.0)  # of NORTH_UP, to tell two files apart
FAR_EAST = (2.0, 0.0, 700_000.0, 0.0, -2.0, 5_200_000.0)
HERE, IN_DEGREES = Position(x=500_030.0, y=5_199_980.0, crs=UTM), Position(latitude=46.9999, longitude=8.00015)


def taken(source: Path) -> tuple[dict[str, SourceImage], list[Refusal]]:
    listing = list_source(IngestConfig(source=str(source), dataset="d"))
    scans = {entry.path: scan_file(entry.path, 10**8) for entry in listing.entries}
    images, refused = merge_entries(listing.entries, scans, {})
    return {Path(image.uri).name: image for image in images.values()}, [*listing.refusals, *refused]


def tile(source: Path) -> SourceImage:
    """The one image of a source that is the map."""
    images, refused = taken(source)
    assert not refused
    [image] = [image for image in images.values() if image.view.is_reference]
    return image


def refusal(source: Path) -> Refusal:
    _, [refused] = taken(source)
    return refused


def geotiff(folder: Path) -> None:
    raster(folder / "a.tif")


def png(folder: Path) -> None:
    raster(folder / "a.png", driver="PNG")


def with_world_file(name: str, side: str, crs: str | None = UTM) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        plain(folder / name)
        world_file(folder / side)
        if crs is not None:
            (folder / f"{Path(name).stem}.prj").write_text(crs)

    return write


@pytest.mark.parametrize(
    ("write", "source"),
    [
        (geotiff, PositionSource.GEOTIFF),
        (lambda folder: raster(folder / "a.jp2", driver="JP2OpenJPEG"), PositionSource.GEOJP2),
        (png, PositionSource.AUX_XML),
        *((with_world_file(f"a.{image}", side), PositionSource.WORLD_FILE) for image, side in (
            ("jpg", "a.jgw"), ("jpg", "a.jpgw"), ("jpg", "a.wld"), ("jpg", "A.WLD"), ("jpg", "a.JGW"), ("png", "a.pgw"),
            ("png", "a.pngw"), ("webp", "a.wpw"), ("webp", "a.wld"), ("tif", "a.tfw"), ("jpeg", "a.jgw"), ("jpg", "a.jpg.wld"),
        )),
    ],
)  # fmt: skip
def test_every_way_of_placing_a_tile(tmp_path: Path, write: Callable[[Path], object], source: PositionSource) -> None:
    (tmp_path / "satellite").mkdir()
    write(tmp_path / "satellite")
    image = tile(tmp_path)
    assert image.position == HERE
    assert image.position_source is source


def test_degrees_of_a_geotiff_are_degrees(tmp_path: Path) -> None:
    raster(tmp_path / "satellite/a.tif", DEGREES, "EPSG:4326")
    position = tile(tmp_path).position
    assert position is not None
    assert (position.latitude, position.longitude) == pytest.approx((46.9999, 8.00015))
    assert position.crs is None


@pytest.mark.parametrize("image", ["a.jpg", "a.png", "a.webp", "a.tif"])
def test_a_world_file_whose_crs_stands_in_the_aux_xml(tmp_path: Path, image: str) -> None:
    path = plain(tmp_path / "satellite" / image)
    world_file(path.with_suffix(".wld"), DEGREES)
    aux_xml(path, "EPSG:4326")
    position = tile(tmp_path).position
    assert position is not None
    assert (position.latitude, position.longitude) == pytest.approx((46.9999, 8.00015))


def test_aux_xml_beats_tags_and_tags_beat_the_world_file(tmp_path: Path) -> None:
    path = raster(tmp_path / "satellite/a.tif", EAST)
    world_file(path.with_suffix(".tfw"), FAR_EAST)
    image = tile(tmp_path)
    assert (image.position, image.position_source) == (Position(x=600_030, y=5_199_980, crs=UTM), PositionSource.GEOTIFF)
    aux_xml(path, UTM, NORTH_UP)
    image = tile(tmp_path)
    assert (image.position, image.position_source) == (HERE, PositionSource.AUX_XML)
    (tmp_path / "satellite/positions.csv").write_text("path,latitude,longitude\na.tif,46.5,8.5\n")
    image = tile(tmp_path)
    assert (image.position, image.position_source) == (Position(latitude=46.5, longitude=8.5), PositionSource.TABLE)


def test_transform_and_crs_may_stand_in_different_files(tmp_path: Path) -> None:
    path = raster(tmp_path / "satellite/a.tif", NORTH_UP, None)
    assert tile(tmp_path).position == Position(x=500_030.0, y=5_199_980.0, crs="local")
    assert "no CRS" in tile(tmp_path).remark
    path.with_suffix(".prj").write_text("EPSG:32633")
    assert tile(tmp_path).position == Position(x=500_030.0, y=5_199_980.0, crs="EPSG:32633")
    aux_xml(path, UTM)
    assert (tile(tmp_path).position, tile(tmp_path).remark) == (HERE, "")


def test_tags_with_a_crs_and_a_world_file_with_the_place(tmp_path: Path) -> None:
    path = tagged(tmp_path / "satellite/a.tif", {KEYS: KEYS_UTM})
    assert tile(tmp_path).position is None
    assert tile(tmp_path).remark
    world_file(path.with_suffix(".tfw"))
    assert (tile(tmp_path).position, tile(tmp_path).position_source) == (HERE, PositionSource.WORLD_FILE)


def test_a_world_file_without_sense_does_not_matter_to_a_geotiff(tmp_path: Path) -> None:
    path = raster(tmp_path / "satellite/a.tif")
    path.with_suffix(".tfw").write_text("1\n0\n0\n")
    assert tile(tmp_path).position == HERE
    plain(path)
    assert refusal(tmp_path).reason is Reason.BAD_POSITION


@pytest.mark.parametrize("numbers", ["2,0\n0,0\n0,0\n-2,0\n500001,0\n5199999,0\n", "2\n0\n0\n-2\n500001\n5199999\n0\n\n"])
def test_decimal_commas_and_a_seventh_line(tmp_path: Path, numbers: str) -> None:
    path = plain(tmp_path / "satellite/a.jpg")
    path.with_suffix(".jgw").write_text(numbers)
    path.with_suffix(".prj").write_text(UTM)
    assert tile(tmp_path).position == HERE


def test_degrees_without_a_crs_are_refused(tmp_path: Path) -> None:
    path = plain(tmp_path / "satellite/a.jpg")
    world_file(path.with_suffix(".jgw"), DEGREES)
    refused = refusal(tmp_path)
    assert (refused.reason, refused.uri) == (Reason.BAD_POSITION, str(path))
    assert "degrees" in refused.detail
    assert ".prj" in refused.detail


def test_a_metric_frame_without_a_crs_is_local(tmp_path: Path) -> None:
    path = plain(tmp_path / "satellite/a.jpg")
    world_file(path.with_suffix(".jgw"), (0.5, 0.0, 0.0, 0.0, -0.5, 0.0))
    assert tile(tmp_path).position == Position(x=7.5, y=-5.0, crs="local")


def test_a_geotiff_in_degrees_without_a_crs_has_no_position_and_stays(tmp_path: Path) -> None:
    raster(tmp_path / "satellite/a.tif", DEGREES, None)
    image = tile(tmp_path)
    assert image.position is None
    assert "degrees" in image.remark


def test_an_aux_xml_that_cannot_be_read_does_not_turn_degrees_into_metres(tmp_path: Path) -> None:
    path = plain(tmp_path / "satellite/a.jpg")
    world_file(path.with_suffix(".wld"))
    aux_xml(path, "nonsense")
    assert refusal(tmp_path).reason is Reason.BAD_POSITION
    path.with_suffix(".prj").write_text(UTM)
    assert tile(tmp_path).position == HERE


def test_side_files_that_link_out_of_the_source_are_not_followed(tmp_path: Path) -> None:
    source = tmp_path / "source"
    path = raster(source / "satellite/a.tif")
    outside = aux_xml(tmp_path / "a.tif", "EPSG:32633", EAST)
    path.with_name("a.tif.aux.xml").symlink_to(outside)
    images, refused = taken(source)
    assert [each.reason for each in refused] == [Reason.OUTSIDE_ROOT]
    assert images["a.tif"].position == HERE


def test_corrupt_tags_are_a_remark_and_the_image_stays(tmp_path: Path) -> None:
    tags = {rasters.SCALE: (2.0, 2.0, 0.0), rasters.TIE_POINT: (0, 0, 0, 5e5, 52e5, 0), KEYS: (1, 1, 0, 30, *KEYS_UTM[4:])}
    tagged(tmp_path / "satellite/a.tif", tags)
    assert tile(tmp_path).position is None
    assert tile(tmp_path).remark


def test_a_place_that_the_crs_does_not_have_is_none(tmp_path: Path) -> None:
    raster(tmp_path / "satellite/a.tif", (2.0, 0.0, 1e12, 0.0, -2.0, 1e12))
    assert tile(tmp_path).position is None
    assert tile(tmp_path).remark


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_transform_is_about_pixels_as_they_are_stored(tmp_path: Path, orientation: int) -> None:
    """Pillow turns a TIFF while it decodes it, and exchanges width and height."""
    tags = {rasters.SCALE: (2.0, 2.0, 0.0), rasters.TIE_POINT: (0, 0, 0, 5e5, 52e5, 0), KEYS: KEYS_UTM}
    path = tagged(tmp_path / "satellite/a.tif", {**tags, rasters.ORIENTATION: (orientation,)})
    assert tile(tmp_path).position == HERE
    world_file(tagged(path, {rasters.ORIENTATION: (orientation,)}).with_suffix(".tfw"), crs=UTM)
    assert (tile(tmp_path).position, tile(tmp_path).position_source) == (HERE, PositionSource.WORLD_FILE)


def test_a_drone_image_that_is_a_geotiff_has_a_position(tmp_path: Path) -> None:
    raster(tmp_path / "satellite/a.tif")
    raster(tmp_path / "drone/b.tif", EAST, seed=1)
    assert taken(tmp_path)[0]["b.tif"].position == Position(x=600_030, y=5_199_980, crs=UTM)


def test_a_manifest_without_positions_leaves_them_to_the_tiles(tmp_path: Path) -> None:
    raster(tmp_path / "a.tif")
    raster(tmp_path / "b.tif", EAST, seed=1)
    raster(tmp_path / "q.tif", EAST, seed=2)
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("path,view\na.tif,satellite\nb.tif,satellite\nq.tif,drone\n")
    images, _ = taken(tmp_path)
    assert images["a.tif"].position == HERE
    assert images["b.tif"].position_source is PositionSource.GEOTIFF
    assert images["q.tif"].position is None
    manifest.write_text("path,view,x,y,crs\na.tif,satellite,1,2,EPSG:32632\nb.tif,satellite,,,\nq.tif,drone,,,\n")
    images, _ = taken(tmp_path)
    assert images["a.tif"].position == Position(x=1, y=2, crs=UTM)
    assert images["b.tif"].position is None
    assert images["b.tif"].remark
