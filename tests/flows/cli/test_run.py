"""`cvgl run` and the commands that look at what it leaves behind, each in a process of its own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import httpx
import pytest

from tests.data.images import place_image, save
from tests.flows.cli.commands import ADAPTER, FEATURES, QUICK, artifacts, contents, cvgl, invoke
from tests.flows.conftest import Finished

pytestmark = pytest.mark.timeout(900)  # the first test waits for the server and for a whole run
STAGES = ["ingest", "align", "extract", "adapt", "evaluate", "register", "report"]
SAME_BYTES = ("images", "ground_truth", "quarantine", "features", "adapters", "evaluations")


def again(finished: Finished, *options: str) -> tuple[str, ...]:
    return (
        "run",
        "--source",
        str(finished.source),
        "--dataset",
        "tiny",
        "--lake",
        str(finished.lake),
        *QUICK,
        *options,
        "--json",
    )


def test_a_run_ends_with_the_object_of_the_contract(finished: Finished) -> None:
    assert finished.run.code == 0, finished.run.stderr
    assert len(finished.run.stdout.splitlines()) == 1  # logs and progress are on stderr
    answer = finished.run.json
    assert answer["lake"] == str(finished.lake)
    assert answer["verdict"] == "promoted"
    assert answer["reason"]
    assert list(answer["seconds"]) == STAGES
    assert answer["skipped"] == []
    # 12 + 8 + 3 satellite tiles; 3 drone images of each of the 12 + 8 + 3 places
    assert answer["images"]["ingested"] == 23 + 69
    assert answer["images"]["quarantined"] == 0
    assert [(each["view"], each["pictures"], each["with_position"]) for each in answer["views"]] == [
        ("drone", 69, 0),
        ("satellite", 23, 0),
    ]
    assert answer["passed_over"] == []
    assert Path(answer["report"]).read_text().lstrip().lower().startswith("<!doctype html>")
    questions = {(metric["stage"], metric["direction"]) for metric in answer["metrics"]}
    # Further rows say what inference adds, where the adapter and the images allow it.
    assert questions >= {
        (stage, direction)
        for stage in ("frozen", "standardised", "adapted")
        for direction in ("drone_to_satellite", "satellite_to_drone")
    }
    for metric in answer["metrics"]:
        assert set(metric["recall"]) == {"1", "5", "10", "1%"}
        assert all(0 <= rate <= 1 for rate in (*metric["recall"].values(), metric["ap"]))
        assert metric["protocol"]
        assert metric["protocol_hash"]
        assert metric["n_queries"] > 0
        assert metric["n_gallery"] > 0


def test_the_page_of_a_run_answers_what_people_ask(finished: Finished, prefect_api: str) -> None:
    """On the page of the whole run, not only on those of its stages."""
    answer = finished.run.json
    [page] = [
        artifact for artifact in artifacts("account-tiny", prefect_api) if f"--lake {finished.lake}`" in artifact["data"]
    ][:1]
    assert httpx.get(f"{prefect_api}/flow_runs/{page['flow_run_id']}").json()["name"] == "tiny/gist/seed 0"
    text = page["data"]
    parts = dict(part.split("\n\n", 1) for part in text.split("\n## ")[1:])
    assert list(parts) == ["What came in", "What was refused", "What was decided, and why", "Is it better?", "Where is it?"]
    assert "92 new images, 0 known; the dataset holds 92" in parts["What came in"]
    assert parts["What was refused"].strip() == "Nothing."
    assert f"alignment: {answer['alignment']}" in parts["What was decided, and why"]
    assert parts["Is it better?"].startswith(f"**promoted**: {answer['reason']}")
    assert "| adapted | drone_to_satellite |" in parts["Is it better?"]
    assert f"adapter `{answer['run']}`" in parts["Where is it?"]
    assert answer["report"] in parts["Where is it?"]
    assert "images of the dataset look like a place on it" in parts["Where is it?"]


def test_no_traceback_and_no_lock_noise_on_the_terminal(finished: Finished) -> None:
    assert "Traceback" not in finished.run.stderr
    assert "locked" not in finished.run.stderr
    assert "Error logging to API" not in finished.run.stderr


def test_a_second_run_skips_everything_and_changes_nothing(finished: Finished) -> None:
    before = contents(finished.lake, *SAME_BYTES, "reports")
    run = invoke(*again(finished))
    assert run.code == 0, run.stderr
    assert run.json["skipped"] == STAGES
    assert run.json["verdict"] == "unchanged"
    assert run.json["metrics"] == finished.run.json["metrics"]
    assert run.json["mlflow_run"] == finished.run.json["mlflow_run"]
    assert contents(finished.lake, *SAME_BYTES, "reports") == before


@pytest.mark.slow
def test_an_adapter_that_hurts_is_refused_with_exit_code_3(finished: Finished) -> None:
    run = invoke(*again(finished, "--dimension", "1", "--iterations", "1"))
    assert run.code == 3, run.stderr
    assert run.json["verdict"] == "refused"
    current = json.loads((finished.lake / "maps" / "dataset=tiny" / "current.json").read_text())
    assert current["serving"]["run"] == finished.run.json["run"]


def test_other_images_are_placed_on_the_map(finished: Finished, tmp_path: Path) -> None:
    images = [save(place_image(place, view=9), tmp_path / f"{place}.jpg") for place in (12, 13)]
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"not an image")
    run = invoke("localize", *images, broken, "--dataset", "tiny", "--lake", finished.lake, "--top-k", "3", "--json")
    assert run.code == 0, run.stderr
    first, second, third = run.json["placements"]
    assert [first["picture"], second["picture"]] == [str(path) for path in images]
    assert len(first["top_k"]) == 3
    assert first["adapter"] == finished.run.json["run"]
    assert third["problem"]


def test_the_lake_answers_questions(finished: Finished) -> None:
    sql = "SELECT view, count(*) AS n FROM images GROUP BY view ORDER BY view"
    run = invoke("query", sql, "--lake", finished.lake, "--format", "csv")
    assert run.code == 0, run.stderr
    assert run.stdout.splitlines() == ["view,n", "drone,69", "satellite,23"]
    run = invoke("query", sql, "--lake", finished.lake, "--json")
    assert run.json["rows"] == [{"view": "drone", "n": 69}, {"view": "satellite", "n": 23}]
    assert invoke("query", "DROP TABLE images", "--lake", finished.lake).code == 1


def test_an_unknown_run_names_the_ones_there_are(finished: Finished) -> None:
    run = invoke("report", "no-such-run", "--lake", finished.lake)
    assert run.code == 1
    assert finished.run.json["run"] in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.slow
def test_stage_by_stage_is_the_same_as_all_at_once(finished: Finished, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    common_options = ("--lake", str(lake), "--json")
    assert invoke("ingest", finished.source, "--dataset", "tiny", *common_options).json["images"]["new"] == 92
    assert invoke("extract", "--dataset", "tiny", *FEATURES, *common_options).json["images"]["embedded"] == 92
    run = invoke("adapt", "--dataset", "tiny", *ADAPTER, *common_options).json["run"]
    assert run == finished.run.json["run"]
    evaluation = invoke("evaluate", run, *common_options)
    assert evaluation.code == 0, evaluation.stderr
    assert evaluation.json["metrics"] == finished.run.json["metrics"]
    assert contents(lake, "features", "adapters") == contents(finished.lake, "features", f"adapters/{run}")
    assert Path(invoke("report", run, *common_options).json["report"]).is_file()
    # The dataset remembers where it came from, and everything up to the registry is finished. The gate's verdict is news.
    everything = invoke("run", "--dataset", "tiny", *QUICK, *common_options)
    assert everything.code == 0, everything.stderr
    assert everything.json["skipped"] == ["ingest", "extract", "adapt", "evaluate"]


@pytest.mark.slow
def test_good_images_of_a_bad_folder_go_through(finished: Finished, tmp_path: Path) -> None:
    source = shutil.copytree(finished.source, tmp_path / "pictures")
    drone = source / "train" / "drone" / "0000"
    (drone / "empty.jpeg").write_bytes(b"")
    (drone / "text.jpeg").write_text("hello")
    whole = (drone / "image-01.jpeg").read_bytes()
    (drone / "cut.jpeg").write_bytes(whole[: len(whole) // 2])
    (drone / "outside.jpeg").symlink_to("/etc/hostname")
    run = invoke("run", "--source", source, "--dataset", "tiny", "--lake", tmp_path / "lake", *QUICK, "--json")
    assert run.code in (0, 3), run.stderr
    assert run.json["images"]["quarantined"] == 4
    assert run.json["images"]["ingested"] == finished.run.json["images"]["ingested"]
    assert run.json["metrics"] == finished.run.json["metrics"]
    rows = invoke("query", "FROM quarantine", "--lake", tmp_path / "lake", "--json").json["rows"]
    assert len(rows) == 4
    assert all(row["reason"] and row["detail"] for row in rows)


@pytest.mark.slow
def test_the_champion_is_moved_by_hand_and_back(finished: Finished, tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    shutil.copytree(finished.lake, lake, ignore=shutil.ignore_patterns("mlflow", "maps", "prefect"))
    first = invoke("run", "--dataset", "tiny", "--lake", lake, *QUICK, "--json").json["run"]
    second = invoke("run", "--dataset", "tiny", "--lake", lake, *QUICK, "--dimension", "1", "--json")
    assert second.code == 3
    assert invoke("promote", second.json["run"], "--lake", lake, "--json").json["run"] == second.json["run"]
    assert invoke("rollback", "--dataset", "tiny", "--lake", lake, "--json").json["run"] == first
    refused = invoke("rollback", "--dataset", "tiny", "--lake", lake)
    assert refused.code == 1
    assert "Traceback" not in refused.stderr


def test_a_missing_source_is_said_in_three_lines(prefect_api: str, tmp_path: Path) -> None:
    run = invoke("run", "--source", tmp_path / "nowhere", "--dataset", "tiny", "--lake", tmp_path / "lake")
    assert run.code == 1
    assert run.stdout == ""
    assert "nowhere" in run.stderr
    assert "to do:" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.slow
@pytest.mark.longest
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("backbone", "weights"),
    [("vit_tiny_patch16_224", "vit_tiny_patch16_224"), ("swin_tiny_patch4_window7_224", "swin_tiny_stage3")],
)
def test_real_images_and_a_real_backbone(prefect_api: str, shared: Path, tmp_path: Path, backbone: str, weights: str) -> None:
    run = cvgl(
        *("run", "--source", shared / "data" / "university_mini", "--dataset", "university_mini", "--backbone", backbone),
        *("--checkpoint", shared / "weights" / f"{weights}.safetensors", "--align-samples", "64"),
        *("--align-passes", "1500"),
        *("--lake", tmp_path / "lake", "--json"),
        timeout=1100,
    )
    assert run.code == 0, run.stderr
    assert len(run.stdout.splitlines()) == 1
    recall = {(metric["stage"], metric["direction"]): metric["recall"]["1"] for metric in run.json["metrics"]}
    for direction in ("drone_to_satellite", "satellite_to_drone"):
        assert recall["adapted", direction] > recall["frozen", direction]
