"""`cvgl rollback` brings back what served before, with the very answers that it gave."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from cvgl.catalog import run_query
from cvgl.lake import Lake
from tests.flows.cli.commands import FEATURES, QUICK, contents, cvgl, invoke
from tests.flows.conftest import Finished

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
OTHER = [*FEATURES, *("--recipe", "paper-standardised", "--dimension", "24", "--iterations", "5", "--query-samples", "12")]
ANSWERS = "SELECT * FROM queries WHERE run = '{}' ORDER BY ALL"


def answers(lake: Lake, images: list[Path]) -> list[dict[str, Any]]:
    """What the map that serves says to some drone pictures."""
    completed = invoke("localize", *images, "--dataset", "tiny", "--lake", lake.root, "--json")
    assert completed.code == 0, completed.stderr
    placements: list[dict[str, Any]] = completed.json["placements"]
    return placements


def serving(lake: Lake) -> dict[str, Any]:
    row: dict[str, Any] = invoke("maps", "--dataset", "tiny", "--lake", lake.root, "--json").json["maps"][0]
    return row


def test_a_rollback_restores_the_answers_and_figures_of_before(finished: Finished, tmp_path: Path) -> None:
    lake = Lake.at(tmp_path / "lake")
    shutil.copytree(finished.lake, lake.root, ignore=shutil.ignore_patterns("prefect", "*.lock"))
    images = sorted((finished.source / "test" / "query_drone").glob("*/*"))[:12]
    command = ["run", "--source", str(finished.source), "--dataset", "tiny", "--lake", str(lake.root), "--json"]
    first = finished.run.json["run"]
    served, answers_before = serving(lake), answers(lake, images)
    figures = contents(lake.root, f"evaluations/{first}", f"adapters/{first}")
    rows = run_query(lake, ANSWERS.format(first)).rows
    assert (served["run"], len(rows) > 0) == (first, True)

    second = cvgl(*command, *OTHER, "--tolerance", "1")
    assert second.code == 0, second.stderr
    assert serving(lake)["run"] == second.json["run"] != first
    assert answers(lake, images) != answers_before

    back = invoke("rollback", "--dataset", "tiny", "--lake", lake.root, "--json")
    assert back.code == 0, back.stderr
    now = serving(lake)
    assert {name: now[name] for name in ("run", "map", "features", "version")} == {
        name: served[name] for name in ("run", "map", "features", "version")
    }
    assert answers(lake, images) == answers_before
    again = cvgl(*command, *QUICK)
    assert again.code == 0, again.stderr
    assert (again.json["run"], again.json["metrics"]) == (first, finished.run.json["metrics"])
    assert contents(lake.root, f"evaluations/{first}", f"adapters/{first}") == figures
    assert run_query(lake, ANSWERS.format(first)).rows == rows
    assert (serving(lake)["map"], answers(lake, images)) == (served["map"], answers_before)
