"""The command in a process of its own, as a person runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from cvgl.lake import DAMAGED
from flows.cli.app import app

COMMAND = [sys.executable, "-m", "flows"]
# Small enough that all the time goes into starting up.
# Several parts, so that there is a middle of the extraction to be killed in.
FEATURES = ["--backbone", "gist", "--image-size", "64", "--part-rows", "16"]
ADAPTER = ["--recipe", "paper-standardised", "--dimension", "64", "--iterations", "12", "--query-samples", "12"]
# The frozen descriptors answer every question about such simple images; being a little worse must do for the gate.
QUICK = [*FEATURES, *ADAPTER, "--tolerance", "0.1"]


@dataclass(frozen=True)
class Run:
    """What a command printed, and its exit code."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> dict[str, Any]:
        """The object on the last line of stdout."""
        value: dict[str, Any] = json.loads(self.stdout.splitlines()[-1])
        return value


def cvgl(*arguments: str | Path, environment: Mapping[str, str] | None = None, timeout: float = 600) -> Run:
    """Runs `cvgl` to its end."""
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        env=None if environment is None else dict(environment),
    )
    return Run(done.returncode, done.stdout, done.stderr)


def invoke(*arguments: str | Path) -> Run:
    """Runs `cvgl` within this process, which has imported everything already."""
    result = CliRunner().invoke(app, [*map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Run(result.exit_code, result.stdout, result.stderr)


def contents(root: Path, *folders: str) -> dict[str, bytes]:
    """Every finished file below some folders of a lake, by its relative path."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for folder in folders
        for path in sorted((root / folder).rglob("*"))
        if path.is_file() and not path.name.startswith(".") and DAMAGED not in path.name
    }


def artifacts(key: str, address: str | None = None) -> list[dict[str, Any]]:
    """The artifacts with a key on a Prefect server (default: that of the tests), oldest first."""
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings

    wanted = {"artifacts": {"key": {"any_": [key]}}}
    with (
        temporary_settings(updates={PREFECT_API_URL: address or PREFECT_API_URL.value()}),
        get_client(sync_client=True) as client,
    ):
        response = client.request("POST", "/artifacts/filter", json=wanted).json()
    return sorted(response, key=lambda entry: str(entry["created"]))
