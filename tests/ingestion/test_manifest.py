"""Manifests: what they may say, what they may not reach, and what is refused row by row."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cvgl.errors import DataError
from cvgl.geo import Position
from cvgl.ingestion.entries import Listing, Reason
from cvgl.ingestion.manifest import list_manifest
from cvgl.types import Subset, View


def listed(folder: Path, text: str, root: Path | None = None) -> Listing:
    (folder / "manifest.csv").write_text(text)
    return list_manifest(folder / "manifest.csv", root)


def test_every_column_arrives(tmp_path: Path) -> None:
    listing = listed(
        tmp_path,
        "path,view,latitude,longitude,x,y,crs,captured_at,sequence,subset,location_id\n"
        "sub/a.jpg,drone,47.5,8.5,1,2,EPSG:2056,2024-05-31T12:00:00Z,walk 1,train;query,0839\n",
    )
    (entry,) = listing.entries
    assert (entry.path, entry.view, entry.subsets) == (tmp_path / "sub/a.jpg", View.DRONE, (Subset.QUERY, Subset.TRAIN))
    assert entry.position == Position(latitude=47.5, longitude=8.5, x=1, y=2, crs="EPSG:2056")
    assert entry.captured_at == datetime(2024, 5, 31, 12, tzinfo=UTC)
    assert (entry.sequence, entry.location_id, entry.from_camera) == ("walk 1", "0839", False)


def test_parquet_says_the_same_as_csv(tmp_path: Path) -> None:
    table = pa.table(
        {
            "path": ["a.jpg", "b.jpg"],
            "view": ["drone", "satellite"],
            "latitude": [None, 47.5],
            "longitude": [None, 8.5],
            "captured_at": pa.array([None, datetime(2024, 5, 31, 12)], pa.timestamp("ns")),  # zoneless
            "subset": [["train"], None],
        }
    )
    pq.write_table(table, tmp_path / "m.parquet")
    text = "path,view,latitude,longitude,captured_at,subset\na.jpg,drone,,,,train\nb.jpg,satellite,47.5,8.5,2024-05-31T12:00,\n"
    from_csv = [(e.path, e.view, e.position, e.captured_at, e.subsets) for e in listed(tmp_path, text).entries]
    from_parquet = list_manifest(tmp_path / "m.parquet").entries
    assert [(e.path, e.view, e.position, e.captured_at, e.subsets) for e in from_parquet] == from_csv


def test_the_shortest_manifest_lets_everything_adapt(tmp_path: Path) -> None:
    listing = listed(tmp_path, "path,view\na.jpg,drone\nb.jpg,satellite\n")
    assert [e.subsets for e in listing.entries] == [(Subset.QUERY, Subset.TRAIN), (Subset.GALLERY, Subset.TRAIN)]


@pytest.mark.parametrize(
    ("header", "message"), [("path,latitude", "no column 'view'; it has path, latitude"), ("view", "'path'")]
)
def test_a_missing_column_names_what_was_found(tmp_path: Path, header: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        listed(tmp_path, f"{header}\n1,2\n")


def test_planar_columns_need_a_crs_and_one_name_each(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no column 'crs'"):
        listed(tmp_path, "path,view,x,y\na.jpg,drone,1,2\n")
    with pytest.raises(DataError, match="two columns"):
        listed(tmp_path, "path,view,lat,latitude\na.jpg,drone,1,2\n")


def test_ignored_columns_are_named(tmp_path: Path) -> None:
    listing = listed(tmp_path, "path,view,lattitude,mood\na.jpg,drone,47,good\n")
    assert "lattitude, mood" in listing.notes[0]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("../a.jpg,drone,,,,", Reason.OUTSIDE_ROOT),
        ("sub/../../a.jpg,drone,,,,", Reason.OUTSIDE_ROOT),
        ("/etc/passwd,drone,,,,", Reason.OUTSIDE_ROOT),
        ("s3://bucket/a.jpg,drone,,,,", Reason.OUTSIDE_ROOT),
        ("out/secret.jpg,drone,,,,", Reason.OUTSIDE_ROOT),
        ("loop/a.jpg,drone,,,,", Reason.UNREADABLE),
        ("a\0.jpg,drone,,,,", Reason.BAD_NAME),
        (",drone,,,,", Reason.BAD_ROW),
        ("a.jpg,drone", Reason.BAD_ROW),
        ("a.jpg,balloon,,,,", Reason.UNKNOWN_VIEW),
        ("a.jpg,,,,,", Reason.UNKNOWN_VIEW),
        ("a.jpg,drone,123,8,,", Reason.BAD_POSITION),
        ("a.jpg,drone,north,8,,", Reason.BAD_POSITION),
        ("a.jpg,drone,,,soon,", Reason.BAD_TIME),
        ("a.jpg,drone,,,,holdout", Reason.UNKNOWN_SUBSET),
    ],
)
def test_a_bad_row_is_refused_and_the_rest_goes_through(tmp_path: Path, row: str, reason: Reason) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (outside / "secret.jpg").write_bytes(b"secret")
    (root / "out").symlink_to(outside)
    (root / "loop").symlink_to(root / "loop")
    listing = listed(root, f"path,view,latitude,longitude,captured_at,subset\ngood.jpg,satellite,,,,\n{row}\n")
    assert [entry.path.name for entry in listing.entries] == ["good.jpg"]
    assert [refusal.reason for refusal in listing.refusals] == [reason]
    assert f"{root / 'manifest.csv'}:3" in listing.refusals[0].uri


def test_dots_that_stay_inside_and_a_root_elsewhere_are_fine(tmp_path: Path) -> None:
    root = tmp_path / "pictures"
    root.mkdir()
    listing = listed(tmp_path, f'path,view\nsub/../a.jpg,drone\n"{root}/b.jpg",satellite\n', root)
    assert [entry.path for entry in listing.entries] == [root / "a.jpg", root / "b.jpg"]
