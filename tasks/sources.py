"""Where a dataset came from, so that `cvgl run --dataset NAME` can look there again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cvgl.config import IngestConfig
from cvgl.errors import DataError
from cvgl.lake import Lake, read_versioned, write_versioned
from cvgl.masking import masked


def remember(config: IngestConfig, lake: Lake) -> None:
    """Keeps the settings that a dataset was last ingested with."""
    folders = {"source": _absolute(config.source), "root": None if config.root is None else _absolute(config.root)}
    write_versioned(_path(lake, config.dataset), "source", config.model_copy(update=folders).model_dump(mode="json"))


def recall(lake: Lake, dataset: str) -> dict[str, Any]:
    """The settings that a dataset was last ingested with.

    Raises:
        DataError: it has never been ingested.
    """
    path = _path(lake, dataset)
    if not path.is_file():
        raise DataError(
            f"the lake holds no dataset '{dataset}' and no source was given",
            where=lake.root,
            fix=f"add --source FOLDER; ingested so far: {', '.join(lake.datasets()) or 'nothing'}",
        )
    return read_versioned(path, "source")


def _absolute(path: str) -> str:
    return str(Path(masked(path)).expanduser().resolve())  # a path would lose the '//' by which an address is known


def _path(lake: Lake, dataset: str) -> Path:
    return lake.source(dataset)
