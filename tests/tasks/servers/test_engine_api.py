"""A Prefect server that is down, or is none: said in a line, with what to do, and as an object under --json."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cvgl.lake import Lake
from tasks.servers.engine_api import EngineError, check_api, engine_errors
from tests.flows.cli.commands import cvgl, invoke

COMMANDS = (
    ("ingest", "."),
    ("align",),
    ("extract",),
    ("adapt",),
    ("evaluate", "some-run"),
    ("run", "--source", "."),
    ("demo",),
    ("watch", ".", "--once"),
    ("watch", ".", "--once", "--events-only"),
    ("automate",),
)
WITHOUT_DATASET = ("evaluate", "demo", "automate")


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class _Answers(BaseHTTPRequestHandler):
    status, body, kind = 200, b"<html>another server</html>", "text/html"

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("content-type", self.kind)
        self.send_header("content-length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    do_POST = do_GET  # noqa: N815 # the name that http.server looks for

    def log_message(self, *values: object) -> None:
        return


@pytest.fixture
def other_server() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Answers", (_Answers,), {}))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_says_that_the_server_does_not_answer(
    command: tuple[str, ...], closed_port: int, lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREFECT_API_URL", f"http://me:s3cr3t-word@127.0.0.1:{closed_port}/api")
    for module in ("flows.cli.engine", "tasks.servers.environment"):  # what it sets would stay for other tests
        monkeypatch.setattr(f"{module}.apply_environment", lambda lake: None)
    dataset = [] if command[0] in WITHOUT_DATASET else ["--dataset", "town"]
    ended = invoke(*command, *dataset, "--lake", lake.root, "--json")
    assert ended.code == 1
    error = ended.json["error"]
    assert error["kind"] == "EngineError"
    assert error["where"] == f"http://me:***@127.0.0.1:{closed_port}/api"
    assert "PREFECT_API_URL" in error["fix"]
    assert "s3cr3t-word" not in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_process_of_its_own_ends_with_one_object_and_no_traceback(closed_port: int, tmp_path: Path) -> None:
    import os

    environment = {**os.environ, "PREFECT_API_URL": f"http://127.0.0.1:{closed_port}/api"}
    ended = cvgl("ingest", tmp_path, "--dataset", "x", "--lake", tmp_path / "lake", "--json", environment=environment)
    assert (ended.code, ended.json["error"]["kind"]) == (1, "EngineError")
    assert len(ended.stdout.splitlines()) == 1
    assert "Traceback" not in ended.stderr
    assert len(ended.stderr.splitlines()) <= 5


@pytest.mark.parametrize(
    ("status", "body", "kind", "reason"),
    [
        (200, b"<html>another server</html>", "text/html", "no Prefect server"),
        (200, b'{"status": "up"}', "application/json", "no Prefect server"),
        (404, b"", "text/html", "ends in /api"),
        (401, b'{"exception_message": "Unauthorized"}', "application/json", "PREFECT_API_AUTH_STRING"),
        (403, b"", "text/html", "PREFECT_API_KEY"),
        (500, b"", "text/html", "status 500"),
        (503, b"", "text/html", "status 503"),
    ],
)
def test_another_server_and_wrong_keys_are_told(
    other_server: ThreadingHTTPServer, status: int, body: bytes, kind: str, reason: str
) -> None:
    handler = other_server.RequestHandlerClass
    handler.status, handler.body, handler.kind = status, body, kind
    with pytest.raises(EngineError) as raised:
        check_api(f"http://127.0.0.1:{other_server.server_port}/api")
    assert reason in raised.value.what
    assert raised.value.__cause__ is None


def test_a_wrong_protocol_or_address_is_told(other_server: ThreadingHTTPServer) -> None:
    for address in (
        f"https://127.0.0.1:{other_server.server_port}/api",
        "nonsense",
        "http://[::1/api",
        "http://127.0.0.1:99999/api",
    ):
        with pytest.raises(EngineError) as raised:
            check_api(address)
        assert raised.value.where == address


def test_a_server_that_is_silent_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.servers.engine_api.SECONDS_TO_ANSWER", 0.4)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(EngineError, match=r"does not answer within 0\.4 s"):
            check_api(f"http://127.0.0.1:{silent.getsockname()[1]}/api")


def test_a_server_that_answers_is_no_error(prefect_api: str) -> None:
    check_api(prefect_api)


def test_a_server_that_goes_away_meanwhile_is_told(closed_port: int) -> None:
    import httpx
    from prefect import flow
    from prefect.settings import PREFECT_API_URL, temporary_settings

    @flow
    def orphan() -> int:
        return 1

    url = f"http://127.0.0.1:{closed_port}/api"
    with temporary_settings(updates={PREFECT_API_URL: url}):
        with pytest.raises(EngineError), engine_errors(url):
            orphan()
        with pytest.raises(EngineError), engine_errors(url):
            httpx.get(f"{url}/flows")
    # What is not the engine's stays what it is: a defect of ours, or another library's request.
    with pytest.raises(RuntimeError, match="ours"), engine_errors(url):
        raise RuntimeError("ours")
    with pytest.raises(httpx.ConnectError), engine_errors("http://127.0.0.1:1/api"):
        httpx.get(f"{url}/flows")


def test_the_error_is_json_able(closed_port: int) -> None:
    with pytest.raises(EngineError) as raised:
        check_api(f"http://127.0.0.1:{closed_port}/api")
    assert json.dumps([raised.value.what, raised.value.where, raised.value.fix])
