"""From cameras' EXIF to the lake: positions, times, and what is said of them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cvgl.config import IngestConfig
from cvgl.datasets.inspection import inspect
from cvgl.ingestion import tables
from cvgl.ingestion.ground_truth import read_ground_truth
from cvgl.ingestion.scanning import scan_file
from cvgl.lake import Lake
from cvgl.stages.ingest import ingest
from tests.data.images import place_image, save
from tests.data.metadata import exif_bytes, rationals, text


def photo(path: Path, place: Any, clock: Any, stamp: Any = None, **gps: Any) -> None:
    fields = {0x9003: text(f"2024:05:01 {clock}\0")}
    receiver = {} if stamp is None else {7: rationals(*stamp), 29: text("2024:05:01\0")}
    position = {1: text("S\0"), 2: rationals(33, (place * 100, 7)), 3: text("W\0"), 4: rationals(70, (1, 3), (0, 0))}
    path.parent.mkdir(parents=True, exist_ok=True)
    image = place_image(place, view=1, size=24)
    image.save(path, exif=exif_bytes({0x010F: text("GoPro\0")}, fields, position | receiver | gps.get("more", {})))


def table(tmp_path: Path, lake: Lake) -> Any:
    outcome = ingest(IngestConfig(source=str(tmp_path / "source"), dataset="town"), lake)
    rows = {row["uri"].rsplit("/", 1)[-1]: row for row in tables.read_images(lake, "town").to_pylist()}
    truth = {row["image_id"]: row for row in read_ground_truth(lake, "town").to_pylist()}
    return outcome, rows, truth


def test_a_flight_of_a_gopro(tmp_path: Path, lake: Lake) -> None:
    source = tmp_path / "source"
    save(place_image(9, size=24), source / "satellite" / "t.jpg")
    for n in range(4):
        void = {9: text("V\0")} if n == 3 else {}
        photo(source / "drone" / f"{n}.jpg", n + 1, f"12:00:0{n}.5", None if n == 1 else (16, 0, n), more=void)
    outcome, rows, truth = table(tmp_path, lake)
    taken = [rows[f"{n}.jpg"]["captured_at"] for n in range(4)]
    assert taken == [datetime(2024, 5, 1, 16, 0, n, 500_000, tzinfo=UTC) for n in range(4)]
    places = [truth[rows[f"{n}.jpg"]["image_id"]] for n in range(4)]
    assert [place["latitude"] for place in places] == pytest.approx([-33 - (n + 1) * 100 / 7 / 60 for n in range(4)])
    assert {round(place["longitude"], 6) for place in places} == {-round(70 + 1 / 180, 6)}
    assert next(note for note in outcome.notes if "status" in note).startswith("1 image has a position")
    assert any(note.startswith("1 image has local time without zone; taken in the zone of") for note in outcome.notes)


def test_times_without_any_zone_are_counted(tmp_path: Path, lake: Lake) -> None:
    source = tmp_path / "source"
    save(place_image(9, size=24), source / "satellite" / "t.jpg")
    for n in range(3):
        photo(source / "drone" / f"{n}.jpg", n + 1, f"12:00:0{n}")
    outcome, rows, _ = table(tmp_path, lake)
    assert "3 images have local time without zone; taken as UTC" in outcome.notes
    assert rows["2.jpg"]["captured_at"] == datetime(2024, 5, 1, 12, 0, 2, tzinfo=UTC)


def test_doctor_says_what_ingestion_would(tmp_path: Path) -> None:
    save(place_image(9, size=24), tmp_path / "satellite" / "t.jpg")
    for n in range(2):
        photo(tmp_path / "drone" / f"{n}.jpg", n + 1, f"12:00:0{n}", more={9: text("V\0")})
    notes = inspect(str(tmp_path)).notes
    assert "2 images have local time without zone; taken as UTC" in notes
    assert any(note.startswith("2 images have a position although the receiver's status") for note in notes)


def test_a_sequence_with_missing_times_is_said(tmp_path: Path, lake: Lake) -> None:
    source = tmp_path / "source"
    source.mkdir()
    lines = ["path,view,captured_at,sequence,latitude,longitude", "t.png,satellite,,,50,4"]
    for n, at in enumerate(("2024-05-01T12:00:00Z", "", "1714564804")):
        Image.new("RGB", (16, 16), (n, 90, 60)).save(source / f"{n}.png")
        lines.append(f"{n}.png,drone,{at},north,,")
    Image.new("RGB", (16, 16), (99, 9, 6)).save(source / "t.png")
    (source / "manifest.csv").write_text("\n".join(lines))
    outcome, _, _ = table(tmp_path, lake)
    assert "1 of the 3 images of sequence 'north' have no time; they stand by their names" in outcome.notes


def test_photos_of_a_survey_flight(shared: Path) -> None:
    folder = shared / "data" / "dji_photos"
    scans = [scan_file(path, 10**8) for path in sorted(folder.glob("*.JPG"))]
    assert len(scans) == 18
    assert {(scan.position_source, scan.camera, scan.zone_source, scan.remarks) for scan in scans} == {
        ("exif", "DJI FC300S", "nothing", ())
    }
    first, last = scans[0], scans[-1]
    assert (first.latitude, first.longitude) == (pytest.approx(46.842607083), pytest.approx(-91.994559889))
    assert (last.latitude, last.longitude) == (pytest.approx(46.842716556), pytest.approx(-91.993455306))
    times = [scan.captured_at for scan in scans]
    assert times == sorted(times, key=str)
    assert (times[0], times[-1]) == (
        datetime(2016, 6, 23, 16, 31, 59, tzinfo=UTC),
        datetime(2016, 6, 23, 16, 34, 3, tzinfo=UTC),
    )
