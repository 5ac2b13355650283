"""What an ingestion says of positions, and that a second one says the same."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from cvgl.config import IngestConfig
from cvgl.ingestion.ground_truth import read_ground_truth
from cvgl.ingestion.scan_cache import VERSION
from cvgl.ingestion.tables import read_images
from cvgl.lake import Lake
from cvgl.stages.ingest import IngestOutcome, ingest
from tests.data.rasters import UTM, aux_xml, plain, raster, world_file

DEGREES = (1e-5, 0.0, 8.0, 0.0, -1e-5, 47.0)


def run(source: Path, lake: Lake) -> IngestOutcome:
    return ingest(IngestConfig(source=str(source), dataset="d"), lake)


def columns(i: int) -> tuple[float, ...]:
    return (2.0, 0.0, 500_000.0 + 60 * i, 0.0, -2.0, 5_200_000.0)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Three GeoTIFFs, a PNG with a world file and an `.aux.xml`, a tile without anything, two drone pictures."""
    root = tmp_path / "source"
    for i in range(3):
        raster(root / f"satellite/{i}.tif", columns(i), seed=i)
    path = plain(root / "satellite/3.png", seed=3)
    world_file(path.with_suffix(".wld"), DEGREES)
    aux_xml(path, "EPSG:4326")
    plain(root / "satellite/4.png", seed=4)
    raster(root / "drone/a.tif", columns(9), seed=5)
    plain(root / "drone/b.png", seed=6)
    (root / "drone/.DS_Store").write_text("x")
    (root / "satellite/@eaDir").mkdir()
    (root / "satellite/unused.prj").write_text(UTM)
    (root / "README").write_text("x")
    return root


def test_positions_of_tiles_are_data_and_those_of_drone_rasters_are_truth(source: Path, lake: Lake) -> None:
    run(source, lake)
    rows: dict[str, dict[str, Any]] = {Path(row["uri"]).name: row for row in read_images(lake, "d").to_pylist()}
    assert (rows["1.tif"]["x"], rows["1.tif"]["y"], rows["1.tif"]["crs"]) == (500_090.0, 5_199_980.0, UTM)
    assert (rows["3.png"]["latitude"], rows["3.png"]["longitude"]) == pytest.approx((46.9999, 8.00015))
    assert (rows["a.tif"]["x"], rows["a.tif"]["latitude"], rows["a.tif"]["crs"]) == (None, None, None)
    truth = {row["image_id"]: row for row in read_ground_truth(lake, "d").to_pylist()}
    assert truth[rows["a.tif"]["image_id"]]["x"] == 500_570.0
    assert rows["1.tif"]["image_id"] not in truth


def test_a_line_a_view_and_what_was_passed_over(source: Path, lake: Lake, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="cvgl"):
        first = run(source, lake)
    drone, satellite = first.summaries
    assert (drone.pictures, drone.with_position, drone.sources) == (2, 1, {"geotiff": 1})
    assert (satellite.pictures, satellite.with_position) == (5, 4)
    assert satellite.sources == {"geotiff": 3, "world_file": 1}
    assert satellite.crs == {UTM: 3, "WGS 84 degrees": 1}
    assert {name for remark in first.passed_over for name in remark.examples} == {
        "drone/.DS_Store",
        "satellite/@eaDir",
        "satellite/unused.prj",
        "README",
    }
    messages = [record.getMessage() for record in caplog.records]
    assert sum(line.startswith("satellite: 4 of 5 ") for line in messages) == 1
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="cvgl"):
        again = run(source, lake)
    assert again.skipped
    assert (again.summaries, again.passed_over) == (first.summaries, first.passed_over)
    assert [record.getMessage() for record in caplog.records if "positi" in record.getMessage()] == [
        line for line in messages if "positi" in line
    ]


def test_a_second_ingestion_opens_no_raster(source: Path, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    run(source, lake)

    def fail(*_: object) -> None:
        raise AssertionError("a raster was opened again")

    monkeypatch.setattr("cvgl.ingestion.scanning.read_own", fail)
    assert run(source, lake).summaries[1].sources["geotiff"] == 3


def test_scans_of_earlier_versions_are_made_again(source: Path, lake: Lake) -> None:
    """A lake of a version that read no positions of rasters has them with the next ingestion."""
    run(source, lake)
    folder = lake.scans("d")
    for path in folder.glob("*.json"):
        scans = json.loads(path.read_text())
        old = [{name: value for name, value in scan.items() if name not in ("raster", "pages")} for scan in scans]
        path.unlink()
        (folder / path.name.replace(f"v{VERSION}-", "v1-")).write_text(json.dumps(old))
    assert VERSION > 1
    again = run(source, lake)
    assert again.summaries[1].sources["geotiff"] == 3
    assert (again.new, again.updated) == (0, 0)


def test_the_note_of_a_manifest_that_leaves_positions_out(source: Path, lake: Lake) -> None:
    (source / "manifest.csv").write_text(
        "path,view,latitude,longitude\nsatellite/0.tif,satellite,,\nsatellite/1.tif,satellite,46.5,8.5\n"
    )
    [summary] = run(source, lake).summaries
    assert (summary.with_position, summary.sources) == (1, {"manifest": 1})
    assert [(remark.count, remark.examples) for remark in summary.remarks] == [(1, ("satellite/0.tif",))]
