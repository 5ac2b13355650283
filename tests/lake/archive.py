"""The lake that commit 13db401 wrote, packed in tests/data."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pyarrow as pa
import pytest

from cvgl.lake import Lake

ARCHIVE = Path(__file__).parents[1] / "data" / "lake-13db401.tar.xz"


WRITTEN_BY = 25  # the pyarrow that wrote it: Parquet's bytes, and so the name of a map, follow the version of their writer


same_writer = pytest.mark.skipif(int(pa.__version__.split(".")[0]) != WRITTEN_BY, reason="another pyarrow writes other bytes")


WRITTEN_AT = "/tmp/town/source"  # noqa: S108 # a string in the tables


DATASET = "town"


def unpacked(folder: Path) -> Path:
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder


def runs(lake: Lake) -> list[str]:
    return sorted(path.name for path in (lake.root / "adapters").iterdir())
