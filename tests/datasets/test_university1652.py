"""The release's folders, whole or in part, and what does not belong in them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cvgl.config import Layout
from cvgl.datasets.university1652 import is_university1652, list_university1652
from cvgl.errors import DataError
from cvgl.geo import Position
from cvgl.ingestion.entries import Reason
from cvgl.types import Subset, View
from tests.data.images import place_image, save, university1652


def image(path: Path, place: int = 0) -> Path:
    return save(place_image(place, size=16), path)


def test_roles_views_and_labels_come_from_the_folders(tmp_path: Path) -> None:
    listing = list_university1652(university1652(tmp_path, train=2, test=1, distractors=1, views=2))
    roles = {str(e.path.relative_to(tmp_path)): (e.view, e.subsets, e.location_id) for e in listing.entries}
    assert listing.layout is Layout.UNIVERSITY1652
    assert roles["train/drone/0001/image-02.jpeg"] == (View.DRONE, (Subset.TRAIN,), "0001")
    assert roles["train/satellite/0000/0000.jpg"] == (View.SATELLITE, (Subset.TRAIN,), "0000")
    assert roles["test/query_drone/0002/image-01.jpeg"] == (View.DRONE, (Subset.QUERY,), "0002")
    assert roles["test/gallery_satellite/0003/0003.jpg"] == (View.SATELLITE, (Subset.GALLERY,), "0003")
    assert len(roles) == 2 * 3 + 2 * 3 + 3
    assert (listing.refusals, listing.notes) == ([], [])


def test_street_and_google_images_are_ground_images(tmp_path: Path) -> None:
    for folder in ("train/street", "train/google", "test/query_street", "test/gallery_street"):
        image(tmp_path / folder / "0001" / "1.jpg")
    views = {(entry.view, entry.subsets) for entry in list_university1652(tmp_path).entries}
    assert views == {(View.GROUND, (subset,)) for subset in Subset}


def test_a_part_of_the_release_is_recognised(tmp_path: Path) -> None:
    assert not is_university1652(tmp_path)
    (tmp_path / "train").mkdir()
    assert not is_university1652(tmp_path)
    (tmp_path / "test" / "gallery_satellite").mkdir(parents=True)
    assert is_university1652(tmp_path)


def test_nothing_is_skipped_in_silence(tmp_path: Path) -> None:
    image(tmp_path / "train/drone/0001/ok.jpg")
    image(tmp_path / "train/drone/loose.jpg")
    image(tmp_path / "train/thermal/0001/1.jpg")
    image(tmp_path / "test/4K_drone/0001/1.jpg")
    image(tmp_path / "valid/drone/0001/1.jpg")
    image(tmp_path / "test/stray.jpg")
    (tmp_path / "train/drone/0001/notes.txt").write_text("hello")
    (tmp_path / "readme.txt").write_text("hello")
    listing = list_university1652(tmp_path)
    reasons = {str(Path(r.uri).relative_to(tmp_path)): r.reason for r in listing.refusals}
    assert [entry.path.name for entry in listing.entries] == ["ok.jpg"]
    assert reasons == {
        "train/drone/loose.jpg": Reason.MISPLACED,
        "train/thermal": Reason.UNKNOWN_FOLDER,
        "valid": Reason.UNKNOWN_FOLDER,
        "test/stray.jpg": Reason.MISPLACED,
        "train/drone/0001/notes.txt": Reason.NOT_AN_IMAGE,
    }
    assert any("readme.txt" in note for note in listing.notes)
    assert any("test/4K_drone was passed over" in note for note in listing.notes)


KML = """<?xml version="1.0" encoding="UTF-8"?>
<kml xmlns="http://www.opengis.net/kml/2.2"><Document><name>Buildings</name>
<Placemark><name>0001 Some Library</name><Point><coordinates>-71.4,41.8,0</coordinates></Point></Placemark>
<Placemark><name>Old  gym</name><LookAt><longitude>9.5</longitude><latitude>47.5</latitude></LookAt></Placemark>
<Placemark><name>George Street</name><Point><coordinates>1,2,0</coordinates></Point></Placemark>
<Placemark><name>A tour</name></Placemark>
</Document></kml>"""


def test_positions_come_from_the_kml_file_beside_the_folders(tmp_path: Path) -> None:
    for place in range(4):
        image(tmp_path / f"train/satellite/{place:04d}/1.jpg", place)
        image(tmp_path / f"train/drone/{place:04d}/1.jpg", 10 + place)
    (tmp_path / "buildings.kml").write_text(KML)
    # Two buildings share a name, so it says nothing of either.
    (tmp_path / "new_name_list.txt").write_text("0001 Some Library\n0002 Old Gym\n0003 George Street\n0000 George Street\n")
    listing = list_university1652(tmp_path)
    positions = {(e.view, e.location_id): e.position for e in listing.entries}
    assert positions[View.SATELLITE, "0001"] == positions[View.DRONE, "0001"] == Position(latitude=41.8, longitude=-71.4)
    assert positions[View.SATELLITE, "0002"] == Position(latitude=47.5, longitude=9.5)
    assert positions[View.SATELLITE, "0000"] is positions[View.SATELLITE, "0003"] is None
    assert any("positions of 2 buildings" in note for note in listing.notes)
    assert any("1 places of buildings.kml" in note for note in listing.notes)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("<kml>", "not XML"),
        ('<!DOCTYPE k [<!ENTITY a "b">]><kml/>', "entities"),
        (KML.replace("41.8", "98"), "latitude"),
    ],
)
def test_a_kml_file_that_cannot_be_one_is_told(tmp_path: Path, text: str, word: str) -> None:
    image(tmp_path / "train/satellite/0001/1.jpg")
    (tmp_path / "buildings.kml").write_text(text)
    with pytest.raises(DataError, match=word):
        list_university1652(tmp_path)


@pytest.mark.parametrize(
    ("encoding", "declared"),
    [
        ("utf-8-sig", "UTF-8"),
        ("utf-8", ""),
        ("utf-16", "UTF-16"),
        ("utf-16-le", "UTF-16"),
        ("utf-16", "UTF-8"),
        ("cp1252", "windows-1252"),
        ("cp1252", "UTF-8"),
        ("iso-8859-15", "ISO-8859-15"),
        ("gb18030", "GB18030"),
    ],
)
def test_a_kml_file_may_have_any_encoding(tmp_path: Path, encoding: str, declared: str) -> None:
    image(tmp_path / "train/satellite/0001/1.jpg")
    text = KML.replace("0001 Some Library", "Universit\u00e9 \u00fc").replace(
        ' encoding="UTF-8"', f' encoding="{declared}"' if declared else ""
    )
    (tmp_path / "buildings.kml").write_bytes(text.encode(encoding))
    (tmp_path / "new_name_list.txt").write_bytes(
        "0001 Universit\u00e9 \u00fc\n".encode(encoding if "utf" in encoding else "cp1252")
    )
    (entry,) = list_university1652(tmp_path).entries
    assert entry.position == Position(latitude=41.8, longitude=-71.4)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("declaration", ["<!DOCTYPE kml>", '<!DOCTYPE k [<!ENTITY a "b">]>', '<!DOCTYPE k SYSTEM "file:///x">'])
def test_a_kml_file_with_entities_is_refused_in_every_encoding(tmp_path: Path, encoding: str, declaration: str) -> None:
    image(tmp_path / "train/satellite/0001/1.jpg")
    (tmp_path / "buildings.kml").write_bytes(KML.partition("?>")[2].join([declaration, ""]).encode(encoding))
    with pytest.raises(DataError, match="entities"):
        list_university1652(tmp_path)


@pytest.mark.parametrize(
    "data", [b"<?xml version='1.0' encoding='klingon'?><kml/>", b"\xff\xfe<", b"", b"\0\0\0\0", b"<kml>\xff</kml"]
)
def test_a_kml_file_in_no_encoding_is_told(tmp_path: Path, data: bytes) -> None:
    image(tmp_path / "train/satellite/0001/1.jpg")
    (tmp_path / "buildings.kml").write_bytes(data)
    with pytest.raises(DataError, match="not XML"):
        list_university1652(tmp_path)


def test_litter_is_passed_over(tmp_path: Path) -> None:
    image(tmp_path / "train/drone/0001/1.jpg")
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._1.jpg"):
        (tmp_path / "train/drone/0001" / name).write_bytes(b"x")
    image(tmp_path / "train/drone/__MACOSX/1.jpg")
    listing = list_university1652(tmp_path)
    assert (len(listing.entries), listing.refusals) == (1, [])


def test_links_are_followed_inside_the_root_only(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    image(root / "train/drone/0001/1.jpg")
    image(outside / "2.jpg")
    (root / "train/drone/0001/inside.jpg").symlink_to(root / "train/drone/0001/1.jpg")
    (root / "train/drone/0001/outside.jpg").symlink_to(outside / "2.jpg")
    (root / "train/drone/0002").symlink_to(outside)
    (root / "train/drone/0003").symlink_to(root / "train/drone/0001")
    (root / "train/drone/0001/dangling.jpg").symlink_to(root / "nowhere.jpg")
    (root / "train/drone/0001/self.jpg").symlink_to(root / "train/drone/0001/self.jpg")
    (root / "train/drone/0001/up").symlink_to(root / "train")
    listing = list_university1652(root)
    below = root / "train/drone"
    assert [str(e.path.relative_to(below)) for e in listing.entries] == [
        "0001/1.jpg",
        "0001/inside.jpg",
        "0003/1.jpg",
        "0003/inside.jpg",
    ]
    reasons = {str(Path(r.uri).relative_to(below)): r.reason for r in listing.refusals}
    assert reasons["0001/outside.jpg"] is Reason.OUTSIDE_ROOT
    assert reasons["0002"] is Reason.OUTSIDE_ROOT
    assert reasons["0001/dangling.jpg"] is Reason.MISSING
    assert reasons["0001/self.jpg"] is Reason.UNREADABLE
    assert reasons["0001/up"] is Reason.UNREADABLE


def test_names_may_hold_anything_that_utf8_can(tmp_path: Path) -> None:
    for name in ("a b.jpg", "grüß.jpg", "two\nlines.jpg", "東京.jpg"):
        image(tmp_path / "train/drone/0001" / name)
    raw = os.fsencode(tmp_path / "train/drone/0001") + b"/\xff.jpg"
    with open(raw, "wb") as stream:  # noqa: PTH123  # a name that pathlib's text cannot spell
        stream.write(b"x")
    listing = list_university1652(tmp_path)
    assert len(listing.entries) == 4
    assert [refusal.reason for refusal in listing.refusals] == [Reason.BAD_NAME]
    listing.refusals[0].uri.encode("utf-8")
