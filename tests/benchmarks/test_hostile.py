"""Hostile input in bulk, with few inputs of each family; and that what it looks for would be seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.hostile import images, lake_files, memory, side_files
from benchmarks.hostile.mutation import damaged, edited, one_damage
from benchmarks.hostile.tally import Tally


def test_changes_follow_from_the_seed_and_change_something() -> None:
    data, text = bytes(range(200)), "path,latitude\na.png,52.5\nb.png,52.6\n"
    for change in (damaged, one_damage):
        changed = [change(data, np.random.default_rng(seed)) for seed in range(40)]
        assert changed == [change(data, np.random.default_rng(seed)) for seed in range(40)]
        assert data not in changed
        assert len(set(changed)) > 20
    assert len({edited(text, np.random.default_rng(seed)) for seed in range(40)}) > 20


def test_mutated_images_are_taken_or_refused(tmp_path: Path) -> None:
    tally = images.try_images(tmp_path, 3, 80)
    assert tally.is_clean, tally.examples
    assert tally.accepted + tally.refused == tally.tried == 80
    assert min(tally.accepted, tally.refused) > 5


def test_edited_side_files_lose_no_image(tmp_path: Path) -> None:
    tally = side_files.try_side_files(tmp_path, 3, 20)
    assert tally.is_clean, tally.examples
    assert tally.accepted + tally.refused == tally.tried == 20


@pytest.mark.slow
def test_damaged_lakes_are_never_read_as_other_values(tmp_path: Path) -> None:
    tally = lake_files.try_lake_files(tmp_path, 3, 25)
    assert tally.is_clean, tally.examples
    assert tally.refused > 10


def test_a_crash_a_loss_and_another_value_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tally = Tally("family")
    tally.crashed("a", ValueError("no"))
    tally.loses("b", "c.png")
    tally.differs("d", "other values")
    assert (tally.tracebacks, tally.lost, tally.wrong, tally.is_clean) == (1, 1, 1, False)
    assert tally.as_json()["peak_gib"] > 0

    def breaks(*_: object) -> None:
        raise RuntimeError

    for family, attempt in (
        (images, images.try_images),
        (side_files, side_files.try_side_files),
        (memory, memory.try_memory),
    ):
        monkeypatch.setattr(family, "ingest", breaks)
        assert attempt(tmp_path / family.__name__, 0, 1).tracebacks == 1
