"""One line a view: how many images have a position, from what, in which CRS; and what was passed over."""

from __future__ import annotations

from pathlib import Path

from cvgl.geo import Position
from cvgl.ingestion.entries import Listing, PositionSource
from cvgl.ingestion.merging import SourceImage
from cvgl.ingestion.summaries import DEGREES, Remark, as_json, summarise, summary_lines
from cvgl.types import View

ROOT = Path("/source")


def image(name: str, view: View, position: Position | None = None, source: PositionSource | None = None, remark: str = "") -> SourceImage:  # fmt: skip # noqa: E501
    return SourceImage(name, f"{ROOT}/{name}", view, (), 10, 10, position=position, position_source=source, remark=remark)


def tile(i: int, crs: str | None = "EPSG:32632", source: PositionSource = PositionSource.GEOTIFF) -> SourceImage:
    position = Position(latitude=47.0, longitude=8.0) if crs is None else Position(x=500_000.0 + i, y=5_200_000.0, crs=crs)
    return image(f"satellite/{i}.tif", View.SATELLITE, position, source)


def test_counts_by_source_and_crs() -> None:
    tiles = [*map(tile, range(3)), tile(3, "local", PositionSource.WORLD_FILE), tile(4, None, PositionSource.TABLE)]
    drones = [image("drone/a.jpg", View.DRONE)]
    drone, satellite = summarise([*tiles, image("satellite/n.jpg", View.SATELLITE), *drones], ROOT)
    assert (drone.view, drone.pictures, drone.with_position) == (View.DRONE, 1, 0)
    assert (satellite.view, satellite.pictures, satellite.with_position) == (View.SATELLITE, 6, 5)
    assert satellite.sources == {"geotiff": 3, "table": 1, "world_file": 1}
    assert satellite.crs == {"EPSG:32632": 3, DEGREES: 1, "local": 1}
    first, second = summary_lines([drone, satellite], [])
    assert first.startswith("drone: 0 of 1 ")
    assert second.startswith("satellite: 5 of 6 ")
    assert "\n" not in second


def test_remarks_are_counted_with_examples() -> None:
    those = [image(f"satellite/{i}.tif", View.SATELLITE, remark="no CRS is stated") for i in range(5)]
    [summary] = summarise(those, ROOT)
    assert summary.remarks == (
        Remark("images: no CRS is stated", 5, ("satellite/0.tif", "satellite/1.tif", "satellite/2.tif")),
    )


def test_many_different_remarks_stay_few() -> None:
    those = [image(f"{i}.tif", View.SATELLITE, remark=f"{i} pixels off") for i in range(100)]
    [summary] = summarise(those, ROOT)
    assert sum(remark.count for remark in summary.remarks) == 100
    assert len(summary.remarks) < 12


def test_a_datum_that_is_metres_off_is_told() -> None:
    gauss = Position(x=3_500_000.0, y=5_500_000.0, crs="EPSG:31467")
    [summary] = summarise([image("a.tif", View.SATELLITE, gauss, PositionSource.GEOTIFF)], ROOT)
    assert len(summary.accuracy) == 1
    assert "EPSG:31467" in summary.accuracy[0]
    assert summarise([tile(0)], ROOT)[0].accuracy == ()


def test_the_json_holds_numbers_and_words_alone() -> None:
    value = as_json(summarise([tile(0)], ROOT), [Remark("hidden", 1, (".x",))])
    assert value == {
        "views": [
            {
                "view": "satellite",
                "pictures": 1,
                "with_position": 1,
                "sources": {"geotiff": 1},
                "crs": {"EPSG:32632": 1},
                "accuracy": (),
                "remarks": (),
            }
        ],
        "passed_over": [{"text": "hidden", "count": 1, "examples": (".x",)}],
    }


def test_what_is_passed_over_is_remembered_by_kind() -> None:
    listing = Listing.__new__(Listing)
    listing.skipped = {}
    listing.skip("hidden", "a")
    listing.skip("hidden", Path("b"))
    assert listing.skipped == {"hidden": ["a", "b"]}
