"""Names in tables that are not spelt as on the disk: recognised where one image can be meant, named where not."""

from __future__ import annotations

import unicodedata
from io import BytesIO
from pathlib import Path

import pytest

from cvgl.geo import Position
from cvgl.ingestion.entries import Entry, Listing, Reason
from cvgl.ingestion.folder import list_folder
from cvgl.ingestion.manifest import list_manifest
from tests.data.images import place_image

PLACE = Position(latitude=47.0, longitude=8.0)


@pytest.fixture(scope="module")
def jpeg() -> bytes:
    stream = BytesIO()
    place_image(0, size=16).save(stream, "JPEG")
    return stream.getvalue()


def put(root: Path, jpeg: bytes, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(jpeg)


def placed(listing: Listing) -> set[str]:
    return {entry.path.name for entry in listing.entries if entry.position == PLACE}


SPELLINGS = [
    (unicodedata.normalize("NFC", "Köln.jpg"), unicodedata.normalize("NFD", "Köln.jpg")),
    (unicodedata.normalize("NFD", "Köln.jpg"), unicodedata.normalize("NFC", "Köln.jpg")),
    ("sub/IMG_1.jpg", "sub/img_1.JPG"),
    ("sub/IMG_1.jpg", "Sub\\IMG_1.jpg"),
    ("sub/IMG_1.jpg", "SUB/img_1.jpg"),
    ("sub/IMG_1.jpg", " ./sub//IMG_1.jpg "),
    ("sub/IMG_1.jpg", "sub/../sub/IMG_1.jpg"),
    ("a b.jpg", "a%20b.jpg"),
    ("a%20b.jpg", "a b.jpg"),
    ("100%.jpg", "100%.JPG"),
    ("DJI_0001.JPG", "DJI_0001"),
    ("sub/DJI_0001.JPG", "sub/dji_0001"),
    ("sub/IMG_1.jpg", "D:\\survey\\sub\\IMG_1.jpg"),
    ("sub/IMG_1.jpg", "D:\\survey\\DCIM\\IMG_1.JPG"),
    ("sub/IMG_1.jpg", "/home/x/sub/IMG_1.jpg"),
    ("sub/IMG_1.jpg", "\\\\server\\share\\sub\\IMG_1.jpg"),
    ("sub/IMG 1.jpg", "file:///home/x/sub/IMG%201.jpg"),
    ("sub/IMG_1.jpg", "file:///D:/x/sub/IMG_1.jpg"),
]


@pytest.mark.parametrize(("name", "spelling"), SPELLINGS)
def test_a_side_table_may_spell_names_otherwise(tmp_path: Path, jpeg: bytes, name: str, spelling: str) -> None:
    put(tmp_path, jpeg, f"drone/{name}", "drone/other.jpg", "satellite/c.jpg")
    (tmp_path / "drone.csv").write_text(f"path,latitude,longitude\n{spelling},47,8\n")
    listing = list_folder(tmp_path)
    assert placed(listing) == {Path(name).name}
    assert listing.refusals == []


@pytest.mark.parametrize(("name", "spelling"), SPELLINGS)
def test_a_manifest_may_spell_names_otherwise(tmp_path: Path, jpeg: bytes, name: str, spelling: str) -> None:
    put(tmp_path, jpeg, name, "other.jpg")
    (tmp_path / "manifest.csv").write_text(f"path,view,latitude,longitude\n{spelling},drone,47,8\nother.jpg,satellite,,\n")
    listing = list_manifest(tmp_path / "manifest.csv")
    assert [entry.path for entry in listing.entries if entry.position] == [tmp_path / name]
    assert listing.refusals == []


def test_spellings_are_counted_in_notes(tmp_path: Path, jpeg: bytes) -> None:
    put(tmp_path, jpeg, "a.jpg", "b.jpg", "c.jpg")
    (tmp_path / "manifest.csv").write_text("path,view\nA.jpg,drone\nB.jpg,drone\nD:\\x\\c.jpg,satellite\n")
    notes = [note for note in list_manifest(tmp_path / "manifest.csv").notes if "spelling" in note or "last parts" in note]
    assert [note.partition("): ")[2] or note.rpartition(": ")[2] for note in notes] == ["2 rows (2, 3)", "1 row (4)"]


def test_two_images_of_one_name_are_both_named(tmp_path: Path, jpeg: bytes) -> None:
    put(tmp_path, jpeg, "drone/1/b.jpg", "drone/2/B.jpg", "drone/2/c.jpg", "drone/3/c.jpg", "satellite/d.jpg")
    (tmp_path / "drone.csv").write_text("path,lat,lon\nB.JPG,47,8\nc.jpg,47,8\n/x/3/c.jpg,47,8\n")
    listing = list_folder(tmp_path)
    assert [(refusal.reason, refusal.detail) for refusal in listing.refusals] == [
        (Reason.AMBIGUOUS, "two images have this name: 1/b.jpg, 2/B.jpg; write the folder in front of it, too"),
        (Reason.AMBIGUOUS, "two images have this name: 2/c.jpg, 3/c.jpg; write the folder in front of it, too"),
    ]
    assert [entry.path for entry in listing.entries if entry.position] == [tmp_path / "drone/3/c.jpg"]


def test_a_bare_name_in_a_manifest_is_looked_for_below(tmp_path: Path, jpeg: bytes) -> None:
    put(tmp_path, jpeg, "x/a.jpg", "x/b.jpg", "y/b.jpg", "y/c.jpg")
    (tmp_path / "manifest.csv").write_text("filename,view\na.jpg,drone\nb.jpg,drone\nc.jpg,satellite\n")
    listing = list_manifest(tmp_path / "manifest.csv")
    assert [entry.path for entry in listing.entries] == [tmp_path / "x/a.jpg", tmp_path / "y/c.jpg"]
    assert [(refusal.reason, "x/b.jpg, y/b.jpg" in refusal.detail) for refusal in listing.refusals] == [
        (Reason.AMBIGUOUS, True)
    ]


def test_a_name_in_another_folder_is_not_taken_for_it(tmp_path: Path, jpeg: bytes) -> None:
    put(tmp_path, jpeg, "drone/flight2/1.jpg", "satellite/d.jpg")
    (tmp_path / "drone.csv").write_text("path,latitude,longitude\nflight1/1.jpg,47,8\n")
    listing = list_folder(tmp_path)
    assert placed(listing) == set()
    assert [(refusal.reason, "flight2/1.jpg" in refusal.detail) for refusal in listing.refusals] == [(Reason.MISSING, True)]


def test_paths_of_two_flights_are_not_given_to_the_images_of_one(tmp_path: Path, jpeg: bytes) -> None:
    put(tmp_path, jpeg, "drone/f2/1.jpg", "drone/f2/2.jpg", "satellite/d.jpg")
    (tmp_path / "drone.csv").write_text(
        "path,latitude,longitude\nD:\\f1\\1.jpg,1,1\nD:\\f2\\x\\1.jpg,3,3\nD:\\f1\\2.jpg,1,1\nD:\\f3\\2.jpg,2,2\n"
    )
    listing = list_folder(tmp_path)
    positions = {entry.path.name: entry.position for entry in listing.entries}
    assert (positions["1.jpg"], positions["2.jpg"]) == (None, None)
    assert {refusal.reason for refusal in listing.refusals} == {Reason.AMBIGUOUS}
    assert len(listing.refusals) == 4

    for better in ("f2/1.jpg", "D:\\f2\\1.jpg"):
        (tmp_path / "drone.csv").write_text(f"path,latitude,longitude\nD:\\f1\\1.jpg,1,1\n{better},47,8\n")
        listing = list_folder(tmp_path)
        assert placed(listing) == {"1.jpg"}
        assert [refusal.reason for refusal in listing.refusals] == [Reason.MISSING]


@pytest.mark.parametrize("path", ["D:\\survey\\gone.jpg", "/home/x/gone.jpg", "file:///home/x/gone.jpg"])
def test_a_path_of_another_computer_says_so(tmp_path: Path, jpeg: bytes, path: str) -> None:
    put(tmp_path, jpeg, "a.jpg")
    (tmp_path / "manifest.csv").write_text(f"path,view\n{path},drone\na.jpg,satellite\n")
    listing = list_manifest(tmp_path / "manifest.csv")
    (refusal,) = listing.refusals
    assert (refusal.reason, "--root" in refusal.detail) == (Reason.OUTSIDE_ROOT, True)
    assert [entry.path.name for entry in listing.entries] == ["a.jpg"]


@pytest.mark.parametrize("path", ["../s/out/a.jpg", "out/a.jpg", "s3://bucket/a.jpg", "https://x/a.jpg"])
def test_nothing_leaves_the_root_by_another_spelling(tmp_path: Path, jpeg: bytes, path: str) -> None:
    root = tmp_path / "s"
    put(root, jpeg, "deep/a.jpg")
    put(tmp_path, jpeg, "outside/a.jpg")
    (root / "out").symlink_to(tmp_path / "outside")
    (root / "manifest.csv").write_text(f"path,view\n{path},drone\n")
    listing = list_manifest(root / "manifest.csv")
    assert (listing.entries, [refusal.reason for refusal in listing.refusals]) == ([], [Reason.OUTSIDE_ROOT])


def test_an_image_that_is_not_there_stays_missing(tmp_path: Path, jpeg: bytes) -> None:
    put(tmp_path, jpeg, "a.jpg")
    (tmp_path / "manifest.csv").write_text("path,view\ngone/b.jpg,drone\na.jpg,satellite\n")
    paths = [entry.path for entry in list_manifest(tmp_path / "manifest.csv").entries]
    assert paths == [tmp_path / "gone/b.jpg", tmp_path / "a.jpg"]


@pytest.mark.parametrize(
    "name", ["./", "/", "\\", ".", "..", "//", "%", "%2e%2e/%2e%2e/a", "file:", "file:///", '""', "' '", "a\0", "D:"]
)
def test_names_that_are_none_are_refused(tmp_path: Path, jpeg: bytes, name: str) -> None:
    put(tmp_path, jpeg, "drone/a.jpg", "satellite/d.jpg")
    quoted = '"' + name.replace('"', '""') + '"'
    (tmp_path / "drone.csv").write_text(f"path,latitude,longitude\n{quoted},47,8\n")
    listing = list_folder(tmp_path)
    assert [refusal.reason for refusal in listing.refusals] == [Reason.MISSING]
    (tmp_path / "manifest.csv").write_text(f"path,view\n{quoted},drone\n")
    paths = [entry.path for entry in list_manifest(tmp_path / "manifest.csv").entries]
    assert all(path.is_relative_to(tmp_path) and not path.is_file() for path in paths)


def test_an_image_called_like_nothing_is_an_image(tmp_path: Path, jpeg: bytes) -> None:
    put(tmp_path, jpeg, "null.jpg", "NA.jpg")
    (tmp_path / "manifest.csv").write_text("path,view\nnull,drone\nNA,satellite\n")
    entries: list[Entry] = list_manifest(tmp_path / "manifest.csv").entries
    assert [entry.path.name for entry in entries] == ["null.jpg", "NA.jpg"]
