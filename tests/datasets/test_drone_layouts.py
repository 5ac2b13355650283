"""University-160k, SUES-200 and DenseUAV: masked names, heights, tables of positions."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cvgl.config import IngestConfig, Layout
from cvgl.datasets.denseuav import is_denseuav, list_denseuav
from cvgl.datasets.detection import list_source, recognise
from cvgl.datasets.sues200 import HEIGHTS, TRAINING_LOCATIONS, list_sues200
from cvgl.datasets.university160k import (
    list_university160k,
    list_university160k_official,
    read_query_names,
)
from cvgl.errors import DataError
from cvgl.geo import Position
from cvgl.ingestion.entries import Reason
from cvgl.types import Subset, View
from tests.data.images import place_image, save
from tests.data.layouts import Layouts


def test_no_label_stands_beside_masked_names(layouts: Layouts, tmp_path: Path) -> None:
    folder = layouts.copy(Layout.UNIVERSITY160K_OFFICIAL, tmp_path)
    save(place_image(1), folder / "test/gallery_satellite/0001/0001.jpg")
    listing = list_university160k_official(folder)
    assert {entry.location_id is None for entry in listing.entries if entry.subsets != (Subset.TRAIN,)} == {True}
    assert any("1 labelled test images were passed over" in note for note in listing.notes)


def test_what_the_list_of_queries_asks_for_has_to_be_there(layouts: Layouts, tmp_path: Path) -> None:
    folder = layouts.copy(Layout.UNIVERSITY160K_OFFICIAL, tmp_path)
    names = read_query_names(folder)
    (folder / "query_drone_160k" / names[0]).unlink()
    save(place_image(1), folder / "query_drone_160k/unasked.jpeg")
    listing = list_university160k_official(folder)
    assert {Path(r.uri).name: r.reason for r in listing.refusals} == {
        names[0]: Reason.MISSING,
        "unasked.jpeg": Reason.UNLISTED,
    }
    assert sum(entry.view is View.DRONE and Subset.QUERY in entry.subsets for entry in listing.entries) == len(names) - 1


def test_the_challenges_folders_may_lie_in_test(layouts: Layouts, tmp_path: Path) -> None:
    folder = layouts.copy(Layout.UNIVERSITY160K_OFFICIAL, tmp_path)
    (folder / "test").mkdir()
    for name in ("query_drone_160k", "gallery_satellite_160k", "query_drone_name.txt"):
        (folder / name).rename(folder / "test" / name)
    listing = list_university160k_official(folder)
    assert (recognise(folder)[0], len(listing.entries), listing.refusals) == (Layout.UNIVERSITY160K_OFFICIAL, 34, [])


def test_distractors_have_no_label(layouts: Layouts) -> None:
    listing = list_university160k(layouts.original(Layout.UNIVERSITY160K))
    pool = [entry for entry in listing.entries if "gallery_satellite_160k" in entry.path.parts]
    assert {(entry.location_id, entry.view, entry.subsets) for entry in pool} == {(None, View.SATELLITE, (Subset.GALLERY,))}


def test_the_published_places_divide_sues200() -> None:
    assert len(TRAINING_LOCATIONS) == 120
    assert {"0001", "0007", "0009", "0200"} <= TRAINING_LOCATIONS
    assert not {"0008", "0012", "0190", "0195"} & TRAINING_LOCATIONS


def test_a_list_beside_the_images_goes_before_the_published_one(layouts: Layouts, tmp_path: Path) -> None:
    folder = layouts.copy(Layout.SUES200, tmp_path)
    (folder / "indexs.yaml").write_text('index:\n- "0008"\n- "0012"\n')
    trained = {entry.location_id for entry in list_sues200(folder).entries if Subset.TRAIN in entry.subsets}
    assert trained == {"0008", "0012"}
    (folder / "indexs.yaml").write_text("nothing\n")
    with pytest.raises(DataError, match="names no place"):
        list_sues200(folder)


def test_one_height_is_taken_alone(layouts: Layouts) -> None:
    source = str(layouts.original(Layout.SUES200))
    listing = list_source(IngestConfig(source=source, dataset="d", height=200))
    assert {entry.path.parts[-2] for entry in listing.entries if entry.view is View.DRONE} == {"200"}
    assert sum(entry.view is View.SATELLITE for entry in listing.entries) == 6
    with pytest.raises(DataError, match="120 m"):
        list_source(IngestConfig(source=source, dataset="d", height=120))
    with pytest.raises(DataError, match="no meaning"):
        list_source(IngestConfig(source=str(layouts.original(Layout.DENSEUAV)), dataset="d", height=200))


def test_sues200_as_its_script_arranges_it(layouts: Layouts, tmp_path: Path) -> None:
    released = layouts.original(Layout.SUES200)
    folder = tmp_path / "arranged"
    for place in sorted(path.name for path in (released / "satellite-view").iterdir()):
        for height in HEIGHTS:
            drone, satellite = released / "drone_view_512" / place / height, released / "satellite-view" / place
            if place in TRAINING_LOCATIONS:
                targets = {f"Training/{height}/drone": drone, f"Training/{height}/satellite": satellite}
            else:
                targets = {f"Testing/{height}/query_drone": drone, f"Testing/{height}/query_satellite": satellite}
            targets |= {f"Testing/{height}/gallery_drone": drone, f"Testing/{height}/gallery_satellite": satellite}
            for name, origin in targets.items():
                shutil.copytree(origin, folder / name / place)
    listing = list_source(IngestConfig(source=str(folder), dataset="d"))
    again = list_source(IngestConfig(source=str(released), dataset="d"))

    def roles(entries: list) -> set[tuple[str, str | None, str, bytes]]:  # type: ignore[type-arg] # of entries
        return {(str(e.view), e.location_id, str(s), e.path.read_bytes()) for e in entries for s in e.subsets}

    assert listing.layout is Layout.SUES200
    assert roles(listing.entries) == roles(again.entries)
    satellites = [entry for entry in listing.entries if entry.view is View.SATELLITE]
    assert len(satellites) == 3 + 3 + 6  # once, not once a height
    at_height = list_source(IngestConfig(source=str(folder), dataset="d", height=150))
    assert {e.path.relative_to(folder).parts[1] for e in at_height.entries if e.view is View.DRONE} == {"150"}
    assert sum(entry.view is View.SATELLITE for entry in at_height.entries) == 12


def test_images_outside_of_places_and_heights_are_misplaced(layouts: Layouts, tmp_path: Path) -> None:
    folder = layouts.copy(Layout.SUES200, tmp_path)
    save(place_image(1), folder / "drone_view_512/0001/100/0.jpg")
    save(place_image(1), folder / "drone_view_512/0001/0.jpg")
    save(place_image(1), folder / "satellite-view/0.png")
    save(place_image(1), folder / "thermal/0001/0.png")
    refusals = {r.uri.removeprefix(f"{folder}/"): r.reason for r in list_sues200(folder).refusals}
    assert refusals == {
        "drone_view_512/0001/100/0.jpg": Reason.MISPLACED,
        "drone_view_512/0001/0.jpg": Reason.MISPLACED,
        "satellite-view/0.png": Reason.MISPLACED,
        "thermal": Reason.UNKNOWN_FOLDER,
    }


def test_densauavs_tables_place_its_images(layouts: Layouts, tmp_path: Path) -> None:
    folder = layouts.copy(Layout.DENSEUAV, tmp_path)
    for name in ("train", "test"):
        (folder / f"Dense_GPS_{name}.txt").unlink()
    lines = [
        "train/satellite/000000/H80.tif E120.5 N30.25 94.2",
        "test\\query_satellite\\000003\\H80.tif W120.5 S30.25 80",
        "train/satellite/000001/H80.tif E120.5 94",
        "train/satellite/000002/H80.tif E220.5 N30 94",
        "",
    ]
    (folder / "Dense_GPS_ALL.txt").write_text("\n".join(lines))
    listing = list_denseuav(folder)
    positions = {entry.location_id: entry.position for entry in listing.entries}
    assert positions["000000"] == Position(latitude=30.25, longitude=120.5)
    assert positions["000003"] == Position(latitude=-30.25, longitude=-120.5)
    assert positions["000001"] is positions["000002"] is None
    assert [r.reason for r in listing.refusals] == [Reason.BAD_ROW, Reason.BAD_POSITION]


def test_denseuav_is_known_by_the_names_of_its_images(layouts: Layouts, tmp_path: Path) -> None:
    folder = layouts.copy(Layout.DENSEUAV, tmp_path)
    for path in folder.glob("*.txt"):
        path.unlink()
    assert is_denseuav(folder)
    assert not is_denseuav(layouts.original(Layout.UNIVERSITY1652))
    assert recognise(folder)[0] is Layout.DENSEUAV
