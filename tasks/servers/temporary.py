"""A Prefect server that lives exactly as long as one command.

Prefect can start a temporary server by itself, but that one outlives a killed parent, writes to the terminal, and is only
started when the first flow is. This one watches its parent and ends with it, logs to a file under the lake, starts while
the command is still importing its libraries, and two commands on one lake do not migrate one database at the same time.

It is Prefect's server as `tasks.servers.loopback` runs it.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cvgl.errors import CvglError, require
from cvgl.lake import Lake
from tasks.servers.environment import PRIVATE_UMASK, engine_environment, server_environment
from tasks.servers.loopback import HOST, STOP_SECONDS

if TYPE_CHECKING:
    from filelock import FileLock

START_SECONDS = 180.0


class ServerError(CvglError):
    """The temporary workflow server cannot be started."""


class TemporaryServer:
    """Starts at once and in the background; `url` waits until it answers."""

    def __init__(self, lake: Lake) -> None:
        lake.prefect_home.mkdir(parents=True, exist_ok=True)
        self._log = lake.prefect_home / "server.log"
        self._lock = _start_lock(lake)
        self._lock.acquire()
        self._port = _free_port()
        environment = {
            **os.environ,
            **engine_environment(lake, terminal=False),
            **server_environment(self._port),
            "PREFECT_SERVER_UI_ENABLED": "false",
        }
        environment.pop("PREFECT_API_URL", None)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tasks.servers.loopback", str(self._port), "--parent", str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                umask=PRIVATE_UMASK,  # its database holds the parameters of runs
                start_new_session=True,  # Ctrl-C stops the flow first, which then tells the server about it
            )

    def url(self) -> str:
        """The address of its API, once it answers.

        Raises:
            ServerError: it ended, or did not answer in time.
        """
        deadline = time.monotonic() + START_SECONDS
        while not _answers(f"http://{HOST}:{self._port}/api/health"):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise ServerError(
                    "the temporary Prefect server does not start",
                    where=self._log,
                    fix="read the end of that log; or start your own with `cvgl ui` or set PREFECT_API_URL",
                )
            time.sleep(0.1)
        self._lock.release()
        return f"http://{HOST}:{self._port}/api"

    def stop(self) -> None:
        """Ends the server and waits for it; its last events are written first."""
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._lock.release()


@contextmanager
def temporary_server(lake: Lake) -> Iterator[TemporaryServer]:
    """A server for the block."""
    server = TemporaryServer(lake)
    try:
        yield server
    finally:
        server.stop()


def _start_lock(lake: Lake) -> FileLock:
    filelock = require("filelock", extra="pipeline", purpose="run flows")
    lock: FileLock = filelock.FileLock(lake.prefect_home / "starting.lock", thread_local=False)
    return lock


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _answers(url: str) -> bool:
    # No proxy: the address is on loopback, whatever the environment says about the world outside.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
