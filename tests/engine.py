"""One Prefect server for all tests of a session that need one: starting it costs more than any of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cvgl.lake import Lake
from tasks.servers.environment import apply_environment
from tasks.servers.temporary import temporary_server


@contextmanager
def engine_server(root: Path) -> Iterator[str]:
    """The address of its API, set for this process and those that it starts."""
    import pytest

    lake = Lake.at(root)
    with pytest.MonkeyPatch.context() as patch:
        environment: dict[str, str] = {}
        apply_environment(lake, environment)
        for name, value in environment.items():
            patch.setenv(name, value)
        with temporary_server(lake) as server:
            from prefect.settings import PREFECT_API_URL, temporary_settings

            from flows.cli.engine import deliver

            patch.setenv("PREFECT_API_URL", server.url())
            with temporary_settings(updates={PREFECT_API_URL: server.url()}):
                yield server.url()
                deliver()
