"""The two pages of a lake: Prefect's server and MLflow's, on loopback, for as long as `cvgl ui` runs.

`cvgl run` in another shell finds the server through `pages.json` in the lake and reports to it.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import FrameType
from typing import NoReturn

import psutil

from cvgl.errors import CvglError, LakeError
from cvgl.lake import Lake, read_json, write_json
from cvgl.masking import masked
from tasks.registry.store import QUIET_ENVIRONMENT, local_uri, named_uri, open_registry
from tasks.servers.environment import PRIVATE_UMASK, engine_environment, protect_databases, server_environment

LOOPBACK = "127.0.0.1"
SECONDS_TO_START = 150.0  # both servers take about 20 s on two idle cores
SECONDS_TO_END = 8.0
PORTS_TO_TRY = 50
# The job runner serves language-model features only, and costs a process of 250 MB.
_MLFLOW_ENVIRONMENT = {**QUIET_ENVIRONMENT, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


class PagesError(CvglError):
    """A server of `cvgl ui` does not start or has ended by itself."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server process. `created` tells it from a later process with the same pid."""

    url: str
    pid: int
    created: float

    def is_alive(self) -> bool:
        """Whether the process still runs."""
        try:
            process = psutil.Process(self.pid)
            return abs(process.create_time() - self.created) < 1.0 and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False


@dataclass(frozen=True, slots=True)
class Pages:
    """Where the pages of a lake are.

    Attributes:
        prefect: Prefect's server.
        mlflow: MLflow's server; none when the registry is somebody else's server.
        mlflow_url: MLflow's page, whoever runs it.
        owner: the process that started them and ends them.
        notes: what a person should know, such as that a port was taken.
        already_running: whether they had been started before.
    """

    prefect: Server
    mlflow: Server | None
    mlflow_url: str
    owner: Server
    notes: tuple[str, ...] = ()
    already_running: bool = False

    @property
    def prefect_api(self) -> str:
        """What PREFECT_API_URL has to be."""
        return f"{self.prefect.url}/api"

    def servers(self) -> list[Server]:
        """The servers that were started."""
        return [server for server in (self.prefect, self.mlflow) if server is not None]


def running_server(lake: Lake) -> str | None:
    """The address of this lake's Prefect server for PREFECT_API_URL, if one runs and answers."""
    pages = running_pages(lake)
    return pages.prefect_api if pages is not None else None


def running_pages(lake: Lake) -> Pages | None:
    """The pages of this lake, if their processes live and Prefect's answers."""
    pages = _read(lake)
    if pages is None or not all(server.is_alive() for server in pages.servers()):
        return None
    return pages if _answers(f"{pages.prefect_api}/health", seconds=5.0) else None


def serve(
    lake: Lake,
    *,
    prefect_port: int = 4200,
    mlflow_port: int = 5000,
    tracking_uri: str | None = None,
    announce: Callable[[Pages], None],
) -> None:
    """Starts both servers, tells their addresses, and stays until Ctrl-C, SIGTERM or the end of one of them.

    When they run already, tells where and returns.

    Args:
        lake: whose pages.
        prefect_port: wanted port; the next free one is taken when it is in use.
        mlflow_port: likewise.
        tracking_uri: the registry's address, when it is not the lake's own.
        announce: called once both answer.

    Raises:
        PagesError: a server does not start, or ends by itself.
    """
    with _interruptible():
        pages = start(lake, prefect_port=prefect_port, mlflow_port=mlflow_port, tracking_uri=tracking_uri)
        try:
            announce(pages)
            if not pages.already_running:
                _watch(lake, pages)
        except KeyboardInterrupt:
            pass  # how a person ends it
        finally:
            if not pages.already_running:
                stop(lake)


def start(lake: Lake, *, prefect_port: int = 4200, mlflow_port: int = 5000, tracking_uri: str | None = None) -> Pages:
    """Starts both servers and waits until they answer; see `serve`. The caller ends them with `stop`.

    Raises:
        PagesError: a server does not come up; what it said is in the message.
    """
    from filelock import FileLock

    lake.prefect_home.mkdir(parents=True, exist_ok=True)
    protect_databases(lake)
    with FileLock(lake.prefect_home / ".pages.lock"):
        record = _read(lake)
        running = running_pages(lake)
        if running is not None and running.owner.is_alive():
            return replace(running, already_running=True)
        if record is not None:  # left behind by a process that was killed
            _end(record.servers())
        return _start(lake, prefect_port, mlflow_port, tracking_uri)


def _start(lake: Lake, prefect_port: int, mlflow_port: int, tracking_uri: str | None) -> Pages:
    notes: list[str] = []
    started: list[Server] = []
    uri = named_uri(tracking_uri) or local_uri(lake)
    remote = uri.startswith(("http://", "https://"))
    try:
        port = _free_port(prefect_port, "Prefect", notes)
        started.append(_launch(_prefect_command(port), port, _prefect_environment(lake, port), _log(lake, "prefect")))
        prefect, mlflow = started[0], None
        if not remote:
            open_registry(lake, tracking_uri)  # makes the database under its lock, while Prefect's server starts
            port = _free_port(mlflow_port, "MLflow", notes)
            # Not as an argument, which every user of the machine can read: a database's address may hold its password.
            environment = {**_MLFLOW_ENVIRONMENT, "MLFLOW_BACKEND_STORE_URI": uri}
            mlflow = _launch(_mlflow_command(lake, port), port, environment, _log(lake, "mlflow"))
            started.append(mlflow)
        _await(prefect, "/api/health", _log(lake, "prefect"))
        if mlflow is not None:
            _await(mlflow, "/health", _log(lake, "mlflow"))
    except BaseException:  # a Ctrl-C while they start must not leave them behind
        _end(started)
        raise
    own = psutil.Process()
    pages = Pages(
        prefect=prefect,
        mlflow=mlflow,
        mlflow_url=mlflow.url if mlflow else masked(uri),
        owner=Server("", own.pid, own.create_time()),
        notes=tuple(notes),
    )
    write_json(_file(lake), {name: value for name, value in asdict(pages).items() if name != "already_running"})
    return pages


