"""Files beside images that link out of the source: none is opened, each is refused, and the rest goes through."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cvgl.config import IngestConfig, Layout
from cvgl.datasets.cvact import list_cvact
from cvgl.datasets.cvusa import list_cvusa
from cvgl.datasets.denseuav import list_denseuav
from cvgl.datasets.detection import list_source
from cvgl.datasets.sues200 import TRAINING_LOCATIONS, list_sues200
from cvgl.datasets.university160k import list_university160k_official, read_query_names
from cvgl.datasets.university1652 import list_university1652
from cvgl.errors import DataError
from cvgl.ingestion.entries import Entry, Listing, PositionSource, Reason
from cvgl.ingestion.folder import list_folder
from cvgl.types import Subset
from tests.data.images import place_image, save


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Two views with one image each, and two tiles that know their places from files inside."""
    root = tmp_path / "source"
    for name in ("drone/d.jpg", "satellite/linked.jpg", "satellite/own.jpg"):
        image(root / name)
    (root / "satellite/own.jgw").write_text("1 0 0 -1 100 200")
    return root


@pytest.fixture
def outside(tmp_path: Path) -> Callable[[Path, str], Path]:
    """Puts a text outside of the source and a link to it inside."""

    def put(link: Path, text: str) -> Path:
        target = tmp_path / "outside" / link.name
        target.parent.mkdir(exist_ok=True)
        target.write_text(text)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)
        return link

    return put


def image(path: Path, place: int = 0) -> Path:
    return save(place_image(place, size=16), path)


def by_name(listing: Listing) -> dict[str, Entry]:
    return {entry.path.name: entry for entry in listing.entries}


def refused(listing: Listing) -> dict[str, Reason]:
    return {Path(refusal.uri).name: refusal.reason for refusal in listing.refusals}


@pytest.mark.parametrize("table", ["positions.csv", "satellite.csv", "satellite/positions.csv"])
def test_a_table_that_links_out_is_refused_and_its_images_go_through(
    source: Path, outside: Callable[[Path, str], Path], table: str
) -> None:
    outside(source / table, "path,latitude,longitude\nlinked.jpg,1,2\nsatellite/linked.jpg,1,2\n")
    listing = list_folder(source)
    assert set(by_name(listing)) == {"d.jpg", "linked.jpg", "own.jpg"}
    assert [entry.position for entry in listing.entries] == [None] * 3
    assert refused(listing) == {Path(table).name: Reason.OUTSIDE_ROOT}


def test_a_table_that_links_to_another_place_inside_counts(source: Path) -> None:
    (source / "satellite/tables").mkdir()
    (source / "satellite/tables/positions.csv").write_text("path,latitude,longitude\nlinked.jpg,1,2\n")
    (source / "satellite.csv").symlink_to(source / "satellite/tables/positions.csv")
    entry = by_name(list_folder(source))["linked.jpg"]
    assert (entry.position is not None, entry.position_source) == (True, PositionSource.TABLE)


@pytest.mark.parametrize(
    ("link", "text"), [("satellite/linked.jgw", "1 0 0 -1 7 7"), ("satellite/linked.prj", "EPSG:32633")], ids=["world", "prj"]
)
def test_a_world_file_or_projection_that_links_out_is_not_opened(
    source: Path, outside: Callable[[Path, str], Path], link: str, text: str
) -> None:
    if link.endswith(".prj"):
        (source / "satellite/linked.jgw").write_text("1 0 0 -1 7 7")
    outside(source / link, text)
    listing = list_folder(source)
    entries = by_name(listing)
    assert set(entries) == {"d.jpg", "own.jpg"}
    assert entries["own.jpg"].position_source is PositionSource.WORLD_FILE
    assert refused(listing) == {Path(link).name: Reason.OUTSIDE_ROOT, "linked.jpg": Reason.OUTSIDE_ROOT}


def test_a_manifest_that_links_out_is_no_manifest(source: Path, outside: Callable[[Path, str], Path]) -> None:
    outside(source / "manifest.csv", "path,view\ndrone/d.jpg,satellite\n")
    listing = list_source(IngestConfig(source=str(source), dataset="d"))
    assert listing.layout is Layout.FOLDER
    assert refused(listing) == {"manifest.csv": Reason.OUTSIDE_ROOT}


@pytest.mark.parametrize("layout", [Layout.AUTO, Layout.MANIFEST])
def test_a_manifest_that_links_out_and_is_all_there_is_is_named(
    tmp_path: Path, outside: Callable[[Path, str], Path], layout: Layout
) -> None:
    outside(tmp_path / "source/manifest.csv", "path,view\na.jpg,satellite\n")
    with pytest.raises(DataError, match="link"):
        list_source(IngestConfig(source=str(tmp_path / "source"), dataset="d", layout=layout))


def test_tables_and_lists_of_published_sets_that_link_out_are_refused(
    tmp_path: Path, outside: Callable[[Path, str], Path]
) -> None:
    root = tmp_path / "source"
    image(root / "train/satellite/0001/0001.jpg")
    outside(root / "buildings.kml", "<kml/>")
    outside(root / "new_name_list.txt", "0001 Library\n")
    listing = list_university1652(root)
    assert refused(listing) == {"buildings.kml": Reason.OUTSIDE_ROOT, "new_name_list.txt": Reason.OUTSIDE_ROOT}
    assert set(by_name(listing)) == {"0001.jpg"}

    outside(root / "Dense_GPS_ALL.txt", "train/satellite/0001/0001.jpg E1 N2 3\n")
    listing = list_denseuav(root)
    assert refused(listing)["Dense_GPS_ALL.txt"] is Reason.OUTSIDE_ROOT
    assert by_name(listing)["0001.jpg"].position is None


def test_the_challenges_list_of_names_that_links_out_is_refused(tmp_path: Path, outside: Callable[[Path, str], Path]) -> None:
    root = tmp_path / "source"
    image(root / "query_drone_160k/a.jpg")
    outside(root / "query_drone_name.txt", "other.jpg\n")
    listing = list_university160k_official(root)
    assert refused(listing) == {"query_drone_name.txt": Reason.OUTSIDE_ROOT}
    assert set(by_name(listing)) == {"a.jpg"}
    with pytest.raises(DataError, match="leaves"):
        read_query_names(root)


def test_a_list_of_places_that_links_out_leaves_the_published_one(tmp_path: Path, outside: Callable[[Path, str], Path]) -> None:
    root = tmp_path / "source"
    place = min(TRAINING_LOCATIONS)
    image(root / f"drone_view_512/{place}/150/0.jpg")
    outside(root / "indexs.yaml", '- "0199"\n')
    listing = list_sues200(root)
    assert refused(listing) == {"indexs.yaml": Reason.OUTSIDE_ROOT}
    assert by_name(listing)["0.jpg"].subsets == (Subset.GALLERY, Subset.TRAIN)


@pytest.mark.parametrize(
    ("name", "reader"), [("splits/train-19zl.csv", list_cvusa), ("ACT_data.mat", list_cvact)], ids=["cvusa", "cvact"]
)
def test_a_table_that_names_all_pairs_and_links_out_is_an_error(
    tmp_path: Path, outside: Callable[[Path, str], Path], name: str, reader: Callable[[Path], Listing]
) -> None:
    outside(tmp_path / "source" / name, "bingmap/19/0000001.jpg,streetview/panos/0000001.jpg\n")
    with pytest.raises(DataError, match="link"):
        reader(tmp_path / "source")
