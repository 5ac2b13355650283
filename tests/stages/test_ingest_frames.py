"""CRSs on their way into the lake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyproj
import pytest

from cvgl.config import IngestConfig
from cvgl.ingestion.tables import read_images, read_quarantine
from cvgl.lake import Lake
from cvgl.stages.ingest import IngestOutcome, ingest
from tests.data.images import place_image, save


def run(source: Path, lake: Lake) -> IngestOutcome:
    return ingest(IngestConfig(source=str(source), dataset="d"), lake)


def manifest(folder: Path, rows: dict[str, tuple[float, float, str]]) -> Path:
    lines = ["path,view,x,y,crs"]
    for place, (name, (x, y, crs)) in enumerate(rows.items()):
        save(place_image(place, size=24), folder / f"{name}.jpg")
        lines.append(f"{name}.jpg,satellite,{x},{y},{crs}")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    return folder / "manifest.csv"


def images(lake: Lake) -> dict[str, dict[str, Any]]:
    return {Path(row["uri"]).stem: row for row in read_images(lake, "d").to_pylist()}


def test_words_that_are_no_crs_cost_their_images_only(tmp_path: Path, lake: Lake) -> None:
    good, bad = (530_000, 180_000, "epsg:27700"), (5e5, 5e6, "UTM33N")
    outcome = run(manifest(tmp_path, {"good": good, "bad": bad, "none": (5e5, 5e6, "EPSG:99999")}), lake)
    assert (outcome.new, outcome.quarantined) == (1, 2)
    assert images(lake)["good"]["crs"] == "EPSG:27700"
    refused = {row["uri"].rpartition(" ")[2]: row for row in read_quarantine(lake, "d").to_pylist()}
    assert {row["reason"] for row in refused.values()} == {"bad_position"}
    assert "UTM33N" in refused["bad.jpg"]["detail"]
    assert any("EPSG:27700" in note and "about 2 m" in note for note in outcome.notes)


def test_a_datum_without_a_shift_is_told_and_taken(tmp_path: Path, lake: Lake) -> None:
    outcome = run(manifest(tmp_path, {"hangzhou": (519_000, 3_348_000, "EPSG:2437")}), lake)
    assert outcome.new == 1
    assert any("Beijing 1954" in warning for warning in outcome.warnings)


def test_a_projection_that_older_versions_stored_in_full_is_no_news(
    tmp_path: Path, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(place_image(1, size=24), tmp_path / "s/satellite/a.jpg")
    (tmp_path / "s/satellite/a.jgw").write_text("1 0 0 -1 500000 5000000")
    wkt = pyproj.CRS.from_epsg(32632).to_wkt("WKT1_ESRI")
    (tmp_path / "s/satellite/a.prj").write_text(wkt)
    with monkeypatch.context() as older:
        older.setattr("cvgl.ingestion.fields.canonical_crs", lambda text: text)
        older.setattr("cvgl.ingestion.fields.check_planar", lambda *_: None)
        run(tmp_path / "s", lake)
    assert images(lake)["a"]["crs"] == wkt
    again = run(tmp_path / "s", lake)
    assert (again.new, again.updated, again.skipped) == (0, 0, True)
    (tmp_path / "s/satellite/a.prj").write_text("EPSG:32633")
    assert run(tmp_path / "s", lake).updated == 1
    assert images(lake)["a"]["crs"] == "EPSG:32633"
