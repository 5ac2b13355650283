"""What is new, what is complete, and which batch closes."""

from __future__ import annotations

import os
import socket
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from cvgl.arrival import batches, watching
from cvgl.arrival.batches import State
from cvgl.arrival.intake import take_in
from cvgl.arrival.run_summary import refused
from cvgl.arrival.watching import Look, look
from cvgl.config import ArrivalConfig
from cvgl.errors import DataError
from cvgl.lake import Lake
from tests.arrival.sources import DATASET, drone, reference
from tests.arrival.sources import watching as settings

HOUR = 3600.0


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = tmp_path / "drop"
    reference(root, 1)
    drone(root, 1)
    return root


def brought(lake: Lake, outcome: Look) -> set[str]:
    assert outcome.closed is not None
    return set(batches.contents(lake, outcome.closed).files)


def quiet(source: Path, lake: Lake, **watch: object) -> ArrivalConfig:
    return settings(source, lake, watch={"quiet_seconds": 60.0, **watch})


def test_a_folder_that_is_quiet_becomes_one_batch(source: Path, lake: Lake) -> None:
    now = time.time()
    first = look(quiet(source, lake), lake, clock=lambda: now)
    assert (first.closed, first.pending) == (None, 2)
    later = look(quiet(source, lake), lake, clock=lambda: now + 61)
    assert brought(lake, later) == {"satellite/1.png", "drone/1-1.png"}
    assert later.closed is not None
    assert later.closed.state is State.QUEUED
    assert later.pending == 0


def test_nothing_new_is_no_batch(source: Path, lake: Lake) -> None:
    look(settings(source, lake), lake)
    again = look(settings(source, lake), lake)
    assert (again.closed, again.pending, again.listed) == (None, 0, 2)


def test_a_batch_waits_for_the_file_that_is_being_written(source: Path, lake: Lake) -> None:
    now = time.time()
    look(quiet(source, lake), lake, clock=lambda: now)
    growing = source / "drone" / "2.png"
    growing.write_bytes(b"half")
    os.utime(growing, (now + 50, now + 50))
    assert look(quiet(source, lake), lake, clock=lambda: now + 70).closed is None
    assert len(brought(lake, look(quiet(source, lake), lake, clock=lambda: now + 200))) == 3


def test_a_file_that_changes_under_an_old_time_is_being_written(source: Path, lake: Lake) -> None:
    now = time.time() + HOUR
    copied = source / "drone" / "2.png"
    copied.write_bytes(b"half")
    assert (
        look(quiet(source, lake, quiet_seconds=2 * HOUR, longest_wait_seconds=9 * HOUR), lake, clock=lambda: now).closed is None
    )
    copied.write_bytes(b"more than half")
    os.utime(copied, (0, 0))
    outcome = look(quiet(source, lake, quiet_seconds=1.5 * HOUR, longest_wait_seconds=9 * HOUR), lake, clock=lambda: now + HOUR)
    assert (outcome.closed, outcome.pending) == (None, 3)


def test_after_the_longest_wait_complete_files_go_without_the_others(source: Path, lake: Lake) -> None:
    now = time.time()
    config = quiet(source, lake, longest_wait_seconds=300.0)
    look(config, lake, clock=lambda: now)
    growing = source / "drone" / "2.png"
    for moment in (270, 300):
        growing.write_bytes(b"more and more" * moment)
        os.utime(growing, (now + moment, now + moment))
        outcome = look(config, lake, clock=lambda: now + 280)
        assert outcome.closed is None
    outcome = look(config, lake, clock=lambda: now + 310)
    assert brought(lake, outcome) == {"satellite/1.png", "drone/1-1.png"}
    assert outcome.pending == 1


@pytest.mark.parametrize("name", ["a.jpg.part", "a.jpg~", "A.JPG.TMP", ".a.jpg", "a.crdownload"])
def test_temporary_and_hidden_names_do_not_exist(source: Path, lake: Lake, name: str) -> None:
    (source / "drone" / name).write_bytes(b"half")
    assert brought(lake, look(settings(source, lake), lake)) == {"satellite/1.png", "drone/1-1.png"}


def test_a_marker_closes_what_lies_below_its_folder_once(source: Path, lake: Lake) -> None:
    config = quiet(source, lake, quiet_seconds=None)
    assert look(config, lake).closed is None
    (source / "drone" / "_DONE").touch()
    assert brought(lake, look(config, lake)) == {"drone/1-1.png"}
    drone(source, 2)
    assert look(config, lake).closed is None  # the marker has done its work
    os.utime(source / "drone" / "_DONE", (1, 1))  # written again
    assert brought(lake, look(config, lake)) == {"drone/2-1.png"}
    (source / "_DONE").touch()
    assert brought(lake, look(config, lake)) == {"satellite/1.png"}


