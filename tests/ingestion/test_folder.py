"""One folder for each view, and the four ways of saying where an image was taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from cvgl.errors import DataError
from cvgl.geo import Position
from cvgl.ingestion.entries import Entry, Listing, Reason, WorldFile
from cvgl.ingestion.folder import is_folder_of_views, list_folder
from cvgl.types import Subset, View
from tests.data.images import place_image, save


def save_image(path: Path, place: int = 0) -> Path:
    return save(place_image(place, size=16), path)


def by_name(listing: Listing) -> dict[str, Entry]:
    return {entry.path.name: entry for entry in listing.entries}


def test_views_are_named_in_many_ways_and_nested_at_will(tmp_path: Path) -> None:
    for name in ("UAV/flight1/morning/a.jpg", "Sat/north/b.png", "street/c.jpg", "map/d.tif"):
        save_image(tmp_path / name)
    entries = by_name(list_folder(tmp_path))
    assert {name: entry.view for name, entry in entries.items()} == {
        "a.jpg": View.DRONE,
        "b.png": View.SATELLITE,
        "c.jpg": View.GROUND,
        "d.tif": View.SATELLITE,
    }
    # A folder may be a place, which is a label; what is taken in a row has to be said in a column.
    assert {entry.sequence for entry in entries.values()} == {None}
    assert entries["a.jpg"].from_camera


def test_roles_without_labels_let_everything_adapt(tmp_path: Path) -> None:
    save_image(tmp_path / "drone/a.jpg")
    save_image(tmp_path / "satellite/b.jpg")
    entries = by_name(list_folder(tmp_path))
    assert entries["a.jpg"].subsets == (Subset.QUERY, Subset.TRAIN)
    assert entries["b.jpg"].subsets == (Subset.GALLERY, Subset.TRAIN)


def test_labels_bring_the_other_direction(tmp_path: Path) -> None:
    for name in ("drone/a.jpg", "drone/n.jpg", "satellite/b.jpg", "satellite/far.jpg"):
        save_image(tmp_path / name)
    (tmp_path / "positions.csv").write_text(
        "path,location_id\ndrone/a.jpg,7\nsatellite/b.jpg,7\nsatellite/far.jpg,8\ndrone/n.jpg,\n"
    )
    entries = by_name(list_folder(tmp_path))
    everything = (Subset.GALLERY, Subset.QUERY, Subset.TRAIN)
    assert (entries["a.jpg"].subsets, entries["b.jpg"].subsets) == (everything, everything)
    assert entries["far.jpg"].subsets == (Subset.GALLERY, Subset.TRAIN)  # nobody asks for what nobody saw
    assert entries["n.jpg"].subsets == (Subset.QUERY, Subset.TRAIN)


@pytest.mark.parametrize(
    ("table", "header"),
    [
        ("drone/positions.csv", "path,latitude,longitude"),
        ("drone.csv", "filename,lat,lon"),
        ("positions.csv", "path;Latitude;Longitude"),
    ],
)
def test_a_table_beside_gives_positions(tmp_path: Path, table: str, header: str) -> None:
    save_image(tmp_path / "drone/sub/a.jpg")
    save_image(tmp_path / "satellite/b.jpg")
    name = "drone/sub/a.jpg" if table == "positions.csv" else "sub/a.jpg"
    separator = ";" if ";" in header else ","
    (tmp_path / table).write_text(f"{header}\n{separator.join((name, '47.25', '8.5'))}\n")
    listing = list_folder(tmp_path)
    assert by_name(listing)["a.jpg"].position == Position(latitude=47.25, longitude=8.5)
    assert by_name(listing)["b.jpg"].position is None
    assert listing.refusals == []


def test_a_bare_name_counts_where_only_one_image_has_it(tmp_path: Path) -> None:
    for name in ("drone/1/a.jpg", "drone/1/b.jpg", "drone/2/b.jpg", "satellite/c.jpg"):
        save_image(tmp_path / name)
    (tmp_path / "drone.csv").write_text("filename,x,y,crs,note\na.jpg,1,2,local,fine\nb.jpg,3,4,local,which?\n")
    listing = list_folder(tmp_path)
    assert by_name(listing)["a.jpg"].position == Position(x=1, y=2, crs="local")
    assert [(r.reason, r.uri) for r in listing.refusals] == [(Reason.AMBIGUOUS, f"{tmp_path / 'drone.csv'}:3: b.jpg")]
    assert [note for note in listing.notes if "note" in note]


def test_the_nearest_table_wins(tmp_path: Path) -> None:
    save_image(tmp_path / "drone/a.jpg")
    (tmp_path / "positions.csv").write_text("path,latitude,longitude\ndrone/a.jpg,1,1\n")
    (tmp_path / "drone.csv").write_text("path,latitude,longitude\na.jpg,2,2\n")
    (tmp_path / "drone/positions.csv").write_text("path,latitude,longitude\na.jpg,3,3\n")
    assert by_name(list_folder(tmp_path))["a.jpg"].position == Position(latitude=3, longitude=3)


def test_bad_cells_refuse_their_image_only(tmp_path: Path) -> None:
    for name in "abcd":
        save_image(tmp_path / f"satellite/{name}.jpg")
    (tmp_path / "satellite.csv").write_text("path,latitude,longitude\na.jpg,123,8\nb.jpg,47,\nc.jpg,47,8\nd.jpg\n")
    listing = list_folder(tmp_path)
    reasons = {Path(refusal.uri).name: refusal.reason for refusal in listing.refusals}
    assert reasons == {"a.jpg": Reason.BAD_POSITION, "satellite.csv:5": Reason.BAD_ROW}
    assert {name: entry.position for name, entry in by_name(listing).items()} == {
        "b.jpg": None,  # half of a position: the image is worth more than that
        "c.jpg": Position(latitude=47, longitude=8),
        "d.jpg": None,
    }


def test_a_table_without_names_is_an_error(tmp_path: Path) -> None:
    save_image(tmp_path / "drone/a.jpg")
    (tmp_path / "drone.csv").write_text("picture,latitude,longitude\na.jpg,1,2\n")
    with pytest.raises(DataError, match="no column 'path'"):
        list_folder(tmp_path)


@pytest.mark.parametrize(
    ("image", "sidecar"),
    [("m.jpg", "m.jgw"), ("m.jpg", "M.JGW"), ("m.png", "m.pgw"), ("m.tif", "m.tfw"), ("m.jpg", "m.wld"), ("m.jpeg", "m.jpegw")],
)
def test_world_files_are_found_by_every_usual_name(tmp_path: Path, image: str, sidecar: str) -> None:
    save_image(tmp_path / "satellite" / image)
    (tmp_path / "satellite" / sidecar).write_text("0.5\n0\n0\n-0.5\n100.25\n899.75\n")
    listing = list_folder(tmp_path)
    world = listing.entries[0].world_file
    assert world == WorldFile(0.5, 0, 0, -0.5, 100.25, 899.75, "local")
    assert world.centre(16, 16) == (104.0, 896.0)  # the middle between the outer edges 100..108 and 900..892
    assert listing.refusals == []


def test_a_projection_names_the_crs_of_a_rotated_world_file(tmp_path: Path) -> None:
    save_image(tmp_path / "satellite/m.jpg")
    (tmp_path / "satellite/m.jgw").write_text("0\n-1\n1\n0\n0\n0\n")
    (tmp_path / "satellite/m.prj").write_text("EPSG:32632\n")
    world = list_folder(tmp_path).entries[0].world_file
    assert world is not None
    assert (world.crs, world.centre(11, 21)) == ("EPSG:32632", (10.0, -5.0))


@pytest.mark.parametrize("text", ["", "1 2 3", "a b c d e f", "0 0 0 0 5 5", "nan 0 0 1 0 0", "1 " * 40_000])
def test_a_world_file_that_makes_no_sense_refuses_its_image(tmp_path: Path, text: str) -> None:
    save_image(tmp_path / "satellite/m.jpg")
    save_image(tmp_path / "satellite/good.jpg")
    (tmp_path / "satellite/m.jgw").write_text(text)
    listing = list_folder(tmp_path)
    assert [refusal.reason for refusal in listing.refusals] == [Reason.BAD_POSITION]
    assert set(by_name(listing)) == {"good.jpg"}


def test_a_table_goes_before_a_world_file(tmp_path: Path) -> None:
    save_image(tmp_path / "satellite/m.jpg")
    (tmp_path / "satellite/m.jgw").write_text("1 0 0 -1 0 0")
    (tmp_path / "satellite.csv").write_text("path,x,y,crs\nm.jpg,5,6,local\n")
    entry = list_folder(tmp_path).entries[0]
    assert (entry.position, entry.world_file) == (Position(x=5, y=6, crs="local"), None)


def test_nothing_is_skipped_in_silence(tmp_path: Path) -> None:
    save_image(tmp_path / "drone/a.jpg")
    save_image(tmp_path / "aerial/b.jpg")
    save_image(tmp_path / "loose.jpg")
    (tmp_path / "drone/readme.md").write_text("hello")
    (tmp_path / "drone/folder.jpg").mkdir()
    (tmp_path / "LICENSE").write_text("hello")
    (tmp_path / "truth.csv").write_text("hello")
    (tmp_path / "positions.csv").write_text("path,latitude,longitude\ndrone/a.jpg,1,2\ndrone/gone.jpg,1,2\n")
    listing = list_folder(tmp_path)
    reasons = {str(Path(r.uri).relative_to(tmp_path)): r.reason for r in listing.refusals}
    assert reasons == {
        "aerial": Reason.UNKNOWN_FOLDER,
        "loose.jpg": Reason.MISPLACED,
        "positions.csv:3: drone/gone.jpg": Reason.MISSING,
        "drone/readme.md": Reason.NOT_AN_IMAGE,
        "drone/folder.jpg": Reason.NOT_A_FILE,
    }
    assert [note.split()[0] for note in listing.notes] == ["LICENSE", "truth.csv"]


def test_a_folder_of_views_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "drone").write_text("a file")
    assert not is_folder_of_views(tmp_path)
    (tmp_path / "Maps").mkdir()
    assert is_folder_of_views(tmp_path)
