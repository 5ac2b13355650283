"""`cvgl ui`'s servers, and what a person sees in a browser after a run."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from cvgl.config import RegisterConfig
from cvgl.lake import Lake
from tasks.registry.registration import RegisterOutcome, register
from tasks.servers import pages
from tasks.servers.pages import Pages, Server, running_pages, running_server
from tests.tasks.registry_lake import make_run

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = Path(__file__).parents[3]
NO_SERVER = Server("http://127.0.0.1:1", 2**22 + 1, 0.0)


def test_no_server_runs_for_a_new_lake(lake: Lake) -> None:
    assert running_server(lake) is None
    assert not pages.stop(lake)


@pytest.mark.parametrize("content", ["", "{", "{}", '{"prefect": 3, "mlflow": null}', '{"prefect": {"pid": 1}}'])
def test_pages_file_that_cannot_be_read_counts_as_none(lake: Lake, content: str) -> None:
    lake.prefect_home.mkdir(parents=True)
    (lake.prefect_home / "pages.json").write_text(content)
    assert running_server(lake) is None


def test_process_that_took_over_the_pid_is_not_the_server() -> None:
    own = psutil.Process()
    assert Server("", own.pid, own.create_time()).is_alive()
    assert not Server("", own.pid, own.create_time() - 100).is_alive()
    assert not NO_SERVER.is_alive()


def test_taken_port_gives_the_next_free_one_and_says_so() -> None:
    notes: list[str] = []
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        wanted = taken.getsockname()[1]
        port = pages._free_port(wanted, "MLflow", notes)
    assert wanted < port < wanted + pages.PORTS_TO_TRY
    assert notes == [f"port {wanted} is in use: MLflow's page is at port {port}"]


def test_server_that_does_not_start_is_told_with_its_last_words(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    command = [sys.executable, "-c", "print('the disk is full'); raise SystemExit(1)"]
    monkeypatch.setattr(pages, "_prefect_command", lambda port: command)
    monkeypatch.setattr(pages, "open_registry", lambda lake, uri: None)
    monkeypatch.setattr(pages, "_mlflow_command", lambda lake, port: [sys.executable, "-c", "import time; time.sleep(60)"])
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    with pytest.raises(pages.PagesError, match="ended while starting: the disk is full"):
        pages.start(lake)
    left = [child for child in psutil.Process().children(recursive=True) if child.pid not in before]
    assert [child for child in left if child.status() != psutil.STATUS_ZOMBIE] == []
    assert running_pages(lake) is None


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lake, Pages, subprocess.Popen[str], RegisterOutcome]]:
    """A lake with a registered run, and both servers started the way `cvgl ui` does."""
    lake = Lake.at(tmp_path_factory.mktemp("served") / "lake")
    process = _serve(lake)
    try:
        announced = _announced(process)
        assert announced["prefect"].startswith("http://127.0.0.1:")
        running = running_pages(lake)
        assert running is not None
        evaluation = make_run(lake, adapted=0.5)
        make_run(lake, adapted=0.3, seed=1)
        _run_flow(lake, evaluation.name)
        yield lake, running, process, register(evaluation, RegisterConfig(), lake, lambda run: [])
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(30)


def _serve(lake: Lake, port: int = 42_000) -> subprocess.Popen[str]:
    code = f"""
        import json
        from cvgl.lake import Lake
        from tasks.servers.pages import serve
        def announce(pages):
            found = {{"prefect": pages.prefect.url, "mlflow": pages.mlflow_url, "again": pages.already_running}}
            print(json.dumps(found), flush=True)
        serve(Lake.at("{lake.root}"), prefect_port={port}, mlflow_port={port + 1000}, announce=announce)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment)


def _announced(process: subprocess.Popen[str]) -> dict[str, str]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        _, errors = process.communicate(timeout=30)
        pytest.fail(errors)
    return dict(json.loads(line))


