"""Files of every kind end in a scan: an image's facts, or a reason. Nothing hangs, nothing is read twice."""

from __future__ import annotations

import os
import socket
import struct
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from cvgl import hashing
from cvgl.ingestion import scanning
from cvgl.ingestion.camera.record import CameraRecord
from cvgl.ingestion.entries import Reason
from cvgl.ingestion.exif import read_exif
from cvgl.ingestion.scan_cache import Scan, ScanCache
from cvgl.ingestion.scanning import scan, scan_file
from tests.data.images import place_image, save

LIMIT = 10**6


def image(path: Path, place: int = 0) -> Path:
    return save(place_image(place, size=24), path)


def test_an_image_gives_its_id_and_size(tmp_path: Path) -> None:
    path = save(place_image(1, size=32).resize((32, 20)), tmp_path / "a.jpg")
    scanned = scan_file(path, LIMIT)
    assert scanned.reason is None
    assert scanned.image_id == hashing.image_id(path.read_bytes())
    assert (scanned.width, scanned.height, scanned.size) == (32, 20, path.stat().st_size)


def test_a_pipe_a_socket_and_a_folder_are_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        monkeypatch.chdir(tmp_path)  # a socket's name has at most 108 bytes, and the folder's may have more
        server.bind("s.jpg")
        names = ("pipe.jpg", "folder.jpg", "s.jpg")
        assert {scan_file(tmp_path / name, LIMIT).reason for name in names} == {Reason.NOT_A_FILE}
    assert scan_file(Path("/dev/zero"), LIMIT).reason is Reason.NOT_A_FILE


def test_what_is_not_there_or_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    (tmp_path / "dangling.jpg").symlink_to("nothing.jpg")
    assert scan_file(tmp_path / "none.jpg", LIMIT).reason is Reason.MISSING
    assert scan_file(tmp_path / "dangling.jpg", LIMIT).reason is Reason.MISSING
    assert scan_file(tmp_path / "loop.jpg", LIMIT).reason is Reason.UNREADABLE


def test_a_file_without_rights_is_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    path = image(tmp_path / "a.jpg")
    monkeypatch.setattr(os, "open", refuse)  # rights do not bind root, whom tests often run as
    assert scan_file(path, LIMIT).reason is Reason.UNREADABLE


def test_a_file_that_grows_meanwhile_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = image(tmp_path / "a.jpg")

    def grow(opened: Image.Image, stream_of_image: BinaryIO | None = None) -> CameraRecord:
        with path.open("ab") as stream:
            stream.write(b"more")
        return read_exif(opened, stream_of_image)

    monkeypatch.setattr(scanning, "read_exif", grow)
    scanned = scan_file(path, LIMIT)
    assert (scanned.reason, scanned.is_lasting) == (Reason.CHANGING, False)


