"""A folder that changes while it is looked through."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cvgl.arrival import source
from cvgl.arrival.source import LocalSource, UnreachableError
from cvgl.ingestion.walking import files_below as walk
from tests.arrival.sources import town


def test_a_folder_that_is_replaced_while_it_is_looked_through_lists_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = town(tmp_path / "drop", range(1, 3))

    def replaced(*arguments: Any) -> Iterator[Path]:
        yield from list(walk(*arguments))[:2]
        root.rename(tmp_path / "away")
        root.mkdir()

    monkeypatch.setattr(source, "files_below", replaced)
    with pytest.raises(UnreachableError, match="was replaced"):
        LocalSource.at(str(root)).contents()


def test_a_file_that_goes_while_the_folder_is_looked_through_does_not_count_as_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = town(tmp_path / "drop", range(1, 3))

    def goes(*arguments: Any) -> Iterator[Path]:
        for path in list(walk(*arguments)):
            if path.name == "2-1.png":
                path.unlink()
            yield path

    monkeypatch.setattr(source, "files_below", goes)
    contents = LocalSource.at(str(root)).contents()
    assert (contents.complete, len(contents.files)) == (False, 7)
    monkeypatch.undo()
    (root / "drone" / "nowhere.png").symlink_to(root / "nothing")  # leads nowhere for good: nothing is missing
    assert LocalSource.at(str(root)).contents().complete