def _run_flow(lake: Lake, run: str) -> None:
    """A flow whose task registers, as `cvgl run` calls it: in its own process, against the lake's server."""
    code = f"""
        import os
        from pathlib import Path
        from cvgl.config import RegisterConfig
        from cvgl.lake import Lake
        from cvgl.summary import read_summaries
        from cvgl.types import ArtifactRef
        from tasks.servers.environment import apply_environment
        from tasks.servers.pages import running_server
        lake = Lake.at("{lake.root}")
        apply_environment(lake)
        os.environ["PREFECT_API_URL"] = running_server(lake)
        from prefect import flow
        from prefect.artifacts import create_image_artifact, create_table_artifact
        from tasks.artifacts import inline_image, metrics_rows
        from tasks.register import publish_report, register

        @flow(name="registration", flow_run_name="register {run}")
        def registration():
            evaluation = ArtifactRef("evaluation", lake.evaluation("{run}"), "x", "{run}")
            create_table_artifact(metrics_rows(read_summaries(evaluation.path)), key="metrics")
            create_image_artifact(inline_image(lake.report("{run}") / "figures" / "similarity.png"), key="figure")
            register(evaluation, RegisterConfig(), lake, lambda run: read_summaries(lake.evaluation(run)))
            publish_report("{run}", RegisterConfig(), lake)

        registration()
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], cwd=ROOT, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr


Served = tuple[Lake, Pages, "subprocess.Popen[str]", RegisterOutcome]


@pytest.mark.slow
def test_mlflow_page_shows_the_run_its_files_and_the_model(served: Served, page: Page, tmp_path: Path) -> None:
    _, running, _, outcome = served
    page.goto(outcome.page(running.mlflow_url))
    _see(page, outcome.run)
    _see(page, "drone_to_satellite")
    _see(page, "adapt.iterations")
    _image(page, tmp_path, "mlflow-run")

    page.get_by_role("tab", name="Artifacts").click()
    page.get_by_text("report", exact=True).click()
    page.get_by_text("index.html").click()
    page.frame_locator("iframe").get_by_text(f"Report of {outcome.run}").wait_for(timeout=30_000)
    _image(page, tmp_path, "mlflow-report")
    page.get_by_text("figures", exact=True).click()
    page.get_by_text("similarity.png").click()
    drawn = page.locator("img[alt='similarity.png'], .image-outer-container img, img[src^='blob:']").first
    drawn.wait_for(state="visible", timeout=30_000)
    _image(page, tmp_path, "mlflow-figure")

    page.goto(outcome.model_page(running.mlflow_url))
    _see(page, "champion")
    _see(page, "R@1 50.0%")
    _image(page, tmp_path, "mlflow-model")


@pytest.mark.slow
def test_prefect_page_shows_the_flow_run_and_its_artifacts(served: Served, page: Page, tmp_path: Path) -> None:
    _, running, _, outcome = served
    page.goto(f"{running.prefect.url}/runs")
    _see(page, f"register {outcome.run}")
    _image(page, tmp_path, "prefect-runs")
    page.get_by_text(f"register {outcome.run}").first.click()
    _see(page, "promoted: R@1 50.0%")  # the library's own log line
    _image(page, tmp_path, "prefect-run")
    page.get_by_text("Artifacts", exact=True).last.click()
    _see(page, "promoted: cvgl-town version 1")
    _image(page, tmp_path, "prefect-artifacts")

    page.goto(f"{running.prefect.url}/artifacts/key/gate-{outcome.run}")
    page.locator("a[href*='/artifacts/artifact/']").first.click()
    page.get_by_role("link", name="MLflow run").wait_for(timeout=30_000)
    _see(page, "R@1 50.0% against the frozen descriptors")
    _image(page, tmp_path, "prefect-gate")

    page.goto(f"{running.prefect.url}/artifacts/key/figure")
    page.locator("a[href*='/artifacts/artifact/']").first.click()
    image = page.locator("img[src^='data:image/png']").first
    image.wait_for(state="visible", timeout=30_000)
    assert image.evaluate("image => image.naturalWidth") == 360
    _image(page, tmp_path, "prefect-figure")


def _see(page: Page, text: str) -> None:
    page.get_by_text(text).first.wait_for(state="visible", timeout=30_000)


def _image(page: Page, folder: Path, name: str) -> None:
    page.wait_for_timeout(1000)  # charts draw after the text is there
    page.screenshot(path=str(folder / f"{name}.png"))


@pytest.mark.slow
def test_second_start_says_where_the_pages_are(served: Served) -> None:
    lake, running, _, _ = served
    assert running_server(lake) == f"{running.prefect.url}/api"
    second = _serve(lake, port=45_000)
    announced = _announced(second)
    assert (announced["prefect"], announced["mlflow"], announced["again"]) == (running.prefect.url, running.mlflow_url, True)
    assert second.wait(30) == 0
    assert running_server(lake) is not None


@pytest.mark.slow
def test_servers_listen_on_loopback_only_and_end_with_their_starter(served: Served) -> None:
    lake, running, process, _ = served
    family = [child for server in running.servers() for child in _family(server.pid)]
    listening = {
        address.laddr.ip for child in family for address in child.net_connections("inet") if address.status == "LISTEN"
    }
    assert listening == {"127.0.0.1"}
    process.send_signal(signal.SIGTERM)
    assert process.wait(40) == 0
    deadline = time.monotonic() + 10
    while any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in family):
        assert time.monotonic() < deadline, "a server has outlived its starter"
        time.sleep(0.2)
    assert running_server(lake) is None
    port = int(running.mlflow_url.rpartition(":")[2])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def _family(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


@pytest.mark.slow
def test_servers_of_a_killed_starter_are_replaced(lake: Lake) -> None:
    first = _serve(lake, port=46_000)
    _announced(first)
    before = running_pages(lake)
    assert before is not None
    first.kill()
    first.wait()
    second = _serve(lake, port=46_000)
    try:
        assert _announced(second)["again"] is False
        assert not any(server.is_alive() for server in before.servers())
    finally:
        second.send_signal(signal.SIGINT)
        assert second.wait(40) == 0
