"""Experiments on lakes made by hand: rows with descriptors, places and no pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from cvgl.errors import ConfigError, DataError
from cvgl.experiments import experiments, learners
from cvgl.experiments.experiments import Configuration, Experiment, Learner, Sampling
from cvgl.experiments.material import load_material, training_places
from cvgl.experiments.reproduce import ReproduceOutcome, reproduce
from cvgl.experiments.results import Spread, schema
from cvgl.experiments.settings import Overrides
from cvgl.lake import Lake, read_json
from cvgl.types import ArtifactRef
from tests.experiments.towns import PROTOCOL, config, prepared, split_town
from tests.flows.cli.commands import contents
from tests.stages.lakes import DATASET, write_truth


def recall(outcome: ReproduceOutcome, name: str, direction: str = "drone_to_satellite") -> float:
    row = next(row for row in outcome.result.configurations if row.name == name)
    by_direction = row.direction(direction)
    assert by_direction is not None
    return by_direction.recall["1"].mean


def test_table_vi_is_measured_in_both_directions_and_written(lake: Lake) -> None:
    outcome = reproduce(prepared(lake, split_town()), config(), lake)
    rows = {row.name: row for row in outcome.result.configurations}
    assert len(rows) == 9
    assert {direction.direction for direction in rows["frozen"].directions} == {"drone_to_satellite", "satellite_to_drone"}
    assert rows["frozen"].seeds == ()
    assert rows["frozen"].directions[0].recall["1"].deviation is None
    assert rows["EMPL + AIC"].seeds == (0, 1)
    assert len(rows["EMPL + AIC"].directions[0].recall["1"].values) == 2
    assert rows["EMPL + AIC"].settings["iterations"] == 8
    assert [name for name, row in rows.items() if row.uses_ground_truth] == [
        "supervised upper bound",
        "view-standardised, supervised",
    ]
    # The views lie off by one shift, which is what standardising removes.
    assert recall(outcome, "frozen") < 0.7
    assert recall(outcome, "view-standardised") > 0.9
    assert read_json(outcome.ref.path / "results.json") == outcome.result.model_dump(mode="json")
    table = pq.read_table(outcome.ref.path / "results.parquet")
    assert table.schema.equals(schema())
    assert table.num_rows == (2 + 7 * 2) * 2 * (5 + 3)  # recall and AP; the town has positions, too
    published = {(row["configuration"], row["metric"]): row["published"] for row in table.to_pylist() if row["published"]}
    assert published["EMPL", "AP"] == 0.7379
    assert {row["direction"] for row in table.to_pylist() if row["published"]} == {"drone_to_satellite"}


def test_means_and_deviations_are_over_the_seeds() -> None:
    spread = Spread.of([0.25, 0.5, 0.75])
    assert (spread.mean, spread.deviation) == (0.5, 0.25)
    assert Spread.of([0.4]).deviation is None


def test_shuffled_labels_change_no_feature_and_no_label_free_adapter_and_bring_chance(lake: Lake) -> None:
    shots = split_town(places=80)
    features = prepared(lake, shots)
    before = reproduce(features, config(), lake)
    learned = adapters(lake, features)
    stored = contents(lake.root, "features")

    rng = np.random.default_rng(0)
    for subset in ("train", "query"):
        some = [shot for shot in shots if subset in shot.subsets]
        places = rng.permutation([shot.place or "" for shot in some])
        for shot, place in zip(some, places, strict=True):
            shot.place = str(place)
    write_truth(lake, shots)
    after = reproduce(features, config(), lake)

    assert contents(lake.root, "features") == stored
    for name, weights in adapters(lake, features).items():
        np.testing.assert_array_equal(weights, learned[name], err_msg=name)
    for row in before.result.configurations:
        assert recall(before, row.name) > 0.25, row.name
        assert recall(after, row.name) < 0.1, row.name


def adapters(lake: Lake, features: ArtifactRef) -> dict[str, Any]:
    """What the label-free learners of Table VI learn from the lake as it is, seen through new descriptors."""
    material = load_material(lake, features, PROTOCOL)
    some = np.random.default_rng(5).normal(size=(20, material.d0)).astype(np.float32)
    rows = experiments.get("table6").configurations(experiments.Situation(material.d0, 120, 40))
    return {
        row.name: learners.learn(row, config().training(row.changes, seed=0), material.training).transform_query(some)
        for row in rows
        if not row.learner.needs_ground_truth
    }


def test_other_training_labels_are_another_measurement_for_what_learns_from_them_alone(lake: Lake) -> None:
    shots = split_town(places=40, noise=1.0)
    features = prepared(lake, shots)
    before = reproduce(features, config(), lake).result.configurations
    some = [shot for shot in shots if "train" in shot.subsets]
    for shot, place in zip(some, np.random.default_rng(0).permutation([shot.place or "" for shot in some]), strict=True):
        shot.place = str(place)
    write_truth(lake, shots)
    outcome = reproduce(features, config(), lake)
    assert not outcome.skipped
    changed = [first.name for first, other in zip(before, outcome.result.configurations, strict=True) if first != other]
    assert changed == ["supervised upper bound", "view-standardised, supervised"]


class Killed(BaseException):
    """Stands for the end of the process."""


def test_a_killed_reproduction_goes_on_and_ends_in_the_same_bytes(tmp_path: Path) -> None:
    whole, killed = Lake.at(tmp_path / "whole"), Lake.at(tmp_path / "killed")
    shots = split_town(places=12)
    reproduce(prepared(whole, shots), config(), whole)
    features = prepared(killed, shots)
    started: list[str] = []

    def dies(done: int, total: int, message: str = "") -> None:
        started.append(message)
        if done == 7:
            raise Killed

    with pytest.raises(Killed):
        reproduce(features, config(), killed, dies)
    assert len(list((killed.root / "reproductions" / "measurements").glob("*/measurement.json"))) == 7
    outcome = reproduce(features, config(), killed)
    assert not outcome.skipped
    assert contents(killed.root, "reproductions") == contents(whole.root, "reproductions")
    assert reproduce(features, config(), killed).skipped


def test_a_damaged_measurement_is_made_again(lake: Lake) -> None:
    features = prepared(lake, split_town(places=12))
    reproduce(features, config(), lake)
    before = contents(lake.root, "reproductions")
    damaged, misplaced = sorted((lake.root / "reproductions" / "measurements").glob("*/measurement.json"))[:2]
    misplaced.write_bytes(damaged.read_bytes())  # whole, and of something else
    damaged.write_text("{")
    assert not reproduce(features, config(), lake).skipped
    assert contents(lake.root, "reproductions") == before


def test_building_balanced_draws_are_another_configuration(lake: Lake) -> None:
    features = prepared(lake, split_town())
    uniform = reproduce(features, config(), lake).result.configurations[-1]
    balanced = reproduce(features, config(released_sampling=Sampling.BUILDING_BALANCED), lake).result.configurations[-1]
    assert uniform.settings == balanced.settings
    assert uniform.settings["recipe"] == "released"
    assert (uniform.uses_ground_truth, balanced.uses_ground_truth) == (False, True)
    assert uniform.directions != balanced.directions


@pytest.mark.parametrize("learner", [learner for learner in Learner if learner.needs_ground_truth])
def test_what_is_defined_by_ground_truth_is_refused_without(lake: Lake, learner: Learner) -> None:
    material = load_material(lake, prepared(lake, split_town(places=6)), PROTOCOL)
    with pytest.raises(DataError, match="none was handed over"):
        learners.learn(Configuration("x", learner), config().training({"recipe": "paper"}, 0), material.training)


def test_training_images_without_places_are_refused_only_where_they_are_needed(lake: Lake) -> None:
    shots = split_town(places=12)
    for shot in shots:
        if "train" in shot.subsets:
            shot.place = None
    features = prepared(lake, shots)
    with pytest.raises(DataError, match="supervised upper bound"):
        reproduce(features, config(), lake)
    reproduce(features, config("fig8"), lake)


def test_without_known_queries_or_training_rows_there_is_nothing_to_reproduce(lake: Lake, tmp_path: Path) -> None:
    unknown = split_town(places=6)
    for shot in unknown:
        shot.place = None
        shot.truth = None
    with pytest.raises(DataError, match="no query whose place is known"):
        load_material(lake, prepared(lake, unknown), PROTOCOL)
    other = Lake.at(tmp_path / "other")
    tests_only = [shot for shot in split_town(places=6) if "query" in shot.subsets]
    with pytest.raises(DataError, match="to learn from"):
        load_material(other, prepared(other, tests_only), PROTOCOL)


def test_places_of_training_images_come_in_the_order_of_the_rows(lake: Lake) -> None:
    shots = split_town(places=6)
    features = prepared(lake, shots)
    training = load_material(lake, features, PROTOCOL).training
    place_of = {shot.name: shot.place for shot in shots}
    places = training_places(lake, DATASET, training)
    assert places.queries == tuple(place_of[image] for image in training.query_ids)
    query, reference = places.codes()
    assert (query[:, None] == reference).sum(axis=1).tolist() == [1] * len(query)


def test_curves_are_drawn_the_same_each_time(lake: Lake) -> None:
    features = prepared(lake, split_town(places=12))
    for name in ("table7", "fig8"):
        outcome = reproduce(features, config(name, seeds=(0,), overrides=Overrides(iterations=1)), lake)
        assert outcome.figure is not None
        drawn = outcome.figure.read_bytes()
        assert drawn.startswith(b"\x89PNG")
        outcome.figure.unlink()
        again = reproduce(features, config(name, seeds=(0,), overrides=Overrides(iterations=1)), lake)
        assert again.figure is not None
        assert again.figure.read_bytes() == drawn


def test_an_experiment_is_one_entry_in_the_registry(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def rows(situation: experiments.Situation) -> tuple[Configuration, ...]:
        return tuple(
            Configuration(f"tau = {tau}", Learner.ADAPTED, {"recipe": "paper", "temperature": tau, "dimension": situation.d0})
            for tau in (0.1, 0.5)
        )

    mine = Experiment("mine", "nowhere", "the temperature", "unknown", rows, protocol="university1652-701")
    monkeypatch.setitem(experiments.EXPERIMENTS, "mine", mine)
    result = reproduce(prepared(lake, split_town(places=12)), config("mine"), lake).result
    assert [row.settings["temperature"] for row in result.configurations] == [0.1, 0.5]
    assert result.configurations[0].directions[0].protocol == "university1652-701"


def test_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="twice"):
        config(seeds=(1, 1))
    with pytest.raises(ConfigError, match="both 0"):
        config().training({"recipe": "paper", "em_weight": 0.0, "reconstruction_weight": 0.0}, 0)
    assert config(overrides=Overrides(temperature=0.3)).training({"recipe": "paper", "temperature": 0.2}, 4).temperature == 0.2
    assert config(overrides=Overrides(temperature=0.3)).training({"recipe": "paper"}, 4).temperature == 0.3
