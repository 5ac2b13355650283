"""A layout is recognised, or the error says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from cvgl.config import IngestConfig, Layout
from cvgl.datasets.detection import detect, list_source
from cvgl.errors import DataError
from tests.data.images import university1652


def test_each_layout_is_recognised(tmp_path: Path) -> None:
    assert detect(university1652(tmp_path / "u", 1, 1, 0, 1)) is Layout.UNIVERSITY1652
    (tmp_path / "f" / "drone").mkdir(parents=True)
    assert detect(tmp_path / "f") is Layout.FOLDER
    (tmp_path / "f" / "manifest.csv").write_text("path,view\n")
    assert detect(tmp_path / "f") is Layout.MANIFEST
    assert detect(tmp_path / "f" / "manifest.csv") is Layout.MANIFEST


def listing_of(source: Path | str, layout: Layout = Layout.AUTO, root: str | None = None) -> object:
    return list_source(IngestConfig(source=str(source), dataset="d", layout=layout, root=root))


def test_what_is_no_source_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    (tmp_path / "odd" / "things").mkdir(parents=True)
    university1652(tmp_path / "release" / "University-Release", 1, 1, 0, 1)
    cases: list[tuple[Path | str, str]] = [
        (tmp_path / "none", "cannot be read"),
        (tmp_path / "a.jpg", "neither"),
        (tmp_path / "empty", "empty folder"),
        (tmp_path / "odd", "its folders are: things"),
        (tmp_path / "release", "but a folder in it is"),
        ("s3://bucket/pictures", "is an address"),
    ]
    for source, message in cases:
        with pytest.raises(DataError, match=message) as caught:
            listing_of(source)
        assert caught.value.fix


def test_a_layout_that_does_not_fit_is_an_error(tmp_path: Path) -> None:
    table = tmp_path / "m.csv"
    table.write_text("path,view\n")
    with pytest.raises(DataError, match="is a folder's"):
        listing_of(table, Layout.FOLDER)
    with pytest.raises(DataError, match="holds no manifest"):
        listing_of(tmp_path, Layout.MANIFEST)
    with pytest.raises(DataError, match="no meaning"):
        listing_of(tmp_path, Layout.FOLDER, root=str(tmp_path))
