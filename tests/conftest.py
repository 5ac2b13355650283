"""Fixtures that every test folder uses."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cvgl.lake import Lake

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.data.layouts import Layouts


# What a person's shell, profile or proxy may hold, and no test may go by. $CVGL_SHARED says where the real imagery lies.
AMBIENT_PREFIXES = ("PREFECT_", "MLFLOW_", "CVGL_", "AWS_", "RAY_", "DASK_", "CLICOLOR", "_TYPER_")
AMBIENT_NAMES = frozenset(
    {"NO_COLOR", "FORCE_COLOR", "PY_COLORS", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "GITHUB_ACTIONS", "TERMINAL_WIDTH"}
    | {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"}
)
KEPT_NAMES = frozenset({"CVGL_SHARED", "CVGL_TEST_HOME"})
# Wide enough for any temporary folder's name on one line. Tests of narrow terminals set their own width.
COLUMNS = "1000"


def pytest_configure() -> None:
    """Gives the tests, and all that they start, an environment that holds nothing of whoever runs them."""
    isolate_environment()
    # A shell that starts the tests in the background has Ctrl-C ignored, by children too; some tests send it.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Widens the terminal for what tests print, and leaves pytest's own lines as wide as the real one."""
    if session.config.pluginmanager.hasplugin("terminalreporter"):
        writer = session.config.get_terminal_writer()
        writer.fullwidth = writer.fullwidth
    os.environ["COLUMNS"] = COLUMNS


def pytest_unconfigure() -> None:
    home = os.environ.get("CVGL_TEST_HOME")
    if home is not None and "PYTEST_XDIST_WORKER" not in os.environ:
        shutil.rmtree(home, ignore_errors=True)


def isolate_environment() -> None:
    """Takes the ambient settings out of this process's environment, and gives it an empty home."""
    for name in list(os.environ):
        is_ambient = name.upper() in AMBIENT_NAMES or name.upper().startswith(AMBIENT_PREFIXES)
        if is_ambient and name not in KEPT_NAMES:
            del os.environ[name]
    # One home for all workers, which are started with the environment of the process that collects.
    home = os.environ.get("CVGL_TEST_HOME") or tempfile.mkdtemp(prefix="cvgl-home-")
    os.environ.update(CVGL_TEST_HOME=home, HOME=home, TERM="dumb")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("longest") is None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a test printed or logged, in letters that xdist can send: names that are not UTF-8 hold some that it cannot."""
    report = yield
    report.sections = [(title, text.encode(errors="backslashreplace").decode()) for title, text in report.sections]
    return report


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
