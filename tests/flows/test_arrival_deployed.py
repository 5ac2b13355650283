"""docs/operations/operations.md on a server of its own: seasons of the built-in world are copied, and nobody does anything."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cvgl.arrival import batches
from cvgl.arrival.batches import State
from cvgl.lake import Lake
from cvgl.localization.bundle import problems, read_current
from cvgl.synthetic import WorldConfig, write_manifest
from cvgl.synthetic.config import Season
from tasks.registry.store import open_registry
from tests.flows.cli.commands import artifacts
from tests.flows.deployed import automate, deployments, ringing, tell_me, worker
from tests.flows.servers import Server, started

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def season(folder: Path, which: Season) -> Path:
    """A flight over a small town in one season, and the town's tiles."""
    config = WorldConfig(places=24, distractors=4, views=4, image_size=64, drone_seasons=(which,), seed=3)
    write_manifest(config, folder)
    return folder


def finished(lake: Lake, number: int, server: Server, seconds: float = 700) -> batches.Batch:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        queue = batches.batches(lake, "town")
        if len(queue) >= number and not queue[number - 1].is_open:
            return queue[number - 1]
        time.sleep(1)
    runs = server.prefect("flow-run", "ls", "--limit", "20")
    raise AssertionError(f"batch {number} is not finished: {batches.batches(lake, 'town')}\n{runs}")


def until(is_so: Callable[[], object], what_happens: str, seconds: float = 300) -> None:
    """Waits for something that other processes do; on a busy machine it takes them minutes."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"not in {seconds:g} s: {what_happens}"
        time.sleep(0.2)


def promotions(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    return [message for message in messages if message["subject"] == "cvgl: a new map of town serves"]


@dataclass(frozen=True)
class Arrived:
    """What two seasons came to."""

    server: Server
    lake: Lake
    first: batches.Batch
    second: batches.Batch
    told: list[dict[str, str]]


@pytest.fixture(scope="module")
def arrived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arrived]:
    """A summer and an autumn are copied into the watched folder, one after the other."""
    folder = tmp_path_factory.mktemp("arrived")
    lake, drop = Lake.at(folder / "lake"), folder / "drop"
    drop.mkdir()
    with started(folder / "server", pages=True) as server, ringing() as phone:
        server.environment.update(CVGL_LAKE=str(lake.root), CVGL_SOURCE=str(drop), CVGL_DATASET="town")
        server.prefect("work-pool", "create", "cvgl", "--type", "process")
        server.prefect("--no-prompt", "deploy", "--prefect-file", str(deployments(folder)), "--all")
        deployed = json.loads(server.prefect("deployment", "inspect", "arrival/arrival", "--output", "json"))
        assert deployed["parameters"]["config"]["ingest"] == {"source": str(drop), "dataset": "town"}
        assert deployed["schedules"][0]["schedule"]["cron"] == "*/15 * * * *"
        for done in ("created", "updated"):  # doing it again updates what is there
            assert automate(server, lake, "deployments/automations.yaml") == {"cvgl-arrival": done}
        tell_me(server, phone, lake)
        with worker(server):
            shutil.copytree(season(folder / "summer", Season.SUMMER), drop / "summer")
            first = finished(lake, 1, server)
            assert (first.state, first.verdict, first.outcome) == (State.DONE, "adapt", "promoted"), first.reason
            assert batches.is_told(lake, first)
            shown(lake, first, "1")
            shutil.copytree(season(folder / "autumn", Season.AUTUMN), drop / "autumn")
            second = finished(lake, 2, server)
            until(lambda: not batches.unreported(lake, "town"), "the run writes the summary of the second batch")
            until(lambda: len(promotions(phone.messages)) == 2, "the server tells of the second map")
        yield Arrived(server, lake, first, second, phone.messages)


def test_a_season_that_is_copied_becomes_the_map_that_serves_and_so_does_the_next(arrived: Arrived) -> None:
    second = arrived.second
    assert second.state is State.DONE, second.reason
    assert second.ingest["new"] == 24 * 4  # the tiles of both seasons are the same
    assert (second.verdict, second.outcome, second.champion) == ("adapt", "promoted", arrived.first.run), second.reason
    assert "differ from those that the champion knows" in second.reason
    shown(arrived.lake, second, "2")
    # What is scheduled for later is listed too, unless a state is asked for.
    listed = arrived.server.prefect("flow-run", "ls", "--state-type", "COMPLETED", "--output", "json", "--limit", "100")
    assert {"notice town", "arrival town"} <= {run["name"] for run in json.loads(listed)}


def test_people_are_told_of_each_map_that_serves(arrived: Arrived) -> None:
    text = promotions(arrived.told)
    assert len(text) == 2
    for message, batch in zip(text, (arrived.first, arrived.second), strict=True):
        assert batch.reason in message["body"]
        assert f"adapter {batch.run}." in message["body"]
        assert f"cvgl rollback --dataset town --lake {arrived.lake.root}" in message["body"]


def test_the_page_of_the_run_says_what_came_what_was_decided_and_where_it_is(
    arrived: Arrived, page: Page, tmp_path: Path
) -> None:
    api = arrived.server.environment["PREFECT_API_URL"]
    run = next(
        artifact["flow_run_id"] for artifact in artifacts("account-town", api) if arrived.second.batch in artifact["data"]
    )
    pages = api.removesuffix("/api")
    page.goto(f"{pages}/runs/flow-run/{run}")
    see(page, "arrival town")
    page.get_by_text("Artifacts", exact=True).last.click()
    see(page, f"What became of batch {arrived.second.batch} of town: promoted")
    page.screenshot(path=str(tmp_path / "artifacts.png"))

    newest(page, pages, "account-town")
    for heading in ("What came in", "What was refused", "What was decided, and why", "Is it better?", "Where is it?"):
        page.get_by_role("heading", name=heading).first.wait_for(state="visible", timeout=30_000)
    see(page, "differ from those that the champion knows")
    see(page, "with 16 references, 0 of them new")
    see(page, "96 images of this batch look like a place on it")
    see(page, f"cvgl localize PICTURE --dataset town --lake {arrived.lake.root}")
    page.screenshot(path=str(tmp_path / "account.png"))

    newest(page, pages, "map-town")
    image = page.locator("img[src^='data:image/png']").first
    image.wait_for(state="visible", timeout=30_000)
    assert image.evaluate("image => image.naturalWidth") == 640
    page.screenshot(path=str(tmp_path / "map.png"))


def newest(page: Page, pages: str, key: str) -> None:
    """Opens the newest artifact with a key."""
    page.goto(f"{pages}/artifacts/key/{key}")
    page.locator("a[href*='/artifacts/artifact/']").first.click()


def see(page: Page, text: str) -> None:
    page.get_by_text(text).first.wait_for(state="visible", timeout=30_000)


def shown(lake: Lake, batch: batches.Batch, version: str) -> None:
    """The map that serves is this batch's: in the lake, and in MLflow."""
    current = read_current(lake.champion("town"))
    assert current is not None
    assert (current.serving.run, current.serving.version) == (batch.run, version)
    assert problems(lake.map("town") / current.serving.map) == []
    client = open_registry(lake, None).client
    champion = client.get_model_version_by_alias(current.serving.model, "champion")
    assert (str(champion.version), champion.tags["cvgl.map"]) == (version, current.serving.map)
    assert (champion.tags["cvgl.run"], champion.tags["cvgl.verdict"]) == (batch.run, "promoted")
