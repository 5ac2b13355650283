"""What killed processes left is swept in the whole lake; what was told is remembered where nobody deletes it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cvgl.arrival import batches
from cvgl.arrival.batches import Contents, State
from cvgl.arrival.cleanup import sweep_leftovers
from cvgl.lake import Lake, leftovers, replacing, write_json

FOLDERS = [
    *("quality", "gate/run", "alignments/dataset=d", "sources", "vocabularies", "registrations", "reports/run/figures"),
    *("evaluations/run", "adapters/run", "features/model=m/dataset=d", "images/dataset=d", "quarantine/dataset=d/extract"),
    *("maps/dataset=d/.building", "arrivals/dataset=other/files", "cache", "costs/dataset=d", "reproductions/measurements/a"),
]


@pytest.mark.parametrize("folder", FOLDERS)
def test_temporary_files_are_swept_wherever_they_are(lake: Lake, folder: str) -> None:
    left = lake.root / folder / ".tmp-abcd.json"
    left.parent.mkdir(parents=True)
    left.touch()
    other = left.with_name("kept.json")
    other.touch()
    assert list(leftovers(lake)) == [left]
    assert sweep_leftovers(lake) == 1
    assert list(left.parent.iterdir()) == [other]


def test_what_is_being_written_and_what_is_not_ours_stays(lake: Lake) -> None:
    theirs = [lake.root / name / ".tmp-x" for name in ("mlflow", "prefect", "spool", "world")]
    for path in theirs:
        path.parent.mkdir(parents=True)
        path.touch()
    with replacing(lake.root / "gate" / "a.json") as temporary:
        assert sweep_leftovers(lake) == 0
        temporary.write_text("{}")
    assert all(path.exists() for path in theirs)
    assert (lake.root / "gate" / "a.json").is_file()


@pytest.fixture
def done(lake: Lake) -> batches.Batch:
    batch = batches.close(lake, "d", "/source", Contents(files={"a.jpg": "0" * 64}), 1)
    return batches.advance(lake, batch, state=State.DONE, outcome="skipped")


def test_nothing_is_told_again_when_the_cache_is_deleted(lake: Lake, done: batches.Batch) -> None:
    assert batches.unreported(lake, "d") == [done]
    batches.mark_told(lake, done)
    batches.mark_reported(lake, done)
    (lake.root / "cache").mkdir(exist_ok=True)
    shutil.rmtree(lake.root / "cache")
    assert batches.is_told(lake, done)
    assert batches.unreported(lake, "d") == []
    assert [batch.batch for batch in batches.batches(lake, "d")] == [done.batch], "marks are no batches"


def test_marks_of_an_earlier_version_are_moved(lake: Lake, done: batches.Batch) -> None:
    folder = lake.root / "cache" / "arrivals" / "dataset=d" / "told"
    write_json(folder / f"{done.batch}.json", {"batch": done.batch})
    write_json(folder / f"{done.batch}-end.json", {"batch": done.batch, "end": batches.end_of(done)})
    assert batches.is_told(lake, done)
    assert batches.unreported(lake, "d") == []
    assert list(folder.iterdir()) == []
    shutil.rmtree(lake.root / "cache")
    assert batches.is_told(lake, done)
    assert batches.unreported(lake, "d") == []


def test_a_damaged_mark_is_told_of_by_name(lake: Lake, done: batches.Batch) -> None:
    batches.mark_reported(lake, done)
    (mark,) = (batches.folder(lake, "d") / "told").iterdir()
    mark.write_text("{")
    with pytest.raises(Exception, match=mark.name):
        batches.unreported(lake, "d")
    assert Path(mark).is_file()
