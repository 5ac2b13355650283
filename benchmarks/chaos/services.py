"""What the arrival flow needs to run: Prefect's server, a worker, MLflow's server; and who starts them again when they die."""

from __future__ import annotations

import json
import logging
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import requests
import yaml

from cvgl.lake import Lake
from tasks.registry.store import QUIET_ENVIRONMENT
from tasks.servers.environment import engine_environment

logger = logging.getLogger("chaos")
ROOT = Path(__file__).resolve().parents[2]
MARK = "CVGL_CHAOS"  # an environment variable by which the processes of one run are known
SECONDS_TO_START = 180.0
ANY_CHALLENGER = {"tolerance": 1.0, "metres": False, "above_chance": False}  # the gate lets everything pass
FLOW = "prefect.engine"


@dataclass(slots=True)
class Service:
    """A process that is started again whenever it is gone, as an init system does.

    Attributes:
        name: server, worker or mlflow.
        command: what runs.
        environment: of the process.
        log: what it says goes there.
        health: an address that answers when it is ready; empty: none.
        starts: how often it was started.
        up: it has answered since.
    """

    name: str
    command: list[str]
    environment: dict[str, str]
    log: Path
    health: str = ""
    starts: int = 0
    up: bool = False
    process: subprocess.Popen[bytes] | None = None

    def revive(self) -> None:
        """Starts it when it does not run."""
        if self.process is not None and self.process.poll() is None:
            return
        self.starts, self.up = self.starts + 1, False
        if self.starts > 1:
            logger.info("%s is gone and is started again", self.name)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, cwd=ROOT, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )

    def answers(self) -> bool:
        """Whether it can be used."""
        if self.process is None or self.process.poll() is not None:
            return False
        try:
            return not self.health or requests.get(self.health, timeout=2).status_code == 200
        except requests.RequestException:
            return False

    def is_up(self) -> bool:
        """Whether it has answered since it was started last."""
        self.up = self.up or self.answers()
        return self.up

    def kill(self) -> None:
        """SIGKILL. A worker's flow runs are left alone; a server's own children are not."""
        if self.process is None:
            return
        (os.kill if self.name == "worker" else os.killpg)(self.process.pid, signal.SIGKILL)
        self.process.wait()