def test_an_id_follows_from_the_contents(source: Path, tmp_path: Path) -> None:
    lakes = [Lake.at(tmp_path / name) for name in ("a", "b")]
    ids = []
    for shift, other_lake in enumerate(lakes):
        for path in source.rglob("*.png"):
            os.utime(path, (1000 + shift, 1000 + shift))
        outcome = look(settings(source, other_lake), other_lake)
        assert outcome.closed is not None
        ids.append(outcome.closed.batch)
    assert ids[0] == ids[1]
    drone(source, 3)
    other = look(settings(source, lakes[0]), lakes[0]).closed
    assert other is not None
    assert other.batch.startswith("0002-")


def test_a_file_with_a_new_time_and_its_old_content_is_nothing_new(source: Path, lake: Lake) -> None:
    look(settings(source, lake), lake)
    os.utime(source / "drone" / "1-1.png", (5, 5))
    assert look(settings(source, lake), lake).closed is None


def test_without_its_memory_a_watcher_makes_no_second_batch(source: Path, lake: Lake) -> None:
    look(settings(source, lake), lake)
    for path in (lake.root / "cache").rglob("*.json"):
        path.write_bytes(b"{")
    assert look(settings(source, lake), lake).closed is None
    assert len(batches.batches(lake, DATASET)) == 1


def test_a_replaced_and_a_deleted_file_come_as_a_batch(source: Path, lake: Lake) -> None:
    look(settings(source, lake), lake)
    reference(source, 7, name="1")
    (source / "drone" / "1-1.png").unlink()
    outcome = look(settings(source, lake), lake)
    assert brought(lake, outcome) == {"satellite/1.png"}
    assert outcome.closed is not None
    assert batches.contents(lake, outcome.closed).removed == ("drone/1-1.png",)
    assert set(batches.ledger(lake, DATASET, str(source))) == {"satellite/1.png"}


def test_what_is_put_back_is_a_batch_of_its_own(source: Path, lake: Lake) -> None:
    content = (source / "drone" / "1-1.png").read_bytes()
    ids = set()
    for there in (True, False, True, False, True):
        if there:
            (source / "drone" / "1-1.png").write_bytes(content)
        else:
            (source / "drone" / "1-1.png").unlink()
        outcome = look(settings(source, lake), lake)
        assert outcome.closed is not None
        ids.add(outcome.closed.batch)
    assert len(ids) == 5


def test_a_disk_that_is_not_mounted_deletes_nothing(source: Path, lake: Lake) -> None:
    for place in range(2, 20):
        reference(source, place)
    look(settings(source, lake), lake)
    for path in (source / "satellite").glob("*.png"):
        path.unlink()
    outcome = look(settings(source, lake), lake)
    assert outcome.closed is None
    assert "none of them counts as deleted" in outcome.notes[0]
    allowed = look(settings(source, lake, watch={"largest_loss": 1.0}), lake)
    assert allowed.closed is not None
    assert allowed.closed.n_removed == 19


