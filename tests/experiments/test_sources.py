from __future__ import annotations

from pathlib import Path

import pytest

from cvgl.config import Layout
from cvgl.errors import DataError
from cvgl.experiments.sources import Kind, find_sources, ingestion, whole
from cvgl.ingestion.manifest import list_manifest
from cvgl.lake import Lake
from tests.data.images import university1652
from tests.experiments.flights import flights_folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two sets and something else."""
    root = tmp_path_factory.mktemp("data")
    university1652(root / "uni one", train=2, test=2)
    flights_folder(root / "flights", side=2, per_tile=1)
    (root / "notes").mkdir()
    (root / "README.md").write_text("about")
    return root


def test_every_set_of_a_folder_is_a_source_and_every_map_of_flights_its_own(data: Path) -> None:
    sources = find_sources(data)
    assert [(entry.name, entry.dataset, entry.kind, entry.protocol) for entry in sources] == [
        ("flights-2014-01", "flights-2014-01", Kind.FLIGHTS, "flights"),
        ("flights-2014-03", "flights-2014-03", Kind.FLIGHTS, "flights"),
        ("uni one", "uni-one", Kind.UNIVERSITY, "university1652-951"),
    ]


def test_a_folder_that_is_a_set_is_one_source_and_can_be_called_otherwise(data: Path) -> None:
    (sources,) = find_sources(data / "uni one", "mine")
    assert (sources.name, sources.dataset, sources.kind) == ("uni one", "mine", Kind.UNIVERSITY)
    flights = find_sources(data / "flights", "mine")
    assert [(entry.name, entry.dataset) for entry in flights] == [
        ("flights-2014-01", "mine-2014-01"),
        ("flights-2014-03", "mine-2014-03"),
    ]
    with pytest.raises(DataError, match="3 data sets"):
        find_sources(data, "mine")


def test_what_is_no_known_set_is_left_to_ingestion(data: Path) -> None:
    (sources,) = find_sources(data / "notes")
    assert (sources.kind, sources.protocol) == (Kind.OTHER, "open-set")
    assert whole(data).kind is Kind.OTHER


def test_flights_are_taken_in_by_a_manifest_that_lies_in_the_lake(data: Path, tmp_path: Path) -> None:
    source = find_sources(data / "flights")[1]
    config = ingestion(source, Lake.at(tmp_path))
    assert (config.dataset, config.layout, config.root) == ("flights-2014-03", Layout.MANIFEST, str(data / "flights"))
    assert Path(config.source).is_relative_to(tmp_path)
    listing = list_manifest(Path(config.source), data / "flights")
    assert not listing.refusals
    assert {str(entry.path.relative_to(data / "flights").parent) for entry in listing.entries} == {
        "uav/Flight1",
        "uav/Flight2",
        "satellite/2014-03",
    }
    plain = ingestion(find_sources(data / "uni one")[0], Lake.at(tmp_path))
    assert (plain.source, plain.layout) == (str(data / "uni one"), Layout.UNIVERSITY1652)


def test_tiles_without_a_date_are_no_map(data: Path, tmp_path: Path) -> None:
    for name in ("uav.csv", "truth.csv"):
        (tmp_path / name).write_text((data / "flights" / name).read_text())
    for text in ("path,tile_id\na.jpg,00\n", "path,date\na.jpg,\n"):
        (tmp_path / "tiles.csv").write_text(text)
        with pytest.raises(DataError, match="no date"):
            find_sources(tmp_path)
