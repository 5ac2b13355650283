"""`cvgl ingest`: what it says of positions to people, to programs, and on the run's page."""

from __future__ import annotations

from pathlib import Path

from tests.data.rasters import plain, raster
from tests.flows.cli.commands import artifacts, invoke


def test_positions_are_told_to_everybody(prefect_api: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    for i in range(2):
        raster(source / f"satellite/{i}.tif", (2.0, 0.0, 500_000.0 + 60 * i, 0.0, -2.0, 5_200_000.0), seed=i)
    plain(source / "drone/a.png", 5)
    (source / "drone/.hidden").write_text("x")
    command = ("ingest", source, "--dataset", "placed", "--lake", tmp_path / "lake")
    answer = invoke(*command, "--json").json
    drone, satellite = answer["views"]
    assert (drone["view"], drone["pictures"], drone["with_position"]) == ("drone", 1, 0)
    assert (satellite["with_position"], satellite["sources"], satellite["crs"]) == (2, {"geotiff": 2}, {"EPSG:32632": 2})
    assert [each["examples"] for each in answer["passed_over"]] == [["drone/.hidden"]]
    line = "2 of 2 images have a position (GeoTIFF 2) in EPSG:32632"
    assert line in invoke(*command).stdout
    assert any(f"satellite: {line}" in artifact["data"] for artifact in artifacts("images-placed"))
