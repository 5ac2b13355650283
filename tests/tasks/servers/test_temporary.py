"""The temporary server: there when it is needed, gone with its command however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from cvgl.lake import Lake
from tasks.servers.temporary import ServerError, TemporaryServer

STARTS_ONE = """
import sys
from cvgl.lake import Lake
from tasks.servers.temporary import TemporaryServer
server = TemporaryServer(Lake.at(sys.argv[1]))
print(server._process.pid, flush=True)
sys.stdin.read()
"""


def test_it_ends_with_its_parent_even_when_that_is_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", STARTS_ONE, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    server = psutil.Process(int(parent.stdout.readline()))
    assert server.is_running()
    os.kill(parent.pid, signal.SIGKILL)
    parent.communicate()
    psutil.wait_procs([server], timeout=60)
    assert not server.is_running()


def test_one_that_cannot_start_says_where_to_read_why(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", "sqlite+aiosqlite:////no/such/folder/prefect.db")
    server = TemporaryServer(lake)
    begun = time.monotonic()
    with pytest.raises(ServerError, match=r"server\.log"):
        server.url()
    server.stop()
    assert time.monotonic() - begun < 120
    assert (lake.prefect_home / "server.log").stat().st_size > 0


def test_the_users_own_server_is_used(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    from flows.cli import engine

    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
    with engine._server(lake) as address:
        assert address() == "http://127.0.0.1:1/api"
    assert not lake.prefect_home.exists()
