"""The release's folders, whole or in part, and what does not belong in them."""

from __future__ import annotations

import os
from pathlib import Path

from cvgl.config import Layout
from cvgl.datasets.entries import Reason
from cvgl.datasets.university1652 import is_university1652, list_university1652
from cvgl.types import Subset, View
from tests.data.pictures import place_picture, save, university1652


def picture(path: Path, place: int = 0) -> Path:
    return save(place_picture(place, size=16), path)


def test_roles_views_and_labels_come_from_the_folders(tmp_path: Path) -> None:
    listing = list_university1652(university1652(tmp_path, train=2, test=1, distractors=1, views=2))
    found = {str(e.path.relative_to(tmp_path)): (e.view, e.subsets, e.location_id) for e in listing.entries}
    assert listing.layout is Layout.UNIVERSITY1652
    assert found["train/drone/0001/image-02.jpeg"] == (View.DRONE, (Subset.TRAIN,), "0001")
    assert found["train/satellite/0000/0000.jpg"] == (View.SATELLITE, (Subset.TRAIN,), "0000")
    assert found["test/query_drone/0002/image-01.jpeg"] == (View.DRONE, (Subset.QUERY,), "0002")
    assert found["test/gallery_satellite/0003/0003.jpg"] == (View.SATELLITE, (Subset.GALLERY,), "0003")
    assert len(found) == 2 * 3 + 2 * 3 + 3
    assert (listing.refusals, listing.notes) == ([], [])


def test_street_and_google_pictures_are_ground_pictures(tmp_path: Path) -> None:
    for folder in ("train/street", "train/google", "test/query_street", "test/gallery_street"):
        picture(tmp_path / folder / "0001" / "1.jpg")
    views = {(entry.view, entry.subsets) for entry in list_university1652(tmp_path).entries}
    assert views == {(View.GROUND, (subset,)) for subset in Subset}


def test_a_part_of_the_release_is_recognised(tmp_path: Path) -> None:
    assert not is_university1652(tmp_path)
    (tmp_path / "train").mkdir()
    assert not is_university1652(tmp_path)
    (tmp_path / "test" / "gallery_satellite").mkdir(parents=True)
    assert is_university1652(tmp_path)


def test_nothing_is_skipped_in_silence(tmp_path: Path) -> None:
    picture(tmp_path / "train/drone/0001/ok.jpg")
    picture(tmp_path / "train/drone/loose.jpg")
    picture(tmp_path / "train/thermal/0001/1.jpg")
    picture(tmp_path / "test/4K_drone/0001/1.jpg")
    picture(tmp_path / "valid/drone/0001/1.jpg")
    picture(tmp_path / "test/stray.jpg")
    (tmp_path / "train/drone/0001/notes.txt").write_text("hello")
    (tmp_path / "readme.txt").write_text("hello")
    listing = list_university1652(tmp_path)
    reasons = {str(Path(r.uri).relative_to(tmp_path)): r.reason for r in listing.refusals}
    assert [entry.path.name for entry in listing.entries] == ["ok.jpg"]
    assert reasons == {
        "train/drone/loose.jpg": Reason.MISPLACED,
        "train/thermal": Reason.UNKNOWN_FOLDER,
        "test/4K_drone": Reason.UNKNOWN_FOLDER,
        "valid": Reason.UNKNOWN_FOLDER,
        "test/stray.jpg": Reason.MISPLACED,
        "train/drone/0001/notes.txt": Reason.NOT_A_PICTURE,
    }
    assert any("readme.txt" in note for note in listing.notes)


def test_litter_is_passed_over(tmp_path: Path) -> None:
    picture(tmp_path / "train/drone/0001/1.jpg")
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._1.jpg"):
        (tmp_path / "train/drone/0001" / name).write_bytes(b"x")
    picture(tmp_path / "train/drone/__MACOSX/1.jpg")
    listing = list_university1652(tmp_path)
    assert (len(listing.entries), listing.refusals) == (1, [])


def test_links_are_followed_inside_the_root_only(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    picture(root / "train/drone/0001/1.jpg")
    picture(outside / "2.jpg")
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
        picture(tmp_path / "train/drone/0001" / name)
    raw = os.fsencode(tmp_path / "train/drone/0001") + b"/\xff.jpg"
    with open(raw, "wb") as stream:  # noqa: PTH123  # a name that pathlib's text cannot spell
        stream.write(b"x")
    listing = list_university1652(tmp_path)
    assert len(listing.entries) == 4
    assert [refusal.reason for refusal in listing.refusals] == [Reason.BAD_NAME]
    listing.refusals[0].uri.encode("utf-8")
