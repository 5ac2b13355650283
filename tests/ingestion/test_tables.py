"""Batches: the newest word about an image counts, and the digest is about what is said."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from cvgl import schemas
from cvgl.config import Layout
from cvgl.errors import LakeError
from cvgl.ingestion.tables import add_batch, images_ref, layout_of, quarantine_of_source, read_images, read_quarantine
from cvgl.lake import Lake, read_parquet, write_parquet


def row(image_id: str, uri: str, **other: Any) -> dict[str, Any]:
    nothing = dict.fromkeys(("latitude", "longitude", "x", "y", "crs", "captured_at", "sequence"))
    return {
        "image_id": image_id,
        "uri": uri,
        "view": "drone",
        "subsets": ["train"],
        "width": 1,
        "height": 1,
        **nothing,
        **other,
    }


def add(lake: Lake, *rows: dict[str, Any], layout: Layout = Layout.FOLDER) -> None:
    add_batch(lake.images("d"), rows, schemas.IMAGES, layout, "/source")


def test_the_newest_row_of_an_image_counts(lake: Lake) -> None:
    add(lake, row("b", "/b"), row("a", "/a"))
    add(lake, row("b", "/b", x=1.0, y=2.0, crs="local"))
    table = read_images(lake, "d")
    assert table.schema.equals(schemas.IMAGES)
    assert table["image_id"].to_pylist() == ["a", "b"]
    assert table["x"].to_pylist() == [None, 1.0]
    assert [name[:5] for name in table["batch"].to_pylist()] == ["0001-", "0002-"]


def test_a_file_with_new_content_no_longer_holds_the_old_image(lake: Lake) -> None:
    add(lake, row("a", "/1"), row("b", "/2"))
    add(lake, row("c", "/1"))
    assert read_images(lake, "d")["image_id"].to_pylist() == ["b", "c"]
    add(lake, row("a", "/1"))
    assert read_images(lake, "d")["image_id"].to_pylist() == ["a", "b"]


def test_two_files_may_exchange_their_contents(lake: Lake) -> None:
    add(lake, row("a", "/1"), row("b", "/2"))
    add(lake, row("a", "/2"), row("b", "/1"))
    table = read_images(lake, "d")
    assert dict(zip(table["image_id"].to_pylist(), table["uri"].to_pylist(), strict=True)) == {"a": "/2", "b": "/1"}


def test_the_digest_is_about_what_is_said_and_not_about_batches_or_places(lake: Lake, tmp_path: Any) -> None:
    moment = datetime(2024, 1, 1, tzinfo=UTC)
    add(lake, row("a", "/a", captured_at=moment), row("b", "/b"))
    other = Lake.at(tmp_path / "other")
    add(other, row("b", "/elsewhere/b"))
    add(other, row("a", "/elsewhere/a", captured_at=moment))
    assert images_ref(lake, "d").digest == images_ref(other, "d").digest
    add(other, row("a", "/elsewhere/a"))
    assert images_ref(lake, "d").digest != images_ref(other, "d").digest


def test_the_newest_batch_names_the_layout(lake: Lake) -> None:
    add(lake, row("a", "/a"), layout=Layout.UNIVERSITY1652)
    assert layout_of(lake, "d") is Layout.UNIVERSITY1652
    add(lake, row("b", "/b"), layout=Layout.MANIFEST)
    assert layout_of(lake, "d") is Layout.MANIFEST


def test_a_dataset_that_is_not_there_names_those_that_are(lake: Lake) -> None:
    add(lake, row("a", "/a"))
    with pytest.raises(LakeError, match="it holds: d"):
        read_images(lake, "e")


def test_a_batch_from_elsewhere_is_an_error_and_not_a_crash(lake: Lake) -> None:
    add(lake, row("a", "/a"))
    (batch,) = lake.images("d").glob("*.parquet")
    write_parquet(batch, read_parquet(batch).replace_schema_metadata(None))
    with pytest.raises(LakeError, match="where it came from"):
        layout_of(lake, "d")


def test_quarantine_shows_what_is_refused_now(lake: Lake) -> None:
    def refuse(uri: str, reason: str, source: str = "/source") -> None:
        rows = [{"uri": uri, "reason": reason, "detail": "because"}]
        add_batch(lake.quarantine("d"), rows, schemas.QUARANTINE, Layout.FOLDER, source)

    assert read_quarantine(lake, "d").num_rows == 0
    refuse("/b", "empty")
    refuse("/a", "damaged")
    refuse("/b", "resolved")
    refuse("/c", "missing", source="/another")
    assert read_quarantine(lake, "d")["uri"].to_pylist() == ["/a", "/c"]
    assert set(quarantine_of_source(lake, "d", "/source")) == {"/a", "/b"}
