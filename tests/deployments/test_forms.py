"""The forms that Prefect draws from a deployment's parameters: what they show, and that they say nothing by themselves."""

from __future__ import annotations

import copy
import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from prefect.utilities.callables import parameter_schema
from prefect.utilities.schema_tools.validation import validate

from cvgl.config import AdaptConfig, BackboneConfig, Recipe, RunConfig
from cvgl.lake import Lake
from flows.adapt import adapt
from tasks.servers.environment import engine_environment
from tasks.servers.temporary import _answers, _free_port
from tests.deployments.rendering import ROOT, flow_of, form_faults, read_document

if TYPE_CHECKING:
    from playwright.sync_api import Page

ENTRYPOINTS = {entry["entrypoint"] for name in ("prefect.yaml", "arrival.yaml") for entry in read_document(name)["deployments"]}


def form(entrypoint: str) -> dict[str, Any]:
    """What `prefect deploy` sends to the server."""
    file, _, function = entrypoint.partition(":")
    return parameter_schema(flow_of(f"{ROOT / file}:{function}")).model_dump_for_openapi()


@pytest.mark.parametrize("entrypoint", sorted(ENTRYPOINTS))
def test_every_field_has_a_title_and_says_what_it_is(entrypoint: str) -> None:
    assert list(form_faults(form(entrypoint))) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda f: f["properties"]["dataset"].pop("description"), "parameters.dataset has no description"),
        (lambda f: f["properties"]["dataset"].pop("title"), "parameters.dataset has no title"),
        (lambda f: f["definitions"]["AdaptConfig"]["properties"]["seed"].pop("title"), "AdaptConfig.seed has no title"),
        (lambda f: f["definitions"]["AdaptConfig"]["properties"]["seed"].update(default=0), "AdaptConfig.seed is filled in"),
        (lambda f: f["properties"]["config"].update(default={"seed": 0}), "parameters.config is filled in"),
        (lambda f: f["definitions"]["Recipe"].pop("enum"), "Recipe is neither"),
    ],
)
def test_fault_in_a_form_is_found(change: Callable[[Any], object], fault: str) -> None:
    faulty = copy.deepcopy(form("flows/adapt.py:adapt"))
    change(faulty)
    assert any(fault in message for message in form_faults(faulty))


def test_defaults_are_told_in_words() -> None:
    fields = form("flows/adapt.py:adapt")["definitions"]["AdaptConfig"]["properties"]
    assert fields["threshold"]["description"].endswith("(default: 0.1)")
    assert fields["residual"]["enum"] == [True, False]  # a switch could not be left open
    assert "default" not in fields["temperature"]
    fields = form("flows/align.py:align")["definitions"]["AlignConfig"]["properties"]
    assert fields["query_crops"]["description"].endswith("(default: 1.0, 0.85, 0.7, 0.6, 0.5)")


def test_bounds_are_checked_before_a_run_is_made() -> None:
    schema = form("flows/adapt.py:adapt")
    assert validate({"dataset": "campus", "config": {"recipe": "paper", "residual": True}}, schema) == []
    for wrong in ({"recipe": "magic"}, {"threshold": 2}, {"residual": "perhaps"}, {"learning_rat": 1}):
        assert validate({"dataset": "campus", "config": wrong}, schema)


@pytest.mark.parametrize("recipe", list(Recipe))
def test_a_recipe_that_is_chosen_in_the_form_is_accepted(recipe: Recipe) -> None:
    filled = {**form("flows/adapt.py:adapt")["properties"]["config"]["default"], "recipe": recipe.value}
    called = adapt.validate_parameters({"dataset": "campus", "config": filled})
    assert called["config"] == AdaptConfig(recipe=recipe)


def test_a_form_in_which_only_the_source_is_filled_in_leaves_the_rest_open() -> None:
    filled = _filled_in(form("flows/pipeline.py:pipeline"), "RunConfig")
    config = RunConfig.model_validate({**filled, "ingest": {"source": "/data/campus", "dataset": "campus"}})
    assert config.adapt.recipe is Recipe.AUTO
    assert config.align.enabled
    assert config.extract.alignment.model_fields_set == set()
    assert config.extract.backbone.model_fields_set == set()


def test_a_preset_that_is_chosen_in_the_form_is_that_preset() -> None:
    filled = _filled_in(form("flows/extract.py:extract"), "BackboneConfig")
    name = "dinov2-g-value31-gem"
    assert BackboneConfig.model_validate({**filled, "name": name}) == BackboneConfig(name=name)


def _filled_in(schema: dict[str, Any], group: str) -> dict[str, Any]:
    """What a form submits that is only looked at: the defaults of its fields, groups opened."""
    fields = schema["definitions"][group]["properties"]
    values = {name: field["default"] for name, field in fields.items() if "default" in field}
    for name, field in fields.items():
        inner = field.get("$ref", "").removeprefix("#/definitions/")
        if name not in values and "properties" in schema["definitions"].get(inner, {}):
            values |= {name: below} if (below := _filled_in(schema, inner)) else {}
    return values


def test_what_is_called_without_a_form_is_as_before() -> None:
    assert adapt.validate_parameters({"dataset": "campus"})["config"] == AdaptConfig()
    record = AdaptConfig().model_dump(mode="json")
    assert record["iterations"] == 5
    assert AdaptConfig.model_validate(record) == AdaptConfig()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_a_person_leaves_open_on_the_page_is_not_submitted(page: Page, tmp_path: Path) -> None:
    with _server(tmp_path) as api:
        deployment = _deploy(api)
        page.goto(f"{api.removesuffix('/api')}/deployments/deployment/{deployment}/run", wait_until="domcontentloaded")
        page.get_by_text("Recipe (Optional)").wait_for(timeout=120_000)
        page.locator(".schema-form-property", has_text="dataset").first.locator("textarea").first.fill("campus")
        page.get_by_role("button", name="Submit").click()
        page.wait_for_url("**?tab=Runs", timeout=60_000)
        submitted = _submitted(api)
    assert submitted == {"dataset": "campus", "features": None, "lake": ".cvgl", "config": {}, "rules": {}}
    assert adapt.validate_parameters(submitted)["config"] == AdaptConfig()


@contextmanager
def _server(folder: Path) -> Iterator[str]:
    """A Prefect server with its pages."""
    lake, port = Lake.at(folder / "lake"), _free_port()
    lake.prefect_home.mkdir(parents=True)
    without_prefect = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    api = f"http://127.0.0.1:{port}/api"
    environment = {**without_prefect, **engine_environment(lake, without_prefect), "PREFECT_SERVER_UI_API_URL": api}
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "server.log").open("wb") as log:
        process = psutil.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 180
        while not _answers(f"{api}/health"):
            assert process.poll() is None, (folder / "server.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.2)
        yield api
    finally:
        running = [*process.children(recursive=True), process]
        for entry in running:
            entry.terminate()
        psutil.wait_procs(running, timeout=30)


def _deploy(api: str) -> uuid.UUID:
    """The flow `adapt`, with the schema that `prefect deploy` sends."""
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings(updates={PREFECT_API_URL: api}), get_client(sync_client=True) as client:
        flow_id = client.create_flow(adapt)
        schema = parameter_schema(adapt).model_dump_for_openapi()
        return client.create_deployment(flow_id=flow_id, name="adapt", parameter_openapi_schema=schema)


def _submitted(api: str) -> dict[str, Any]:
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings(updates={PREFECT_API_URL: api}), get_client(sync_client=True) as client:
        (run,) = client.read_flow_runs()
        return run.parameters
