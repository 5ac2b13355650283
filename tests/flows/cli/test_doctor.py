"""`cvgl doctor`: what it says of an installation and of a copy of a data set, and its exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest

from cvgl.config import Layout
from tests.data.images import university1652
from tests.data.layouts import LAYOUTS, Layouts
from tests.data.rasters import raster
from tests.flows.cli.commands import invoke


def test_a_part_of_a_release_is_right_where_a_part_is_meant(tmp_path: Path) -> None:
    root = university1652(tmp_path)
    run = invoke("doctor", "data", root, "--partial")
    assert run.code == 0
    for words in ("university1652, for it holds train/ or test/", "train/drone", "37,854", "satellite images has a position"):
        assert words in run.stdout
    # The release has no positions: that costs the metres, and is nothing that is wrong with the copy.
    assert "Nothing is wrong" not in run.stdout
    assert "wrong  " not in run.stdout


def test_what_is_wrong_is_said_with_what_to_do_and_an_exit_code(tmp_path: Path) -> None:
    root = university1652(tmp_path)
    next(iter(sorted((root / "test/gallery_satellite/0006").iterdir()))).unlink()
    (root / "train/thermal").mkdir()
    run = invoke("doctor", "data", root)
    assert run.code == 1
    for words in (
        "missing: train/drone has 18 images of 6 places and should have 37,854 images of 701 places",
        "missing: 1 places of test/query_drone have no image in test/gallery_satellite",
        "which: 0006",
        "extra: 1 refused as unknown_folder",
        "which: train/thermal",
        "to do: rename the folder",
    ):
        assert words in run.stdout
    completed = invoke("doctor", "data", root, "--json").json
    assert completed["right"] is False
    assert completed["layout"] == "university1652"
    assert {problem["kind"] for problem in completed["problems"]} == {"missing", "extra"}
    part = next(part for part in completed["parts"] if part["name"] == "train/drone")
    assert part == {
        "name": "train/drone",
        "state": "wrong",
        "pictures": 18,
        "places": 6,
        "published_pictures": 37_854,
        "published_places": 701,
    }


@pytest.mark.parametrize(
    "layout", [candidate for candidate in LAYOUTS if candidate not in (Layout.CVUSA, Layout.UNIVERSITY1652)]
)
def test_every_layout_is_told_by_its_name(layouts: Layouts, layout: Layout) -> None:
    completed = invoke("doctor", "data", layouts.original(layout), "--partial", "--all", "--json").json
    assert (completed["right"], completed["layout"], completed["opened"]) == (True, str(layout), completed["pictures"])


def test_a_layout_that_is_said_is_not_looked_for(layouts: Layouts) -> None:
    folder = layouts.original(Layout.CVACT)
    completed = invoke("doctor", "data", folder, "--layout", "cvact-test", "--partial", "--json").json
    assert completed["layout"] == "cvact-test"
    assert {"valSetAll", "ANU_data_test/streetview"} <= {part["name"] for part in completed["parts"]}


def test_a_folder_that_is_no_data_set_is_an_error(tmp_path: Path) -> None:
    run = invoke("doctor", "data", tmp_path)
    assert run.code == 1
    assert "empty folder" in run.stderr
    assert invoke("doctor", "data", tmp_path / "nowhere", "--json").json["error"]["kind"] == "DataError"


@pytest.mark.parametrize(
    "arguments", [("--all",), ("data",), ("data", "x", "--all", "--sample", "3"), ("weather",), ("data", "x", "--sample", "-1")]
)
def test_options_that_do_not_go_together_are_wrong_usage(arguments: tuple[str, ...]) -> None:
    assert invoke("doctor", *arguments).code == 2


def test_the_installation_is_looked_at_and_nothing_is_made(tmp_path: Path) -> None:
    run = invoke("doctor", "--lake", tmp_path / "lake", "--json")
    checks = {check["subject"]: check for check in run.json["checks"]}
    assert run.code == (0 if run.json["right"] else 1)
    assert {"python", "cvgl", "torch", "duckdb", "device", "lake", "registry"} <= set(checks)
    assert checks["lake"]["verdict"] == checks["registry"]["verdict"] == "note"
    assert list(tmp_path.iterdir()) == []
    completed = invoke("doctor", "--lake", tmp_path / "lake").stdout
    assert "This installation" in completed
    assert "cvgl ingest SOURCE" in completed


def test_a_registry_that_does_not_answer_is_wrong(tmp_path: Path) -> None:
    run = invoke("doctor", "--lake", tmp_path, "--tracking-uri", "http://127.0.0.1:9", "--json")
    assert run.code == 1
    registry = next(check for check in run.json["checks"] if check["subject"] == "registry")
    assert (registry["verdict"], "does not answer" in registry["detail"]) == ("bad", True)


def test_positions_are_summed_up_for_people_and_programs(tmp_path: Path) -> None:
    raster(tmp_path / "satellite/a.tif")
    raster(tmp_path / "satellite/b.tif", (2.0, 0.0, 600_000.0, 0.0, -2.0, 5_200_000.0), seed=1)
    run = invoke("doctor", "data", tmp_path)
    assert "2 of 2 images have a position (GeoTIFF 2) in EPSG:32632" in run.stdout
    assert "Nothing is wrong." in run.stdout
    value = invoke("doctor", "data", tmp_path, "--json").json
    assert value["warnings"] == []
    assert value["views"][0]["sources"] == {"geotiff": 2}
    assert value["passed_over"] == []
