"""Labels dealt out anew, and files renamed: `cvgl run` from ingestion to localisation gives the same bytes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cvgl.ingestion.ground_truth import read_ground_truth
from cvgl.ingestion.tables import read_images
from cvgl.lake import Lake, parquet_files, read_json, read_parquet
from tests.flows.cli.commands import contents, invoke
from tests.flows.towns import FEATURES, drones, empty_lake, rows, write_rows

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

RECIPES = ("robust", "auto")
# Everything that is learned, chosen, judged without labels, or served.
SAME = ("images", "features", "alignments", "adapters", "quality", "maps")
# Labels, what is computed from them, and the pages that show it.
MAY_DIFFER = ("ground_truth", "quarantine", "evaluations", "gate", "registrations", "reports", "mlflow")
# Who works on what, what was read, and from where: no pictures' content and no answer.
MACHINERY = ("cache", "locks", "prefect", "sources")
# A label is a place's name; a true position is a query's latitude and longitude. Both are only in these columns.
LABELS, TRUE_POSITION = ("location_id",), ("latitude", "longitude")


@dataclass(frozen=True)
class Done:
    """What `cvgl run` with each recipe, `cvgl promote` and `cvgl localize` left behind."""

    lake: Lake
    manifest: Path
    runs: Mapping[str, str]
    metrics: Mapping[str, Any]
    answers: Mapping[str, Any]

    def bytes_of(self, *folders: str) -> dict[str, bytes]:
        return contents(self.lake.root, *folders)


def everything(manifest: Path, lake: Lake, questions: Mapping[str, list[Path]]) -> Done:
    runs, metrics, answers = {}, {}, {}
    search = ("--align-passes", "400", "--align-samples", "24")
    for recipe in RECIPES:
        common_options = ("--dataset", "town", "--lake", str(lake.root))
        done = invoke("run", "--source", manifest, *common_options, *FEATURES, *search, "--recipe", recipe, "--json")
        assert done.code in (0, 3), done.stderr
        runs[recipe], metrics[recipe] = done.json["run"], done.json["metrics"]
        # What labels decide is whether an adapter serves, and nothing else: here a person does.
        assert invoke("promote", runs[recipe], "--lake", lake.root, "--json").code == 0
        for name, images in questions.items():
            how = () if name == "each" else (f"--{name}",)
            answers[f"{recipe}, {name}"] = invoke("localize", *images, *common_options, *how, "--json").json["placements"]
    return Done(lake, manifest, runs, metrics, answers)


@pytest.fixture(scope="module")
def questions(other_town: Path, town: Path) -> dict[str, list[Path]]:
    """Images outside of every source, so that they have the same names each time."""
    query_paths = [*drones(town)[-6:], *drones(other_town)[:2]]
    return {"each": query_paths, "together": query_paths[:2], "sequence": query_paths[:6]}


@pytest.fixture(scope="module")
def lakes(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Lake]:
    return empty_lake(tmp_path_factory.mktemp("lakes"))


@pytest.fixture(scope="module")
def source(town: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The town's manifest, to be rewritten in place: a source has one path, which the lake remembers."""
    folder = tmp_path_factory.mktemp("source") / "town"
    shutil.copytree(town.parent, folder)
    return folder / town.name


@pytest.fixture(scope="module")
def plain(source: Path, lakes: Callable[[str], Lake], prefect_api: str, questions: dict[str, list[Path]]) -> Done:
    return everything(source, lakes("plain"), questions)


@pytest.fixture(scope="module")
def relabelled(plain: Done, lakes: Callable[[str], Lake], questions: dict[str, list[Path]]) -> Done:
    """Places dealt out anew among all images of all subsets, under other names; true positions among all queries."""
    before = rows(plain.manifest)
    dealt = [dict(row) for row in before]
    rng = np.random.default_rng(7)
    for row, number in zip(dealt, rng.permutation(len(dealt)), strict=True):
        row.update({name: f"other-{before[number][name]}" for name in LABELS})
    query_rows = [number for number, row in enumerate(before) if row["view"] == "drone"]
    for number, other in zip(query_rows, rng.permutation(query_rows), strict=True):
        dealt[number].update({name: before[other][name] for name in TRUE_POSITION})
    write_rows(plain.manifest, dealt)
    done = everything(plain.manifest, lakes("relabelled"), questions)
    write_rows(plain.manifest, before)
    return done


@pytest.fixture(scope="module")
def names(plain: Done) -> dict[str, str]:
    """For each picture's path below the source, another one: the same folders and files, dealt out anew."""
    paths = sorted(row["path"] for row in rows(plain.manifest))
    dealt = np.random.default_rng(8).permutation(len(paths))
    return {path: f"mixed/{number:03d}.jpg" for path, number in zip(paths, dealt, strict=True)}


