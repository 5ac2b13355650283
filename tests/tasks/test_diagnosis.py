"""What an installation has and can reach, good and bad."""

from __future__ import annotations

import importlib.metadata
import sqlite3
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from cvgl.lake import Lake
from tasks.diagnosis import Check, Verdict, diagnose


def checks(lake: Path, tracking_uri: str | None = None) -> dict[str, Check]:
    return {check.subject: check for check in diagnose(Lake.at(lake), tracking_uri)}


def test_packages_that_are_there_are_named_with_their_version(tmp_path: Path) -> None:
    checks_made = checks(tmp_path)
    assert checks_made["torch"] == Check("torch", Verdict.GOOD, importlib.metadata.version("torch"))
    assert checks_made["device"].verdict in (Verdict.GOOD, Verdict.NOTE)
    assert "pytest" not in checks_made  # what only we need to work on cvgl


def test_a_missing_package_is_bad_and_a_missing_extra_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requires = ["numpy>=99", "nothing-like-this>=1", "neither-this>=2; extra == 'pipeline'", "pytest; extra == 'dev'"]
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: requires)
    checks_made = checks(tmp_path)
    assert (checks_made["numpy"].verdict, ">=99 is needed" in checks_made["numpy"].detail) == (Verdict.BAD, True)
    assert checks_made["nothing-like-this"].verdict is Verdict.BAD
    assert checks_made["neither-this"].verdict is Verdict.NOTE
    assert checks_made["neither-this"].fix == "pip install 'cvgl[pipeline]'"
    assert "pytest" not in checks_made


def test_a_lake_says_what_it_holds_or_why_it_cannot_be_made(tmp_path: Path) -> None:
    assert checks(tmp_path)["lake"].verdict is Verdict.GOOD
    assert "no dataset yet" in checks(tmp_path)["lake"].detail
    assert checks(tmp_path / "new")["lake"].verdict is Verdict.NOTE


def test_a_registry_is_a_database_with_models(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    assert checks(tmp_path, f"sqlite:///{path}")["registry"].verdict is Verdict.BAD
    path.write_bytes(b"no database" * 100)
    assert "no database that can be read" in checks(tmp_path, f"sqlite:///{path}")["registry"].detail
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE other (x)")
    assert "not MLflow's" in checks(tmp_path, f"sqlite:///{path}")["registry"].detail
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE model_versions (x)")
        connection.execute("INSERT INTO model_versions VALUES (1)")
    assert checks(tmp_path, f"sqlite:///{path}")["registry"] == Check("registry", Verdict.GOOD, f"{path}: 1 model versions")


def test_the_lakes_own_registry_is_not_made_by_looking(tmp_path: Path) -> None:
    assert checks(tmp_path)["registry"].verdict is Verdict.NOTE
    assert list(tmp_path.iterdir()) == []


def test_a_server_is_asked_for_its_health(tmp_path: Path) -> None:
    requests: list[str] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        checks_made = checks(tmp_path, f"http://127.0.0.1:{server.server_port}/")["registry"]
    finally:
        server.shutdown()
        server.server_close()
    assert (checks_made.verdict, requests) == (Verdict.GOOD, ["/health"])
    assert checks(tmp_path, f"http://127.0.0.1:{server.server_port}")["registry"].verdict is Verdict.BAD