def test_the_exif_of_a_drone_is_read(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    place = [IFDRational(8), IFDRational(30), IFDRational(36)]
    exif[0x8825] = {1: "S", 2: [IFDRational(47), IFDRational(15), IFDRational(0)], 3: "E", 4: place}
    exif[0x8769] = {0x9003: "2024:05:31 14:03:00", 0x9011: "+02:00"}
    path = tmp_path / "a.jpg"
    place_image(0, size=24).save(path, exif=exif)
    scanned = scan_file(path, LIMIT)
    assert scanned.latitude == -47.25
    assert scanned.longitude == pytest.approx(8.51)
    assert scanned.captured_at == datetime(2024, 5, 31, 12, 3, tzinfo=UTC)
    assert scanned.turned


@pytest.mark.parametrize(
    "gps",
    [
        {1: "N", 2: [IFDRational(0), IFDRational(0), IFDRational(0)], 3: "E", 4: [IFDRational(0)] * 3},
        {1: "N", 2: [IFDRational(123), IFDRational(0), IFDRational(0)], 3: "E", 4: [IFDRational(0)] * 3},
        {1: "N", 2: [IFDRational(1, 0)] * 3, 3: "E", 4: [IFDRational(1)] * 3},
        {1: "N", 2: [IFDRational(1)] * 3},
        {1: "?", 2: [IFDRational(1)] * 3, 3: "E", 4: [IFDRational(1)] * 3},
    ],
)
def test_a_camera_without_a_fix_is_no_reason_to_refuse(tmp_path: Path, gps: dict[int, object]) -> None:
    exif = Image.Exif()
    exif[0x8825] = gps
    exif[0x8769] = {0x9003: "0000:00:00 00:00:00"}
    path = tmp_path / "a.jpg"
    place_image(0, size=24).save(path, exif=exif)
    scanned = scan_file(path, LIMIT)
    assert (scanned.reason, scanned.latitude, scanned.captured_at) == (None, None, None)


def test_only_new_and_changed_files_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [image(tmp_path / f"{n}.jpg", n) for n in range(5)]
    (tmp_path / "text.jpg").write_text("not an image")
    paths.append(tmp_path / "text.jpg")
    first = scan(paths, ScanCache(tmp_path / "cache"), LIMIT)
    read: list[str] = []
    whole = scanning.scan_file

    def counted(path: Path, *settings: Any) -> Scan:
        read.append(path.name)
        return whole(path, *settings)

    monkeypatch.setattr(scanning, "scan_file", counted)
    assert scan(paths, ScanCache(tmp_path / "cache"), LIMIT) == first
    assert read == []
    image(tmp_path / "2.jpg", 9)
    paths.append(image(tmp_path / "new.jpg", 8))
    again = scan(paths, ScanCache(tmp_path / "cache"), LIMIT)
    assert sorted(read) == ["2.jpg", "new.jpg"]
    assert again[tmp_path / "2.jpg"].image_id != first[tmp_path / "2.jpg"].image_id


def test_what_was_found_before_a_death_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "CHUNK", 2)
    paths = [image(tmp_path / f"{n}.jpg", n) for n in range(6)]

    def die(done: int, total: int, message: str = "") -> None:
        if done >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        scan(paths, ScanCache(tmp_path / "cache"), LIMIT, die)
    calls: list[int] = []
    scan(paths, ScanCache(tmp_path / "cache"), LIMIT, lambda done, total, message="": calls.append(done))
    assert calls == [4, 6]


def test_the_limit_is_a_setting_and_no_property_of_a_file(tmp_path: Path) -> None:
    path = image(tmp_path / "a.jpg")
    for limit, reason in [(24 * 24 - 1, Reason.TOO_LARGE), (24 * 24, None), (24 * 24 - 1, Reason.TOO_LARGE)]:
        assert scan([path], ScanCache(tmp_path / "cache"), limit)[path].reason is reason


def test_a_bomb_is_refused_without_being_decoded(tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    data += struct.pack(">I", 10**6) + b"IDAT"
    (tmp_path / "bomb.png").write_bytes(data)
    assert scan_file(tmp_path / "bomb.png", LIMIT).reason is Reason.TOO_LARGE
    assert scan_file(tmp_path / "bomb.png", 10**12).reason is Reason.TOO_LARGE  # Pillow's own ceiling stays


def test_a_damaged_cache_is_an_empty_one(tmp_path: Path) -> None:
    path = image(tmp_path / "a.jpg")
    first = scan([path], ScanCache(tmp_path / "cache"), LIMIT)
    for file in (tmp_path / "cache").iterdir():
        file.write_bytes(file.read_bytes()[:-5])
    assert scan([path], ScanCache(tmp_path / "cache"), LIMIT) == first


def test_a_hole_in_the_middle_is_found_in_lossless_images(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)).save(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 64] = bytes(64)
    path.write_bytes(data)
    assert scan_file(path, LIMIT).reason in (Reason.DAMAGED, Reason.TRUNCATED)