def stop(lake: Lake) -> bool:
    """Ends the servers of a lake, whoever started them; says whether there were any."""
    pages = _read(lake)
    _file(lake).unlink(missing_ok=True)
    if pages is None:
        return False
    _end(pages.servers())
    return True


def _file(lake: Lake) -> Path:
    return lake.prefect_home / "pages.json"


def _log(lake: Lake, name: str) -> Path:
    return lake.prefect_home / f"{name}-server.log"


def _read(lake: Lake) -> Pages | None:
    try:
        value = read_json(_file(lake))
        return Pages(
            prefect=Server(**value["prefect"]),
            mlflow=Server(**value["mlflow"]) if value["mlflow"] else None,
            mlflow_url=value["mlflow_url"],
            owner=Server(**value["owner"]),
            notes=tuple(value["notes"]),
        )
    except (LakeError, KeyError, TypeError):  # missing, or written by another version: as good as none
        return None


def _free_port(wanted: int, who: str, notes: list[str]) -> int:
    """The wanted port, or the next one that nobody listens on."""
    for port in range(wanted, min(wanted + PORTS_TO_TRY, 65536)):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
        if port != wanted:
            notes.append(f"port {wanted} is in use: {who}'s page is at port {port}")
        return port
    raise PagesError(
        f"no free port for {who}'s page from {wanted} to {wanted + PORTS_TO_TRY - 1}", where=LOOPBACK, fix="give another port"
    )


def _prefect_command(port: int) -> list[str]:
    return [sys.executable, "-m", "tasks.servers.loopback", str(port)]


def _prefect_environment(lake: Lake, port: int) -> dict[str, str]:
    return {
        **engine_environment(lake, terminal=False),
        **server_environment(port),
        "PREFECT_HOME": str(lake.prefect_home),
        # An address of another server that is set in this shell must not become the page's.
        "PREFECT_API_URL": f"http://{LOOPBACK}:{port}/api",
        "PREFECT_UI_API_URL": f"http://{LOOPBACK}:{port}/api",
        # The page's files are copied somewhere at start; by default into the installed package, which may be read-only.
        "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(lake.prefect_home / "page"),
    }


def _mlflow_command(lake: Lake, port: int) -> list[str]:
    store = ["--default-artifact-root", lake.mlflow_artifacts.as_uri()]
    # One worker: it is one person's page, and each worker is a process of 300 MB.
    return [sys.executable, "-m", "mlflow", "server", "--host", LOOPBACK, "--port", str(port), "--workers", "1", *store]


def _launch(command: Sequence[str], port: int, environment: Mapping[str, str], log: Path) -> Server:
    with log.open("ab") as output:
        process = psutil.Popen(
            list(command),
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            umask=PRIVATE_UMASK,
            start_new_session=True,  # Ctrl-C reaches only us, and we end them in order
        )
    return Server(f"http://{LOOPBACK}:{port}", process.pid, process.create_time())


def _await(server: Server, path: str, log: Path) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while not _answers(server.url + path, seconds=5.0):
        if not server.is_alive() or time.monotonic() > deadline:
            state = "did not answer in time" if server.is_alive() else "ended while starting"
            raise PagesError(f"the server at {server.url} {state}: {_tail(log)}", where=log, fix="see the log; try other ports")
        time.sleep(0.3)


def _tail(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][-300:] if lines else "it said nothing"


def _answers(url: str, seconds: float) -> bool:
    # No proxy: the address is on loopback, whatever the environment says about the world outside.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=seconds) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError, ValueError):
        return False


def _watch(lake: Lake, pages: Pages) -> None:
    while True:
        for name, server in (("prefect", pages.prefect), ("mlflow", pages.mlflow)):
            if server is not None and not server.is_alive():
                log = _log(lake, name)
                raise PagesError(f"the {name} server has ended: {_tail(log)}", where=log, fix="start it again: cvgl ui")
        time.sleep(0.5)


def _end(servers: Sequence[Server]) -> None:
    """Ends processes and all that they started: politely, then for good."""
    ending: list[psutil.Process] = []
    for server in servers:
        if server.is_alive():
            try:
                process = psutil.Process(server.pid)
                ending += [process, *process.children(recursive=True)]
            except psutil.NoSuchProcess:
                continue
    for process in ending:
        _signal(process, signal.SIGTERM)
    _, alive = psutil.wait_procs(ending, timeout=SECONDS_TO_END)
    for process in alive:
        _signal(process, signal.SIGKILL)
    psutil.wait_procs(alive, timeout=SECONDS_TO_END)


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM ends the block as Ctrl-C does."""

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