def test_a_folder_that_cannot_be_read_deletes_nothing(source: Path, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    look(settings(source, lake), lake)
    scandir = os.scandir

    def refuse(path: Path) -> object:
        if Path(path).name == "satellite":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr("cvgl.ingestion.walking.os.scandir", refuse)
    outcome = look(settings(source, lake), lake)
    assert (outcome.closed, outcome.missing) == (None, 0)
    assert any("not every folder can be read" in note for note in outcome.notes)


def test_a_file_that_cannot_be_read_comes_too_so_that_it_is_refused_with_its_reason(
    source: Path, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> str:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(watching, "sha256_file", refuse)
        outcome = look(settings(source, lake), lake)
        assert outcome.closed is not None
        assert set(batches.contents(lake, outcome.closed).files.values()) == {""}
        assert look(settings(source, lake), lake).closed is None
    assert len(brought(lake, look(settings(source, lake), lake))) == 2  # readable again


def test_a_source_that_is_gone_says_so(source: Path, lake: Lake) -> None:
    with pytest.raises(DataError, match="no folder"):
        look(settings(source / "nowhere", lake), lake)


def test_watchers_at_once_close_one_batch(source: Path, lake: Lake) -> None:
    outcomes: list[Look] = []
    threads = [threading.Thread(target=lambda: outcomes.append(look(settings(source, lake), lake))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 6
    assert sum(outcome.closed is not None for outcome in outcomes) == 1
    assert len(batches.batches(lake, DATASET)) == 1


@pytest.mark.parametrize("call", range(1, 5))
def test_a_watcher_that_dies_at_any_write_leaves_one_batch(
    source: Path, lake: Lake, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    """Memory, memory, the list of files, the batch: killed just before each of them."""
    import cvgl.lake

    written = 0

    def dies(path: Path, data: bytes) -> None:
        nonlocal written
        written += 1
        if written == call:
            raise SystemExit
        with cvgl.lake.replacing(path) as temporary:
            temporary.write_bytes(data)

    with monkeypatch.context() as patch:
        patch.setattr(cvgl.lake, "write_bytes", dies)
        with pytest.raises(SystemExit):
            look(settings(source, lake), lake)
    look(settings(source, lake), lake)
    queue = batches.batches(lake, DATASET)
    assert [batch.n_files for batch in queue] == [2]
    assert look(settings(source, lake), lake).closed is None


def test_a_damaged_record_is_named(source: Path, lake: Lake) -> None:
    outcome = look(settings(source, lake), lake)
    assert outcome.closed is not None
    path = batches.folder(lake, DATASET) / f"{outcome.closed.batch}.json"
    path.write_text('{"batch": 3}')
    with pytest.raises(Exception, match="damaged") as raised:
        batches.batches(lake, DATASET)
    assert str(path) in str(raised.value)


def written_ahead(source: Path) -> float:
    """Files by a clock that is ahead by weeks; gives the right time."""
    now = time.time()
    for path in source.rglob("*.png"):
        os.utime(path, (now + 900 * HOUR, now + 900 * HOUR))
    return now


def test_a_time_in_the_future_hides_no_file(source: Path, lake: Lake) -> None:
    now = written_ahead(source)
    assert look(quiet(source, lake), lake, clock=lambda: now).pending == 2
    assert len(brought(lake, look(quiet(source, lake), lake, clock=lambda: now + 61))) == 2


def test_a_clock_that_was_ahead_hides_no_file_for_as_long(source: Path, lake: Lake) -> None:
    now = written_ahead(source)
    assert look(quiet(source, lake), lake, clock=lambda: now + 900 * HOUR).pending == 2
    assert look(quiet(source, lake), lake, clock=lambda: now + 5).closed is None  # set right; the quiet time begins anew
    assert look(quiet(source, lake), lake, clock=lambda: now + 60).closed is None
    assert len(brought(lake, look(quiet(source, lake), lake, clock=lambda: now + 66))) == 2


def test_a_clock_that_was_ahead_does_not_put_off_the_longest_wait(source: Path, lake: Lake) -> None:
    now = written_ahead(source)
    config = quiet(source, lake, longest_wait_seconds=300.0)
    look(config, lake, clock=lambda: now + 900 * HOUR)
    growing = source / "drone" / "2.png"
    for moment in (10, 160, 311):
        growing.write_bytes(b"more" * moment)
        outcome = look(config, lake, clock=partial(float, now + moment))
    assert brought(lake, outcome) == {"satellite/1.png", "drone/1-1.png"}


def test_a_deletion_noted_by_a_clock_that_was_ahead_is_believed(source: Path, lake: Lake) -> None:
    now = time.time()
    look(settings(source, lake), lake)
    (source / "drone" / "1-1.png").unlink()
    assert look(quiet(source, lake), lake, clock=lambda: now + 900 * HOUR).missing == 1
    assert look(quiet(source, lake), lake, clock=lambda: now + 5).closed is None
    outcome = look(quiet(source, lake), lake, clock=lambda: now + 66)
    assert outcome.closed is not None
    assert outcome.closed.n_removed == 1


def test_a_name_that_is_not_utf8_is_listed_and_the_others_come(source: Path, lake: Lake) -> None:
    odd = source / "drone" / os.fsdecode(b"caf\xe9.png")
    odd.write_bytes((source / "drone" / "1-1.png").read_bytes() + b" ")
    config = settings(source, lake)
    look_outcome = look(config, lake)
    assert look_outcome.closed is not None
    assert batches.contents(lake, look_outcome.closed).refused == {
        "drone/caf\\xe9.png": "bad_name: the name is not valid UTF-8; rename the file"
    }
    outcome = take_in(look_outcome.closed, config, lake)
    assert (outcome.new, outcome.quarantined, outcome.left) == (2, 1, ())
    assert [(row["uri"], row["reason"]) for row in refused(lake, look_outcome.closed)] == [("drone/caf\\xe9.png", "bad_name")]
    batches.advance(lake, look_outcome.closed, state=State.DONE, left=outcome.left)
    assert look(config, lake).closed is None  # told once
    odd.rename(source / "drone" / "cafe.png")
    again = look(config, lake)
    assert brought(lake, again) == {"drone/cafe.png"}
    assert again.closed is not None
    assert take_in(again.closed, config, lake).new == 1


def test_pipes_sockets_and_links_to_nowhere_hold_nothing_up(source: Path, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(source / "drone" / "pipe.png")
    (source / "drone" / "link.png").symlink_to("nowhere.png")
    with socket.socket(socket.AF_UNIX) as listening:
        monkeypatch.chdir(source / "drone")  # a socket's path is short
        listening.bind("socket.png")
        config = settings(source, lake)
        look_outcome = look(config, lake)
        assert brought(lake, look_outcome) == {"satellite/1.png", "drone/1-1.png", "drone/pipe.png", "drone/socket.png"}
        assert look_outcome.closed is not None
        outcome = take_in(look_outcome.closed, config, lake)
    assert (outcome.new, outcome.quarantined, outcome.left) == (2, 3, ())
    assert {row["uri"]: row["reason"] for row in refused(lake, look_outcome.closed)} == {
        "drone/pipe.png": "not_a_file",
        "drone/socket.png": "not_a_file",
    }
