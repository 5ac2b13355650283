"""Tombstones hide rows of the images table up to a batch, and nothing after it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cvgl.config import IngestConfig
from cvgl.ingestion.tables import image_batches, read_images
from cvgl.ingestion.tombstones import read_tombstones, set_tombstones, tombstones_file
from cvgl.lake import Lake
from cvgl.stages.ingest import ingest
from tests.arrival.sources import drone, reference


@pytest.fixture
def source(tmp_path: Path, lake: Lake) -> Path:
    """Two batches of the images table."""
    root = tmp_path / "pictures"
    reference(root, 1)
    drone(root, 1)
    ingest(IngestConfig(source=str(root), dataset="town"), lake)
    reference(root, 2)
    ingest(IngestConfig(source=str(root), dataset="town"), lake)
    return root


def ids(lake: Lake, through: str | None = None) -> set[str]:
    return set(read_images(lake, "town", through)["image_id"].to_pylist())


def stone(image_id: str, through: str) -> dict[str, str]:
    return {"image_id": image_id, "uri": "/a.png", "view": "satellite", "reason": "deleted", "through": through}


def test_a_dataset_is_read_as_it_was(source: Path, lake: Lake) -> None:
    first, second = image_batches(lake, "town")
    assert len(ids(lake, first)) == 2
    assert ids(lake, second) == ids(lake)
    assert len(ids(lake)) == 3


def test_a_tombstone_hides_rows_up_to_its_batch(source: Path, lake: Lake) -> None:
    first, second = image_batches(lake, "town")
    old, new = ids(lake, first), ids(lake) - ids(lake, first)
    gone = min(old)
    set_tombstones(lake, "town", "0002-x", [stone(gone, second), stone(min(new), first)])
    assert ids(lake) == old - {gone} | new  # the second was set before its image came
    assert ids(lake, first) == old  # and then nothing was gone yet
    assert read_tombstones(lake, "town").num_rows == 2


def test_no_rows_make_no_file(source: Path, lake: Lake) -> None:
    set_tombstones(lake, "town", "0002-x", [])
    assert not tombstones_file(lake, "town", "0002-x").exists()
    assert read_tombstones(lake, "town").num_rows == 0