@pytest.fixture(scope="module")
def renamed(
    plain: Done, names: dict[str, str], lakes: Callable[[str], Lake], questions: dict[str, list[Path]], tmp_path_factory: Any
) -> Done:
    """The same images under names that say nothing, in rows of another order."""
    folder = tmp_path_factory.mktemp("renamed")
    (folder / "mixed").mkdir()
    for path, name in names.items():
        shutil.copy(plain.manifest.parent / path, folder / name)
    table = sorted(({**row, "path": names[row["path"]]} for row in rows(plain.manifest)), key=lambda row: row["path"])
    return everything(write_rows(folder / "manifest.csv", table), lakes("renamed"), questions)


def test_every_folder_of_the_lake_is_accounted_for(plain: Done) -> None:
    """What is written in a new place has to be put into one of the three lists, and so be compared or excused."""
    folders = {path.name for path in plain.lake.root.iterdir()}
    assert folders <= {*SAME, *MAY_DIFFER, *MACHINERY}
    assert folders >= {*SAME, "ground_truth", "evaluations", "registrations", "reports"}


def test_labels_dealt_out_anew_change_no_byte_of_what_is_learned_chosen_judged_or_served(plain: Done, relabelled: Done) -> None:
    # Different labels were there to be read, and evaluation, which may, has read them.
    assert plain.bytes_of("ground_truth") != relabelled.bytes_of("ground_truth")
    assert plain.metrics["robust"] != relabelled.metrics["robust"]
    assert any(metric["recall"]["1"] > 0.5 for metric in plain.metrics["robust"])
    assert plain.runs == relabelled.runs
    before, after = plain.bytes_of(*SAME), relabelled.bytes_of(*SAME)
    assert list(before) == list(after)
    assert [name for name, held in before.items() if after[name] != held] == []
    for recipe, run in plain.runs.items():
        assert any(name.startswith(f"adapters/{run}/adapter.safetensors") for name in before), recipe
        assert f"quality/{run}.json" in before
    assert f"adapters/{plain.runs['auto']}/selection.json" in before
    assert sum(name.endswith("/references.parquet") for name in before) == len(RECIPES)


@pytest.mark.parametrize("mode", ["each", "together", "sequence"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_labels_dealt_out_anew_change_no_answer(plain: Done, relabelled: Done, recipe: str, mode: str) -> None:
    ours, theirs = (json.dumps(done.answers[f"{recipe}, {mode}"]) for done in (plain, relabelled))
    assert ours == theirs
    assert '"top_k": [{' in ours


def test_an_image_under_another_name_is_the_same_image(plain: Done, renamed: Done, names: dict[str, str]) -> None:
    assert plain.runs == renamed.runs
    unnamed = ("features", "alignments", "adapters", "quality")
    before, after = plain.bytes_of(*unnamed), renamed.bytes_of(*unnamed)
    assert list(before) == list(after)
    assert [name for name, held in before.items() if after[name] != held] == []
    assert plain.metrics == renamed.metrics
    assert read_ground_truth(plain.lake, "town").equals(read_ground_truth(renamed.lake, "town"))
    # What holds names holds nothing else that differs. (A batch is called by a hash of its rows, names included.)
    named = dict(_names(plain, renamed, names))
    ours, theirs = (read_images(done.lake, "town").drop_columns(["batch"]).to_pylist() for done in (plain, renamed))
    assert [{**row, "uri": named[row["uri"]]} for row in ours] == theirs
    for recipe in RECIPES:
        ours, theirs = (_map(done, recipe) for done in (plain, renamed))
        assert [{**row, "uri": named[row["uri"]]} for row in ours] == theirs


@pytest.mark.parametrize("mode", ["each", "together", "sequence"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_answers_differ_in_the_names_alone(plain: Done, renamed: Done, names: dict[str, str], recipe: str, mode: str) -> None:
    ours, theirs = (json.dumps(done.answers[f"{recipe}, {mode}"]) for done in (plain, renamed))
    assert ours != theirs
    for before, after in _names(plain, renamed, names):
        ours = ours.replace(json.dumps(before), json.dumps(after))
    assert ours == theirs


def _names(plain: Done, renamed: Done, names: dict[str, str]) -> list[tuple[str, str]]:
    return [(str(plain.manifest.parent / path), str(renamed.manifest.parent / name)) for path, name in names.items()]


def _map(done: Done, recipe: str) -> list[dict[str, Any]]:
    """The references of the map that serves with a recipe's adapter, descriptors included."""
    current = read_json(done.lake.champion("town"))
    serving = next(entry for entry in (current["serving"], *current["before"]) if entry["run"] == done.runs[recipe])
    [path] = parquet_files(done.lake.map("town") / serving["map"])
    rows_read: list[dict[str, Any]] = read_parquet(path).to_pylist()
    return rows_read