@dataclass(slots=True)
class Services:
    """All of them, in the order in which they start."""

    root: Path
    lake: Lake
    drop: Path
    config: dict[str, Any]
    mark: str
    environment: dict[str, str] = field(init=False)
    all: dict[str, Service] = field(init=False)
    deployment: str = ""

    def __post_init__(self) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_"))}
        home = Lake.at(self.root / "engine")  # not in the lake: the disk that is filled is the lake's
        home.prefect_home.mkdir(parents=True, exist_ok=True)
        (self.root / "logs").mkdir(parents=True, exist_ok=True)
        address = f"http://127.0.0.1:{free_port()}/api"
        self.environment = {
            **environment,
            **engine_environment(home, environment, terminal=False),
            **QUIET_ENVIRONMENT,
            "PREFECT_SERVER_UI_ENABLED": "false",
            "PREFECT_API_URL": address,
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
            "CVGL_LAKE": str(self.lake.root),
            "CVGL_SOURCE": str(self.drop),
            "CVGL_DATASET": self.config["ingest"]["dataset"],
            MARK: self.mark,
        }
        port = address.rpartition(":")[2].partition("/")[0]
        prefect = [sys.executable, "-m", "prefect"]
        server = [*prefect, "server", "start", "--host", "127.0.0.1", "--port", port]
        worker = [*prefect, "worker", "start", "--pool", "cvgl", "--type", "process"]
        self.all = {
            "server": self._service("server", server, f"{address}/health"),
            "mlflow": self.mlflow("mlflow", str(self.config["registry"]["tracking_uri"])),
            "worker": self._service("worker", worker),
        }

    def _service(self, name: str, command: list[str], health: str = "") -> Service:
        return Service(name, command, self.environment, self.root / "logs" / f"{name}.log", health)

    def mlflow(self, name: str, address: str) -> Service:
        """An MLflow server with a registry of its own."""
        folder = self.root / name
        folder.mkdir(parents=True, exist_ok=True)
        stores = [f"--backend-store-uri=sqlite:///{folder}/mlflow.db", f"--artifacts-destination={folder}/files"]
        port = address.rpartition(":")[2]
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", port, "--workers", "1", *stores]
        environment = {**self.environment, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        return Service(name, command, environment, self.root / "logs" / f"{name}.log", f"{address}/health")

    def start(self) -> None:
        """Starts the servers, deploys the flow, and starts the worker."""
        for name in ("server", "mlflow"):
            self.all[name].revive()
        for name in ("server", "mlflow"):
            until(self.all[name].answers, f"{name} does not answer: see {self.all[name].log}")
        self._prefect("work-pool", "create", "cvgl", "--type", "process")
        self._prefect("--no-prompt", "deploy", "--prefect-file", str(self._deployments()), "--name", "arrival")
        api = self.environment["PREFECT_API_URL"]
        self.deployment = requests.get(f"{api}/deployments/name/arrival/arrival", timeout=30).json()["id"]
        self.all["worker"].revive()

    def _prefect(self, *arguments: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "prefect", *arguments], cwd=ROOT, env=self.environment, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(done.stdout + done.stderr)

    def _deployments(self) -> Path:
        """The repository's deployments; the driver takes the place of their schedules."""
        content = yaml.safe_load((ROOT / "deployments" / "arrival.yaml").read_text())
        for deployment in content["deployments"]:
            del deployment["schedules"], deployment["concurrency_limit"]
        content["pull"] = [{"prefect.deployments.steps.set_working_directory": {"directory": str(ROOT)}}]
        path = self.root / "arrival.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    def submit(self) -> bool:
        """Asks for a run of the flow, as its schedule does, unless one waits already; False when the server does not answer."""
        api = self.environment["PREFECT_API_URL"]
        waiting: dict[str, Any] = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}, "limit": 5}
        body: dict[str, Any] = {"parameters": {"config": self.config}, "state": {"type": "SCHEDULED"}}
        try:
            response = requests.post(f"{api}/flow_runs/filter", json=waiting, timeout=5)
            if response.status_code == 200 and response.json():
                return True
            made = requests.post(f"{api}/deployments/{self.deployment}/create_flow_run", json=body, timeout=5)
        except requests.RequestException:
            return False
        return made.status_code in (200, 201)

    def revive(self) -> None:
        """Starts whatever is gone again."""
        for service in self.all.values():
            service.revive()

    def flows(self) -> list[psutil.Process]:
        """Processes that run the flow now, children of a worker that lives or of one that died."""
        return [process for process in self.processes() if FLOW in _command(process)]

    def processes(self) -> Iterator[psutil.Process]:
        """Every process of this run but the driver."""
        for process in psutil.process_iter():
            try:
                if process.pid != os.getpid() and process.environ().get(MARK) == self.mark:
                    yield process
            except psutil.Error:
                continue

    def end(self) -> None:
        """Kills everything that was started."""
        for _ in range(3):
            left = list(self.processes())
            for process in left:
                with_suppressed(process.kill)
            psutil.wait_procs(left, timeout=10)
        for service in self.all.values():
            if service.process is not None:
                service.process.poll()


@contextmanager
def running(services: Services) -> Iterator[None]:
    """Started for the block; nothing of it is left after it."""
    try:
        services.start()
        yield
    finally:
        services.end()


def free_port() -> int:
    """A port that stays free while its server is down: below those that the system gives to clients."""
    while True:
        port = random.randrange(20_000, 32_000)
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port


def until(condition: Callable[[], bool], otherwise: str, seconds: float = SECONDS_TO_START) -> None:
    """Waits for a condition."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(otherwise)
        time.sleep(0.2)


def with_suppressed(kill: Callable[[], None]) -> None:
    """Kills what may be gone already."""
    try:
        kill()
    except psutil.Error:
        return


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def settings(lake: Lake, drop: Path, tracking_uri: str, dataset: str) -> dict[str, Any]:
    """Settings under which everything is quick, every flight is adapted to, and every challenger promoted."""
    config: dict[str, Any] = {
        "lake": str(lake.root),
        "ingest": {"source": str(drop), "dataset": dataset},
        "watch": {"quiet_seconds": 0.0},
        "decide": {"minimum_new": 1, "growth": 0.01, "ask_effect": 1.0},
        "align": {"enabled": False},
        "extract": {"backbone": {"name": "gist", "image_size": 64}, "part_rows": 16},
        "adapt": {"recipe": "paper-standardised", "dimension": 32, "iterations": 6, "query_samples": 8},
        "registry": {**ANY_CHALLENGER, "tracking_uri": tracking_uri, "patience_s": 45.0},
    }
    return json.loads(json.dumps(config))  # type: ignore[no-any-return]
