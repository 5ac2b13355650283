from __future__ import annotations

from pathlib import Path

import pytest

from cvgl.config import IngestConfig, Layout
from cvgl.errors import DataError
from cvgl.lake import Lake
from tasks.sources import recall, remember


def test_a_dataset_remembers_where_it_came_from(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pictures").mkdir()
    monkeypatch.chdir(tmp_path)
    remember(IngestConfig(source="pictures", dataset="campus", layout=Layout.FOLDER, root="pictures"), lake)
    monkeypatch.chdir("/")
    config = IngestConfig.model_validate(recall(lake, "campus"))
    there = str(tmp_path / "pictures")
    assert config == IngestConfig(source=there, dataset="campus", layout=Layout.FOLDER, root=there)


def test_an_unknown_dataset_is_an_error_that_names_the_option(lake: Lake) -> None:
    with pytest.raises(DataError, match="--source"):
        recall(lake, "campus")
