"""Fixtures that every test folder uses."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cvgl.lake import Lake

if TYPE_CHECKING:
    from tests.data.layouts import Layouts


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real imagery, weights and golden values; beside the checkout or at $CVGL_SHARED."""
    root = Path(os.environ.get("CVGL_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    if not (root / "golden").is_dir():
        pytest.skip(f"needs the real imagery and golden values, which are not at {root} (set CVGL_SHARED)")
    return root


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.at(tmp_path / "lake")


@pytest.fixture(scope="session")
def layouts(tmp_path_factory: pytest.TempPathFactory) -> Layouts:
    """Every published layout, drawn small, once for all tests and all workers."""
    from tests.data.layouts import Layouts

    base = tmp_path_factory.getbasetemp()
    return Layouts((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "layouts")


@pytest.fixture(scope="session")
def prefect_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prefect server that flows and tasks called in tests, and commands started by them, report to."""
    from tests.engine import engine_server

    with engine_server(tmp_path_factory.mktemp("engine")) as address:
        yield address
