"""Rows that name one image twice: what they agree on counts, what they contradict one another in does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from cvgl.geo import Position
from cvgl.ingestion.contradictions import positions_differ
from cvgl.ingestion.entries import Entry, Listing, Reason
from cvgl.ingestion.folder import list_folder
from cvgl.ingestion.manifest import list_manifest
from cvgl.ingestion.merging import merge_entries
from cvgl.ingestion.scan_cache import Scan
from cvgl.types import Subset, View
from tests.data.images import place_image, save


def folder(root: Path, table: str, *more: str) -> Listing:
    for name in ("drone/sub/a.jpg", "drone/b.jpg", "satellite/c.jpg", *more):
        save(place_image(0, size=16), root / name)
    (root / "drone.csv").write_text(table)
    return list_folder(root)


def by_name(listing: Listing) -> dict[str, Entry]:
    return {entry.path.name: entry for entry in listing.entries}


@pytest.mark.parametrize("again", ["sub/a.jpg", "./sub/a.jpg", "sub\\a.jpg", "a.jpg", "SUB/A.jpg", "drone/sub/a.jpg"])
def test_two_rows_with_different_positions_leave_their_image_without_one(tmp_path: Path, again: str) -> None:
    listing = folder(tmp_path, f"path,lat,lon,location_id\nsub/a.jpg,1,2,x\nb.jpg,5,6,y\n{again},3,4,x\n")
    entries = by_name(listing)
    assert (entries["a.jpg"].position, entries["a.jpg"].location_id) == (None, "x")
    assert entries["b.jpg"].position == Position(latitude=5, longitude=6)
    (refusal,) = listing.refusals
    assert (refusal.reason, refusal.uri) == (Reason.CONFLICTING_POSITION, f"{tmp_path / 'drone.csv'}:4: {again}")
    assert "rows 2 and 4 name a.jpg" in refusal.detail


def test_rows_that_say_the_same_or_fill_each_others_gaps_do_no_harm(tmp_path: Path) -> None:
    listing = folder(
        tmp_path, "path,lat,lon,location_id,subset\nsub/a.jpg,1,2,,train\na.jpg,1.0,2.00,x,query\nb.jpg,5,6,,\nb.jpg,5,6,,\n"
    )
    entry = by_name(listing)["a.jpg"]
    assert (entry.position, entry.location_id, entry.subsets) == (
        Position(latitude=1, longitude=2),
        "x",
        (Subset.QUERY, Subset.TRAIN),
    )
    assert by_name(listing)["b.jpg"].position == Position(latitude=5, longitude=6)
    assert listing.refusals == []
    assert [note for note in listing.notes if "once more" in note and "2 rows (3, 5)" in note]


@pytest.mark.parametrize(
    ("column", "cells", "reason"),
    [
        ("location_id", ("x", "y"), Reason.CONFLICTING_LOCATION),
        ("sequence", ("1", "2"), Reason.BAD_ROW),
        ("captured_at", ("2024-05-31", "2024-06-01"), Reason.BAD_ROW),
    ],
)
def test_what_rows_contradict_one_another_in_is_not_used(
    tmp_path: Path, column: str, cells: tuple[str, str], reason: Reason
) -> None:
    listing = folder(tmp_path, f"path,lat,lon,{column}\na.jpg,1,2,{cells[0]}\na.jpg,1,2,{cells[1]}\n")
    entry = by_name(listing)["a.jpg"]
    assert (entry.position, getattr(entry, column)) == (Position(latitude=1, longitude=2), None)
    assert [refusal.reason for refusal in listing.refusals] == [reason]


def test_a_row_without_sense_beside_a_good_one_is_refused_alone(tmp_path: Path) -> None:
    listing = folder(tmp_path, "path,lat,lon\na.jpg,here,2\na.jpg,1,2\n")
    assert by_name(listing)["a.jpg"].position == Position(latitude=1, longitude=2)
    assert [(refusal.reason, ":2: a.jpg" in refusal.uri) for refusal in listing.refusals] == [(Reason.BAD_POSITION, True)]


def test_what_a_nearer_table_overrides_is_counted(tmp_path: Path) -> None:
    (tmp_path / "drone").mkdir()
    (tmp_path / "positions.csv").write_text("path,lat,lon\ndrone/b.jpg,9,9\ndrone/sub/a.jpg,1,2\nsatellite/c.jpg,3,4\n")
    (tmp_path / "drone/positions.csv").write_text("path,location_id\nb.jpg,z\n")
    listing = folder(tmp_path, "path,lat,lon\na.jpg,1,2\nb.jpg,5,6\n")
    entries = by_name(listing)
    assert [entries[name].position for name in ("a.jpg", "b.jpg", "c.jpg")] == [
        Position(latitude=1, longitude=2),
        None,
        Position(latitude=3, longitude=4),
    ]
    assert sorted(note for note in listing.notes if "goes before" in note) == [
        "drone.csv goes before positions.csv, which has another position for 1 of its images",
        "drone/positions.csv goes before drone.csv, which says more about 1 of its images; it is not used",
        "drone/positions.csv goes before positions.csv, which says more about 1 of its images; it is not used",
    ]


@pytest.mark.parametrize("again", ["a.jpg", "./a.jpg", "x/../a.jpg", "A.JPG"])
def test_a_manifest_that_contradicts_itself_gives_no_position_or_label(tmp_path: Path, again: str) -> None:
    save(place_image(0, size=16), tmp_path / "a.jpg")
    (tmp_path / "manifest.csv").write_text(
        f"path,view,lat,lon,location_id,subset\na.jpg,drone,1,2,x,train\nb.jpg,satellite,5,6,x,\n{again},drone,1.5,2,y,query\n"
    )
    listing = list_manifest(tmp_path / "manifest.csv")
    rows = {(entry.path.name, entry.position, entry.location_id) for entry in listing.entries}
    assert rows == {("a.jpg", None, None), ("b.jpg", Position(latitude=5, longitude=6), "x")}
    reasons = [(refusal.reason, "rows 2 and 4" in refusal.detail) for refusal in listing.refusals]
    assert reasons == [(Reason.CONFLICTING_LOCATION, True), (Reason.CONFLICTING_POSITION, True)]


def test_a_manifest_that_repeats_itself_gives_its_position(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text("path,view,lat,lon,subset\na.jpg,drone,1,2,train\na.jpg,drone,1,2,query\n")
    listing = list_manifest(tmp_path / "manifest.csv")
    assert [entry.position for entry in listing.entries] == [Position(latitude=1, longitude=2)] * 2
    assert listing.refusals == []


def test_a_second_name_with_another_position_is_refused() -> None:
    scans = {Path(f"/{n}"): Scan(uri=f"/{n}", image_id="A", width=9, height=9) for n in range(3)}
    entries = [
        Entry(Path("/0"), View.SATELLITE, (Subset.GALLERY,), position=Position(latitude=1, longitude=2)),
        Entry(Path("/1"), View.SATELLITE, (Subset.GALLERY,), position=Position(latitude=3, longitude=4)),
        Entry(Path("/2"), View.SATELLITE, (Subset.TRAIN,), position=Position(latitude=5, longitude=6)),
    ]
    united, refusals = merge_entries(entries, scans, {})
    assert united["A"].subsets == (Subset.GALLERY,)
    assert [(refusal.uri, refusal.reason) for refusal in refusals] == [
        ("/1", Reason.DUPLICATE),
        ("/2", Reason.CONFLICTING_POSITION),
    ]
    assert "(1, 2)" in refusals[0].detail


@pytest.mark.parametrize(
    ("first", "second", "different"),
    [
        (Position(latitude=1, longitude=2), Position(latitude=1.0000001, longitude=2), False),
        (Position(latitude=1, longitude=2), Position(latitude=1.001, longitude=2), True),
        (Position(latitude=1, longitude=2), None, False),
        (Position(x=1, y=2, crs="local"), Position(x=1, y=3, crs="local"), True),
        (Position(x=500000, y=5761038.2, crs="EPSG:32633"), Position(latitude=52, longitude=15), False),
        (Position(x=500000, y=5761038.2, crs="EPSG:32633"), Position(latitude=52.1, longitude=15), True),
        (Position(x=1, y=2, crs="local"), Position(latitude=52, longitude=15), False),
    ],
)
def test_positions_are_compared_across_frames(first: Position, second: Position | None, different: bool) -> None:
    assert positions_differ(first, second) is different
