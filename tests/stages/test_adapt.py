"""The stage `adapt`: what it learns from, what it writes, and that no label reaches it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cvgl
from cvgl.adaptation import Adaptation
from cvgl.config import AdaptConfig, Layout
from cvgl.errors import ConfigError, DataError, LakeError
from cvgl.lake import Lake
from cvgl.stages.adapt import adapt
from cvgl.types import View
from tests.stages.lakes import DATASET, FINGERPRINT, Shot, town, write_features, write_images, write_truth

CONFIG = AdaptConfig(recipe="paper-standardised", dimension=16, iterations=5, query_samples=10, checkpoint_every=2)


def prepare(lake: Lake, shots: Any) -> Any:
    write_images(lake, shots)
    return write_features(lake, shots)


def contents(folder: Path) -> Any:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_an_adapter_appears_with_its_record(lake: Lake) -> None:
    shots = town()
    calls: list[Any] = []
    done: list[Any] = []
    outcome = adapt(prepare(lake, shots), CONFIG, lake, lambda *call: done.append(call[:2]), calls.append)
    assert (outcome.skipped, outcome.iterations, outcome.ref.kind, outcome.ref.name) == (False, 5, "adapter", outcome.run)
    assert outcome.run.startswith(f"{DATASET}-paper-standardised-")
    assert outcome.ref.path == lake.adapter(outcome.run)
    assert sorted(contents(outcome.ref.path)) == ["adapter.json", "adapter.safetensors"]
    record = json.loads((outcome.ref.path / "adapter.json").read_text())
    assert (record["run"], record["dataset"], record["features"]) == (outcome.run, DATASET, FINGERPRINT)
    assert (record["d0"], record["d"], record["query_view"]) == (12, 16, "drone")
    assert (record["training"]["n_queries"], record["training"]["n_references"]) == (24, 10)
    assert [entry["iteration"] for entry in record["history"]] == [1, 2, 3, 4, 5]
    assert done == [(iteration, 5) for iteration in range(1, 6)]
    assert tuple(calls) == Adaptation.load(outcome.ref.path).history


def test_the_second_time_everything_is_there(lake: Lake) -> None:
    features = prepare(lake, town())
    first = adapt(features, CONFIG, lake)
    before = contents(first.ref.path)
    calls: list[Any] = []
    second = adapt(features, CONFIG, lake, on_iteration=calls.append)
    assert second.skipped
    assert (second.ref, second.run, second.iterations) == (first.ref, first.run, first.iterations)
    assert contents(first.ref.path) == before
    assert not calls


@pytest.mark.parametrize("truth", ["none", "right", "shuffled"])
def test_ground_truth_changes_no_byte(tmp_path: Path, truth: Any) -> None:
    shots = town()
    reference = Lake.at(tmp_path / "without")
    expected = contents(adapt(prepare(reference, shots), CONFIG, reference).ref.path)
    lake = Lake.at(tmp_path / "with")
    features = prepare(lake, shots)
    if truth != "none":
        places = [shot.place for shot in shots]
        if truth == "shuffled":
            places = list(np.random.default_rng(0).permutation(np.array(places, object)))
        write_truth(lake, [Shot(**{**vars(shot), "place": str(place)}) for shot, place in zip(shots, places, strict=True)])
    assert contents(adapt(features, CONFIG, lake).ref.path) == expected


def test_the_order_in_which_images_came_changes_no_byte(tmp_path: Path) -> None:
    shots = town()
    results = []
    for name, order in (("forward", shots), ("backward", shots[::-1])):
        lake = Lake.at(tmp_path / name)
        results.append(contents(adapt(prepare(lake, order), CONFIG, lake).ref.path))
    assert results[0] == results[1]


def test_only_training_rows_are_learned_from(tmp_path: Path) -> None:
    shots = town()
    results = []
    others = [Shot("x1", "drone", ["query"], np.ones(12)), Shot("x2", "satellite", ["gallery"], np.ones(12))]
    for name, extra in (("without", []), ("with", others)):
        lake = Lake.at(tmp_path / name)
        results.append(contents(adapt(prepare(lake, shots + extra), CONFIG, lake).ref.path))
    assert results[0] == results[1]


def test_images_without_features_are_left_out(lake: Lake) -> None:
    shots = town()
    write_images(lake, [*shots, Shot("undecodable", "drone", ["query", "train"], None)])
    outcome = adapt(write_features(lake, shots), CONFIG, lake)
    assert Adaptation.load(outcome.ref.path).record.training.n_queries == 24


def test_runs_are_named_by_what_they_depend_on(tmp_path: Path) -> None:
    shots = town()
    lake = Lake.at(tmp_path / "lake")
    features = prepare(lake, shots)
    base = adapt(features, CONFIG, lake).run
    assert adapt(features, CONFIG.model_copy(update={"seed": 1}), lake).run != base
    assert adapt(features, CONFIG.model_copy(update={"temperature": 0.2}), lake).run != base
    assert adapt(features, CONFIG.model_copy(update={"query_view": View.DRONE}), lake).run == base
    assert adapt(features, CONFIG.model_copy(update={"checkpoint_every": 1}), lake).run == base
    other = Lake.at(tmp_path / "other")
    assert adapt(prepare(other, shots[:-1]), CONFIG, other).run != base


def test_several_query_views_need_a_choice(lake: Lake) -> None:
    shots = [
        *town(),
        *(Shot(f"g{i}", "ground", ["query", "train"], np.random.default_rng(i).normal(size=12)) for i in range(5)),
    ]
    features = prepare(lake, shots)
    with pytest.raises(ConfigError, match="drone, ground"):
        adapt(features, CONFIG, lake)
    outcome = adapt(features, CONFIG.model_copy(update={"query_view": View.GROUND}), lake)
    record = Adaptation.load(outcome.ref.path).record
    assert (record.query_view, record.training.n_queries) == (View.GROUND, 5)


@pytest.mark.parametrize(("view", "message"), [("drone", "no satellite"), ("satellite", "no drone or ground")])
def test_a_side_without_training_images_is_an_error(lake: Lake, view: View, message: str) -> None:
    features = prepare(lake, [shot for shot in town() if shot.view == view])
    with pytest.raises(DataError, match=message):
        adapt(features, CONFIG, lake)


def test_impossible_views_are_refused(lake: Lake) -> None:
    features = prepare(lake, town())
    with pytest.raises(ConfigError, match="reference side"):
        adapt(features, CONFIG.model_copy(update={"query_view": View.SATELLITE}), lake)
    with pytest.raises(DataError, match="no ground image"):
        adapt(features, CONFIG.model_copy(update={"query_view": View.GROUND}), lake)


def test_a_damaged_adapter_is_noticed(lake: Lake) -> None:
    features = prepare(lake, town())
    outcome = adapt(features, CONFIG, lake)
    (outcome.ref.path / "adapter.safetensors").write_bytes(b"broken")
    with pytest.raises(LakeError, match="damaged"):
        adapt(features, CONFIG, lake)


@pytest.mark.parametrize("leftover", ["adapter.safetensors", ".tmp-abc.safetensors"])
def test_what_a_killed_process_left_is_replaced(lake: Lake, tmp_path: Path, leftover: Any) -> None:
    shots = town()
    clean = Lake.at(tmp_path / "clean")
    expected = adapt(prepare(clean, shots), CONFIG, clean)
    folder = lake.adapter(expected.run)
    folder.mkdir(parents=True)
    (folder / leftover).write_bytes(b"half")
    outcome = adapt(prepare(lake, shots), CONFIG, lake)
    assert not outcome.skipped
    assert contents(outcome.ref.path) == contents(expected.ref.path)


KILLED = """
import os, signal, sys
from cvgl.config import AdaptConfig
from cvgl.lake import Lake
from cvgl.stages.adapt import adapt
from cvgl.types import ArtifactRef
from pathlib import Path
root, path, digest, name = sys.argv[1:]
config = AdaptConfig(recipe="paper-standardised", dimension=16, iterations=5, query_samples=10, checkpoint_every=2)
def kill(metrics):
    if metrics.iteration == 4:
        os.kill(os.getpid(), signal.SIGKILL)
