"""Cells that say nothing are never values, and labels that say nothing are warned of."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cvgl.geo import Position
from cvgl.ingestion import fields
from cvgl.ingestion.entries import Entry, Listing
from cvgl.ingestion.folder import list_folder
from cvgl.ingestion.manifest import list_manifest
from cvgl.types import Subset
from tests.data.images import place_image, save

NOTHING = (None, "", "  ", float("nan"), "NaN", "nan", "NA", "N/A", "n/a", "null", "NULL", "None", "<NA>", "#N/A", "\\N", "-")


def listed(folder: Path, text: str) -> Listing:
    (folder / "manifest.csv").write_text(text)
    return list_manifest(folder / "manifest.csv")


def by_name(listing: Listing) -> dict[str, Entry]:
    return {entry.path.name: entry for entry in listing.entries}


@pytest.mark.parametrize("cell", NOTHING, ids=repr)
def test_nothing_is_no_value(cell: object) -> None:
    assert fields.text(cell) is None
    assert fields.subsets(cell) == ()
    assert fields.captured_at(cell) is None
    assert fields.position({"latitude": cell, "longitude": cell, "x": cell, "y": cell, "crs": cell}) is None


@pytest.mark.parametrize(("cell", "text"), [("Nancy", "Nancy"), ("0", "0"), (0, "0"), (12.0, "12"), (12, "12"), ("012", "012")])
def test_what_only_looks_like_nothing_stays(cell: object, text: str) -> None:
    assert fields.text(cell) == text


@pytest.mark.parametrize("word", ["NaN", "NA", "null", "None"])
def test_a_missing_label_in_a_csv_is_no_label(tmp_path: Path, word: str) -> None:
    rows = "".join(f"{n}.jpg,{view},{word},{word},{word},{word},{word}\n" for n, view in enumerate(["drone", "satellite"] * 2))
    listing = listed(tmp_path, f"path,view,location_id,sequence,subset,latitude,longitude\n{rows}7.jpg,drone,7,,,,\n")
    assert {entry.location_id for entry in listing.entries} == {None, "7"}
    assert {(entry.sequence, entry.position) for entry in listing.entries} == {(None, None)}
    assert by_name(listing)["0.jpg"].subsets == (Subset.QUERY, Subset.TRAIN)
    assert listing.refusals == []
    assert [note for note in listing.notes if "location_id" in note and "4 rows" in note]


def test_a_missing_label_in_parquet_is_no_label_and_numbers_stay_numbers(tmp_path: Path) -> None:
    table = pa.table(
        {
            "path": ["a.jpg", "b.jpg", "c.jpg"],
            "view": ["drone", "satellite", "drone"],
            "location_id": pa.array([12.0, 12.0, float("nan")]),
            "latitude": pa.array([float("nan"), 47.5, 47.5]),
            "longitude": pa.array([float("nan"), 8.5, float("nan")]),
            "sequence": pa.array([float("nan"), None, 3.0]),
            "subset": [["train", None], None, ["query"]],
        }
    )
    pq.write_table(table, tmp_path / "m.parquet")
    entries = by_name(list_manifest(tmp_path / "m.parquet"))
    assert {name: entry.location_id for name, entry in entries.items()} == {"a.jpg": "12", "b.jpg": "12", "c.jpg": None}
    assert {name: entry.position for name, entry in entries.items()} == {
        "a.jpg": None,
        "b.jpg": Position(latitude=47.5, longitude=8.5),
        "c.jpg": None,
    }
    assert [entries[name].sequence for name in ("a.jpg", "b.jpg", "c.jpg")] == [None, None, "3"]
    assert entries["a.jpg"].subsets == (Subset.TRAIN,)


@pytest.mark.parametrize("view", ["drone", "satellite"])
def test_an_image_with_half_a_position_is_ingested_without_it(tmp_path: Path, view: str) -> None:
    listing = listed(
        tmp_path, f"path,view,lat,lon\na.jpg,{view},47,NaN\nb.jpg,{view},,8\nc.jpg,{view},0,0\nd.jpg,{view},47,8\n"
    )
    assert [entry.position for entry in listing.entries] == [None, None, None, Position(latitude=47, longitude=8)]
    assert listing.refusals == []
    assert [[part in note for note in listing.notes].count(True) for part in ("no longitude", "no latitude", "0, 0")] == [
        1,
        1,
        1,
    ]


def test_whole_numbers_with_and_without_a_fraction_are_one_label(tmp_path: Path) -> None:
    for name in ("drone/a.jpg", "drone/b.jpg", "satellite/c.jpg", "satellite/d.jpg"):
        save(place_image(0, size=16), tmp_path / name)
    (tmp_path / "drone.csv").write_text("path,location_id\na.jpg,12.0\nb.jpg,\n")  # how pandas writes a gap
    (tmp_path / "satellite.csv").write_text("path,location_id\nc.jpg,12\nd.jpg,13.0\n")
    listing = list_folder(tmp_path)
    labels = {name: entry.location_id for name, entry in by_name(listing).items()}
    assert labels == {"a.jpg": "12", "b.jpg": None, "c.jpg": "12", "d.jpg": "13.0"}
    assert listing.warnings == []


@pytest.mark.parametrize(
    ("queries", "references", "warned"),
    [
        (("1", "2"), ("1", "2"), False),
        (("1", "1"), ("1", "2"), True),
        (("1", "2"), ("1", "1"), True),
        (("1", "2"), ("3", "4"), True),
        (("1",), ("1", "2"), False),
        (("", ""), ("", ""), False),
        (("", ""), ("1", "1"), False),
    ],
)
def test_labels_that_tell_nothing_apart_are_warned_of(
    tmp_path: Path, queries: tuple[str, ...], references: tuple[str, ...], warned: bool
) -> None:
    rows = [f"q{n}.jpg,drone,{label}" for n, label in enumerate(queries)]
    rows += [f"r{n}.jpg,satellite,{label}" for n, label in enumerate(references)]
    listing = listed(tmp_path, "path,view,location_id\n" + "\n".join(rows) + "\n")
    assert bool(listing.warnings) is warned
