"""A real MLflow server on loopback, on sqlite, that can be killed and started again; and a proxy that makes it misbehave."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import requests

from tasks.registry.store import QUIET_ENVIRONMENT

SECONDS_TO_START = 120.0
SECONDS_LATE = 4.0


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class MlflowServer:
    """`mlflow server` with its database and its artifacts in a folder; always at the same port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def launch(self) -> None:
        """Starts it and does not wait."""
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        stores = [
            f"--backend-store-uri=sqlite:///{self.folder / 'mlflow.db'}",
            f"--artifacts-destination={self.folder / 'files'}",
        ]
        environment = {**os.environ, **QUIET_ENVIRONMENT, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, *stores], env=environment, stdout=log, stderr=log, cwd=self.folder, start_new_session=True
            )

    def start(self) -> None:
        """Starts it and waits until it answers."""
        self.launch()
        deadline = time.monotonic() + SECONDS_TO_START
        while not self.answers():
            assert self._process is not None
            assert self._process.poll() is None, (self.folder / "server.log").read_text()[-2000:]
            assert time.monotonic() < deadline, "MLflow's server does not answer"
            time.sleep(0.1)

    def answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/health", timeout=2).status_code == 200
        except requests.RequestException:
            return False

    def kill(self) -> None:
        """SIGKILL, to it and to its workers."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


Misbehave = Callable[[str, int], str]
"""Given the method and path of a request and how often it has come: ``"pass"``, ``"lose"`` (the reply), ``"late"`` (carried
out when nobody waits for it any more), or ``"500"``."""


class Proxy:
    """Stands before a server, one request a connection, and does to each what it is told to."""

    def __init__(self, target: int, misbehave: Misbehave) -> None:
        self._target, self._misbehave = target, misbehave
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.seen: dict[str, int] = {}
        self.done: list[str] = []
        self._late: list[threading.Thread] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def settle(self) -> None:
        """Waits until what is late has been carried out."""
        for thread in self._late:
            thread.join()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._handle, args=(connection,), daemon=True).start()

    def _handle(self, connection: socket.socket) -> None:
        with closing(connection):
            request = _read(connection)
            if not request:
                return
            name = request.split(b" HTTP/", 1)[0].decode().split("?", 1)[0]
            name = re.sub(r"m-[0-9a-f]{32}", "MODEL", name)  # another one on each attempt
            self.seen[name] = self.seen.get(name, 0) + 1
            action = self._misbehave(name, self.seen[name])
            self.done.append(f"{action} {name}")
            if action == "500":
                connection.sendall(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            if action == "late":
                self._late.append(threading.current_thread())
                time.sleep(SECONDS_LATE)
            reply = self._forward(re.sub(rb"(?i)\r\nconnection: [^\r]*", b"", request, count=1))
            if action == "pass":
                connection.sendall(reply)

    def _forward(self, request: bytes) -> bytes:
        head, _, body = request.partition(b"\r\n\r\n")
        with closing(socket.create_connection(("127.0.0.1", self._target))) as server:
            server.sendall(head + b"\r\nConnection: close\r\n\r\n" + body)
            return _until_closed(server)


def _until_closed(stream: socket.socket) -> bytes:
    parts = []
    while part := stream.recv(65536):
        parts.append(part)
    reply = b"".join(parts)
    head, separator, body = reply.partition(b"\r\n\r\n")
    return re.sub(rb"(?i)\r\nconnection: [^\r]*", b"", head) + b"\r\nConnection: close" + separator + body


def _read(connection: socket.socket) -> bytes:
    """One whole request; its body has a length or comes in chunks."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        if not part:
            return b""
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    chunked = b"chunked" in head.lower()
    while (length and len(body) < int(length[1])) or (chunked and not body.endswith(b"0\r\n\r\n")):
        part = connection.recv(65536)
        if not part:
            break
        body += part
    return head + b"\r\n\r\n" + body
