"""`cvgl align`, and `cvgl run` on images whose views show different ground."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.data.views import unaligned
from tests.flows.cli.commands import ADAPTER, contents, invoke
from tests.flows.conftest import Finished

pytestmark = pytest.mark.timeout(900)
SMALL = ["--image-size", "32", "--align-passes", "1200"]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unaligned(tmp_path_factory.mktemp("unaligned") / "pictures", train=30, test=20)


def test_too_few_images_are_said_and_change_nothing(finished: Finished) -> None:
    run = invoke("align", "--dataset", "tiny", "--lake", finished.lake, "--image-size", "64", "--json")
    assert run.code == 0, run.stderr
    assert run.json["skipped"], "the run has asked before"
    assert "too few" in run.json["reason"]
    assert finished.run.json["alignment"] == run.json["reason"]
    assert run.json["extract"] == {"backbone": {"image_size": 64}}


@pytest.mark.slow
def test_the_choice_is_shown_and_its_options_lead_to_the_features_of_a_run(
    prefect_api: str, source: Path, tmp_path: Path
) -> None:
    common_options = ("--dataset", "town", "--lake", tmp_path / "lake")
    assert invoke("ingest", source, *common_options).code == 0
    chosen = invoke("align", *common_options, *SMALL, "--json")
    assert chosen.code == 0, chosen.stderr
    assert chosen.json["extract"]["alignment"]["query_crop"] < 0.8
    assert 0 < chosen.json["passes"] <= 1200
    completed = invoke("align", *common_options, *SMALL)
    assert "(chosen)" in completed.stdout
    assert "cvgl extract --dataset town" in completed.stdout
    extracted = invoke("extract", *common_options, *chosen.json["options"], "--json")
    assert extracted.code == 0, extracted.stderr
    evidence = json.loads(Path(chosen.json["path"]).read_text())
    assert extracted.json["features"] == evidence["features"]


@pytest.mark.slow
def test_a_run_aligns_by_default_says_so_and_can_be_told_not_to(prefect_api: str, source: Path, tmp_path: Path) -> None:
    runs = {}
    for name, options in (("aligned", ()), ("plain", ("--no-align",))):
        line = ("run", "--source", source, "--dataset", "town", "--lake", tmp_path / name, *SMALL, *ADAPTER, *options, "--json")
        runs[name] = invoke(*line).json
        recall = {metric["direction"]: metric["recall"]["1"] for metric in runs[name]["metrics"] if metric["stage"] == "frozen"}
        runs[name]["recall"] = recall["drone_to_satellite"]
    aligned, plain = runs["aligned"], runs["plain"]
    assert "query crop" in aligned["alignment"]
    assert aligned["recall"] > plain["recall"] + 0.3
    assert plain["alignment"] == ""
    assert "align" in aligned["seconds"]
    assert "align" not in plain["seconds"]
    assert "Alignment of the views" in Path(aligned["report"]).read_text()
    assert "Alignment of the views" not in Path(plain["report"]).read_text()
    before = contents(tmp_path / "aligned", "alignments", "features", "reports")
    again = invoke("run", "--dataset", "town", "--lake", tmp_path / "aligned", *SMALL, *ADAPTER, "--json").json
    assert "align" in again["skipped"]
    assert contents(tmp_path / "aligned", "alignments", "features", "reports") == before
