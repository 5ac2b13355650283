"""The workflow engine's environment, in one place.

Prefect reads its settings when it is imported, so this module imports nothing of it and is applied first by every entry
point of ours: the command, the temporary server and `cvgl ui`. A variable that the user has set is never overridden.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping
from contextlib import suppress

from cvgl.lake import Lake

# Nothing of ours reports to anybody; the engine's and the registry's own reports are switched off with it.
_QUIET = {
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
    "PREFECT_TELEMETRY_ENABLE_RESOURCE_METRICS": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
}
_ENGINE = {
    # The library's own log lines belong on the run's page; its logger is set to INFO in tasks.observed.
    "PREFECT_LOGGING_EXTRA_LOGGERS": "cvgl",
    "PREFECT_LOGGING_LEVEL": "INFO",
    # A library function may also log outside of any run (a command that needs no flow): that is no reason for a warning.
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    # The artefact in the lake decides what is finished. Arrays and outcomes are never pickled by the engine.
    "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
    # One SQLite file, several writers (the flow, its log handler, the server's services): wait instead of giving up.
    "PREFECT_SERVER_DATABASE_TIMEOUT": "60",
    "PREFECT_SERVER_DATABASE_CONNECTION_TIMEOUT": "60",
    # Who holds a deployment's concurrency slot. Kept in memory only, a server that is killed leaves the slot taken for ever,
    # and `arrival` never starts again; on disk, it is given back when the lease has run out.
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    # Two busy cores need longer than the engine's 20 s to start a server.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
}
# What a server is started with: only its owner reads its database, in which parameters of runs, messages and blocks are.
PRIVATE_UMASK = 0o077
# Under our command the terminal shows our own lines; the engine's go to its page. A failure is told once, by the command.
_TERMINAL = {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL"}


def engine_environment(lake: Lake, environment: Mapping[str, str] = os.environ, *, terminal: bool = True) -> dict[str, str]:
    """The variables to add to `environment` for an engine that keeps its own state under `lake`.

    Args:
        lake: whose `prefect_home` holds the engine's database and settings.
        environment: what is set already, and stays.
        terminal: the process draws on a terminal itself, so the engine's log lines stay off it.
    """
    wanted = {"PREFECT_HOME": str(lake.prefect_home), **_QUIET, **_ENGINE, **(_TERMINAL if terminal else {})}
    return {name: value for name, value in wanted.items() if name not in environment} | _no_proxy_on_loopback(environment)


def server_environment(port: int, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables to add to `environment` for a server of Prefect on loopback: pages of other sites get nothing from it.

    By default it lets the page of any site read what it answers and send it requests.

    Args:
        port: that it listens on.
        environment: what is set already, and stays.
    """
    wanted = {
        "CORS_ALLOWED_ORIGINS": f"http://127.0.0.1:{port},http://localhost:{port}",
        "CSRF_PROTECTION_ENABLED": "true",
    }
    names = ("PREFECT_SERVER_", "PREFECT_SERVER_API_")  # either is read
    return {
        f"PREFECT_SERVER_{name}": value
        for name, value in wanted.items()
        if not any(f"{prefix}{name}" in environment for prefix in names)
    }


def protect_databases(lake: Lake) -> None:
    """Takes from others the right to read the databases of a lake, where they belong to the user."""
    for folder in (lake.prefect_home, lake.mlflow_database.parent):
        for path in folder.glob("*.db*"):
            with suppress(OSError):  # somebody else's, or gone
                mode = path.stat().st_mode
                if mode & PRIVATE_UMASK:
                    path.chmod(mode & 0o700)


def _no_proxy_on_loopback(environment: Mapping[str, str]) -> dict[str, str]:
    """Requests to the server on this machine must not go through a proxy that the environment names."""
    if not any(name.lower() in ("http_proxy", "all_proxy") for name in environment):
        return {}
    excepted = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    loopback = [host for host in ("127.0.0.1", "localhost") if host not in excepted.split(",")]
    hosts = ",".join([*filter(None, [excepted]), *loopback])
    return {"no_proxy": hosts, "NO_PROXY": hosts}


def apply_environment(lake: Lake, environment: MutableMapping[str, str] = os.environ) -> None:
    """Sets the variables for this process and those that it starts. To be called before prefect is imported."""
    environment.update(engine_environment(lake, environment))
    protect_databases(lake)
