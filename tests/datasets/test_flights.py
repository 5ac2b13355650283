"""The flights set as a manifest: who is adapted on, who is asked for, and that labels stay with the test."""

from __future__ import annotations

from pathlib import Path

import pytest

from cvgl.datasets.flights import write_manifest
from cvgl.errors import DataError
from cvgl.ingestion.manifest import list_manifest
from cvgl.types import View


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "uav.csv").write_text("path,flight,frame\nu/1/a.jpg,Flight1,1\nu/2/b.jpg,Flight2,1\nu/3/c.jpg,Flight3,1\n")
    (tmp_path / "tiles.csv").write_text(
        "path,date,tile_id,x_m,y_m,size_m\n"
        "s/1/00.jpg,2014-01,00,50,60,100\ns/1/01.jpg,2014-01,01,110,60,100\ns/3/00.jpg,2014-03,00,50,60,100\n"
    )
    (tmp_path / "truth.csv").write_text(
        "path,x_m,y_m,heading_deg,footprint_m,nearest_tile,nearest_tile_offset_m\n"
        "u/1/a.jpg,1,2,0,80,00,9\nu/2/b.jpg,104.5,62,0,80,01,6\n"
    )
    return tmp_path


def test_each_image_has_its_role_and_the_adapted_flight_no_label(source: Path) -> None:
    listing = list_manifest(write_manifest(source, "2014-01", source / "m.csv"))
    assert listing.refusals == []
    roles = {str(e.path.relative_to(source)): (e.view, " ".join(e.subsets), e.location_id) for e in listing.entries}
    assert roles == {
        "u/1/a.jpg": (View.DRONE, "train", None),
        "u/2/b.jpg": (View.DRONE, "gallery query", "01"),
        "s/1/00.jpg": (View.SATELLITE, "gallery query train", None),  # which tiles are seen is a label: no role tells it
        "s/1/01.jpg": (View.SATELLITE, "gallery query train", "01"),
    }
    positions = {e.path.name: e.position and (e.position.x, e.position.y, e.position.crs) for e in listing.entries}
    assert positions == {
        "a.jpg": None,
        "b.jpg": (104.5, 62, "local"),
        "00.jpg": (50, 60, "local"),
        "01.jpg": (110, 60, "local"),
    }


def test_the_flights_may_change_places(source: Path) -> None:
    with pytest.raises(DataError, match="has no row"):
        write_manifest(source, "2014-01", source / "m.csv", adapt_flight="Flight2", test_flight="Flight3")
    listing = list_manifest(write_manifest(source, "2014-03", source / "m.csv", adapt_flight="Flight2", test_flight="Flight1"))
    assert {e.path.name: e.location_id for e in listing.entries} == {"a.jpg": "00", "b.jpg": None, "00.jpg": "00"}


def test_what_is_not_there_is_an_error_that_names_what_is(source: Path) -> None:
    with pytest.raises(DataError, match="2015-01") as caught:
        write_manifest(source, "2015-01", source / "m.csv")
    assert "2014-01, 2014-03" in caught.value.fix
    with pytest.raises(DataError, match="flight 'Flight9'"):
        write_manifest(source, "2014-01", source / "m.csv", test_flight="Flight9")
    (source / "truth.csv").write_text("path,x,y\n")
    with pytest.raises(DataError, match="no column 'x_m'"):
        write_manifest(source, "2014-01", source / "m.csv")
