"""Fixtures that every test folder uses."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cvgl.lake import Lake

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.data.layouts import Layouts


def pytest_configure() -> None:
    """Lets Ctrl-C reach what tests start: a shell that starts the tests in the background has it ignored, by children too."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("longest") is None)


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


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    """A page of a real browser."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no chromium in PATH (Debian: apt-get install chromium)")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (the dev extra has it)")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run", "--disable-sync"]
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch_persistent_context(
            str(tmp_path / "profile"),
            executable_path=chromium,
            headless=True,
            args=flags,
            viewport={"width": 1440, "height": 2600},
        )
        yield browser.new_page()
        browser.close()