adapt(ArtifactRef("features", Path(path), digest, name), config, Lake.at(root), on_iteration=kill)
"""


@pytest.mark.slow
def test_killed_and_run_again_ends_in_the_same_bytes(lake: Lake, tmp_path: Path) -> None:
    shots = town()
    clean = Lake.at(tmp_path / "clean")
    expected = adapt(prepare(clean, shots), CONFIG, clean)
    features = prepare(lake, shots)
    arguments = [str(lake.root), str(features.path), features.digest, features.name]
    process = subprocess.run([sys.executable, "-c", KILLED, *arguments], cwd=Path(cvgl.__file__).parents[1], check=False)
    assert process.returncode == -signal.SIGKILL
    assert (lake.adapter(expected.run) / "checkpoint.safetensors").exists()
    outcome = adapt(features, CONFIG, lake)
    assert contents(outcome.ref.path) == contents(expected.ref.path)


ROBUST = AdaptConfig(recipe="robust")


def flown(order: Any = None, **changes: Any) -> Any:
    """The town, whose drone images are one flight over it."""
    shots = town()
    flight = [shot for shot in shots if shot.view == "drone"]
    for place, number in enumerate(order if order is not None else range(len(flight))):
        taken = datetime(2024, 5, 1, 12, 0, number, tzinfo=UTC)
        flight[place].position = {"sequence": "flight", "captured_at": taken, **changes}
    return shots


def trained(lake: Lake, shots: Any, config: Any = ROBUST) -> Any:
    outcome = adapt(prepare(lake, shots), config, lake)
    return outcome, Adaptation.load(outcome.ref.path).record


def test_robust_is_the_default_and_says_how_it_went(lake: Lake) -> None:
    outcome, record = trained(lake, town(), AdaptConfig())
    assert outcome.run.startswith(f"{DATASET}-robust-")
    assert (record.d, outcome.iterations) == (12, 5)
    assert record.check.measure == "mutual_share"
    assert record.training.trajectories_digest is None


def test_images_taken_in_a_row_are_learned_from_as_such(lake: Lake) -> None:
    shots = flown()
    calls: list[Any] = []
    outcome, record = trained(lake, shots)
    assert record.check.measure == "course_gain"
    assert record.training.trajectories_digest is not None
    before = contents(outcome.ref.path)
    again = adapt(write_features(lake, shots), ROBUST, lake, on_iteration=calls.append)
    assert again.skipped
    assert again.run == outcome.run
    assert not calls
    assert contents(again.ref.path) == before


def test_names_of_runs_follow_the_order_of_images_and_the_map(tmp_path: Path) -> None:
    def run(name: str, shots: Any, config: Any = ROBUST) -> Any:
        return trained(Lake.at(tmp_path / name), shots, config)[0].run

    moved, unknown = flown(), flown()
    moved[0].position = {"latitude": 50.5, "longitude": 4.0}
    next(shot for shot in unknown if shot.view == "satellite").position = None
    alone = run("alone", town())
    runs = {alone, run("flown", flown()), run("backwards", flown(range(24)[::-1])), run("moved", moved)}
    assert len(runs) == 4
    assert run("unknown", unknown) == alone  # a tile of unknown position: no trajectory
    assert run("paper", flown(), CONFIG) == run("paper alone", town(), CONFIG)


def test_flights_are_learned_from_in_the_same_bytes_whatever_order_images_came_in(tmp_path: Path) -> None:
    results = []
    for name, order in (("forward", 1), ("backward", -1)):
        outcome, _ = trained(Lake.at(tmp_path / name), flown()[::order])
        results.append(contents(outcome.ref.path))
    assert results[0] == results[1]


@pytest.mark.parametrize("truth", ["right", "shuffled"])
def test_ground_truth_changes_no_byte_of_a_flight(tmp_path: Path, truth: Any) -> None:
    shots = flown()
    expected = contents(trained(Lake.at(tmp_path / "without"), shots)[0].ref.path)
    lake = Lake.at(tmp_path / "with")
    features = prepare(lake, shots)
    rng = np.random.default_rng(0)
    names = [shot.place for shot in shots]
    places = names if truth == "right" else rng.permutation(names)
    there = [{"latitude": 50.0, "longitude": 4.0 + rng.random()} for _ in shots]
    write_truth(
        lake,
        [Shot(**{**vars(shot), "place": str(p), "truth": t}) for shot, p, t in zip(shots, places, there, strict=True)],
    )
    assert contents(adapt(features, ROBUST, lake).ref.path) == expected


def test_layout_is_of_no_concern(lake: Lake) -> None:
    write_images(lake, town(), Layout.UNIVERSITY1652)
    assert adapt(write_features(lake, town()), CONFIG, lake).iterations == 5
