"""A Prefect server with the deployments of this project."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from cvgl.lake import Lake
from tasks.servers.environment import engine_environment
from tasks.servers.temporary import _answers, _free_port

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Server:
    """A Prefect server of this test's own."""

    environment: dict[str, str]

    def prefect(self, *arguments: str, timeout: float = 300) -> str:
        """Runs Prefect's command from the root of the repository."""
        done = subprocess.run(
            [sys.executable, "-m", "prefect", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@contextmanager
def started(folder: Path, *, pages: bool = False) -> Iterator[Server]:
    """A server with its database in a folder; with `pages` for a browser, too."""
    folder.mkdir(exist_ok=True)
    lake, port = Lake.at(folder), _free_port()
    without_prefect = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment = {
        **without_prefect,
        **engine_environment(lake, without_prefect, terminal=False),
        "PREFECT_SERVER_UI_ENABLED": str(pages).lower(),
    }
    environment["PREFECT_API_URL"] = f"http://127.0.0.1:{port}/api"
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with (lake.root / "server.log").open("wb") as log:
        process = psutil.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 180
        while not _answers(f"{environment['PREFECT_API_URL']}/health"):
            assert process.poll() is None, (lake.root / "server.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.2)
        yield Server(environment)
    finally:
        running = [*process.children(recursive=True), process]
        for server_process in running:
            server_process.terminate()
        psutil.wait_procs(running, timeout=30)
