"""An image that a process died of is not decoded again in a process that matters; one that was only interrupted is taken."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cvgl.imaging import decoding
from cvgl.ingestion import isolation, scanning
from cvgl.ingestion.attempts import Attempts, Key, key_of
from cvgl.ingestion.entries import Reason
from cvgl.ingestion.scan_cache import Scan, ScanCache
from cvgl.ingestion.scanning import scan, scan_file
from tests.data.images import place_image, save

LIMIT = 10**6


def left_mark(cache: Path, path: Path, *, isolated: bool = False) -> None:
    """As a process leaves it that died while it decoded the image."""
    key = key_of(path)
    assert key is not None
    code = (
        "import os, signal, sys; from pathlib import Path; from cvgl.ingestion.attempts import Attempts, key_of\n"
        "with Attempts(Path(sys.argv[1])).trying(key_of(Path(sys.argv[2])), isolated=bool(int(sys.argv[3]))) as mark:\n"
        "    mark(1, 1); os.kill(os.getpid(), signal.SIGKILL)"
    )
    arguments = [str(cache / "attempts"), str(path), str(int(isolated))]
    done = subprocess.run([sys.executable, "-c", code, *arguments], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return save(place_image(1, size=24), tmp_path / "a.png")


def marks(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "cache/attempts").glob("*.json"))


def test_an_image_that_was_interrupted_is_taken_all_the_same(tmp_path: Path, path: Path) -> None:
    left_mark(tmp_path / "cache", path)
    assert len(marks(tmp_path)) == 1
    assert scan([path], ScanCache(tmp_path / "cache"), LIMIT) == {path: scan_file(path, LIMIT)}
    assert marks(tmp_path) == []


def test_an_image_that_kills_is_refused_and_not_tried_again(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_mark(tmp_path / "cache", path)
    dying = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    monkeypatch.setattr(isolation, "_COMMAND", dying)
    monkeypatch.setattr(scanning, "scan_file", lambda *_: pytest.fail("was tried in this process"))
    first = scan([path], ScanCache(tmp_path / "cache"), LIMIT)
    assert first[path].reason is Reason.KILLED_PROCESS
    monkeypatch.setattr(isolation, "scan_in_isolation", lambda *_: pytest.fail("was tried again"))
    assert scan([path], ScanCache(tmp_path / "cache"), LIMIT) == first


def test_a_death_of_both_processes_is_enough(tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left_mark(tmp_path / "cache", path, isolated=True)
    monkeypatch.setattr(scanning, "scan_in_isolation", lambda *_: pytest.fail("was tried again"))
    assert scan([path], ScanCache(tmp_path / "cache"), LIMIT)[path].reason is Reason.KILLED_PROCESS


def test_another_content_is_tried_anew(tmp_path: Path, path: Path) -> None:
    left_mark(tmp_path / "cache", path, isolated=True)
    save(place_image(2, size=30), path)
    assert scan([path], ScanCache(tmp_path / "cache"), LIMIT)[path].width == 30
    assert marks(tmp_path) == []


def test_a_living_process_is_no_dead_one(tmp_path: Path, path: Path) -> None:
    attempts, key = Attempts(tmp_path / "attempts"), key_of(path)
    assert key is not None
    with attempts.trying(key) as mark:
        mark(1, 1)
        (record,) = (tmp_path / "attempts").glob("*.json")
        assert json.loads(record.read_bytes())["key"] == list(key)
        assert attempts.left_behind() == {}
    assert not record.exists()


def test_only_large_images_are_marked_and_before_they_are_decoded(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Key] = []

    def record(_: Attempts, key: Key, *, isolated: bool) -> int:
        written.append(key)
        return os.dup(0)

    monkeypatch.setattr(Attempts, "_write", record)
    attempts = Attempts(tmp_path / "attempts")
    assert scan_file(path, LIMIT, attempts).reason is None
    assert written == []
    monkeypatch.setattr(decoding, "_SUSPICIOUS_PIXELS", 24 * 24)
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", lambda self: (_ for _ in ()).throw(OSError(f"{len(written)}")))
    assert scan_file(path, LIMIT, attempts) == Scan(
        **scan_file(path, LIMIT).model_dump(exclude={"detail"}), detail="the image does not decode: 1"
    )


def test_a_process_of_its_own_sees_the_same(path: Path, tmp_path: Path) -> None:
    assert isolation.scan_in_isolation(path, LIMIT) == scan_file(path, LIMIT)
    (tmp_path / "b.png").write_bytes(b"no image")
    assert isolation.scan_in_isolation(tmp_path / "b.png", LIMIT) == scan_file(tmp_path / "b.png", LIMIT)


def test_memory_that_runs_out_is_a_reason_and_no_crash(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: object) -> None:
        raise MemoryError

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", fail)
    refused = scan_file(path, LIMIT)
    assert (refused.reason, refused.is_lasting) == (Reason.TOO_LARGE, False)


def test_a_disk_error_while_reading_is_no_damage(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", fail)
    refused = scan_file(path, LIMIT)
    assert (refused.reason, refused.is_lasting) == (Reason.UNREADABLE, False)


def test_one_colour_is_noted(tmp_path: Path) -> None:
    from PIL import Image

    assert scan_file(save(Image.new("RGB", (9, 9), "blue"), tmp_path / "blue.png"), LIMIT).blank
    assert not scan_file(save(place_image(1), tmp_path / "place.png"), LIMIT).blank
