"""The experiment `robust` on lakes made by hand: flights over a map, and pairs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from cvgl.config import AlignmentConfig, BackboneConfig, ExtractConfig
from cvgl.experiments import targets
from cvgl.experiments.experiments import Answering, Configuration, Learner
from cvgl.experiments.judging import units_of
from cvgl.experiments.learners import depends_on_seed
from cvgl.experiments.material import load_material
from cvgl.experiments.measuring import Bench
from cvgl.experiments.reproduce import reproduce
from cvgl.experiments.results import Aligned, BackboneResult, ConfigurationResult, DirectionResult, schema
from cvgl.experiments.settings import Overrides, ReproduceConfig
from cvgl.experiments.sources import Kind, SourceConfig
from cvgl.experiments.targets import D_TO_S, NEAR, RECALL, Target
from cvgl.lake import Lake, write_json
from cvgl.stages.alignment.record import AlignmentRecord
from cvgl.types import ArtifactRef
from tests.experiments.flights import flown_town
from tests.experiments.towns import split_town
from tests.stages.lakes import DATASET, FINGERPRINT, Shot, write_features, write_images, write_truth

WINDOW = "robust, a window of 20 images"


def prepared(lake: Lake, shots: Sequence[Shot], alignment: AlignmentConfig | None = None) -> ArtifactRef:
    write_images(lake, shots)
    write_truth(lake, shots)
    extract = ExtractConfig(backbone=BackboneConfig(name="gist"), alignment=alignment or AlignmentConfig())
    path = lake.root / "features" / f"model={FINGERPRINT}" / "model.json"
    write_json(path, {"extract": extract.model_dump(mode="json")})
    return write_features(lake, shots)


def config(kind: Kind = Kind.FLIGHTS, **changes: Any) -> ReproduceConfig:
    source = SourceConfig(name=DATASET, dataset=DATASET, folder="/pictures", kind=kind)
    values = {"seeds": (0, 1), "overrides": Overrides(iterations=3, temperature=0.2), **changes}
    return ReproduceConfig(experiment="robust", sources=(source,), backbones=(BackboneConfig(name="gist"),), **values)


def row(result: BackboneResult, name: str) -> ConfigurationResult:
    return next(configuration for configuration in result.configurations if configuration.name == name)


def asked(result: BackboneResult, name: str, direction: str = D_TO_S) -> DirectionResult:
    outcome = row(result, name).direction(direction)
    assert outcome is not None
    return outcome


@pytest.fixture(scope="module")
def flown(tmp_path_factory: pytest.TempPathFactory) -> BackboneResult:
    lake = Lake.at(tmp_path_factory.mktemp("lake"))
    return reproduce(prepared(lake, flown_town()), config(), lake).result


def test_a_flight_is_measured_in_metres_under_its_own_protocol(flown: BackboneResult) -> None:
    first = asked(flown, "frozen")
    assert (first.protocol, first.n_queries, first.n_gallery) == ("flights", 125, 25)
    assert set(first.within_m) == {"50", "100"}
    assert first.median_m is not None
    # Tiles lie 60 m apart and images 5 m from the middle of theirs: within 50 m is the right tile and no other.
    assert first.within_m["50"].mean == first.recall["1"].mean
    assert first.judged[NEAR].rate == first.judged[RECALL].rate
    assert first.judged[RECALL].rate.low < first.recall["1"].mean < first.judged[RECALL].rate.high


def test_sequences_serve_to_learn_by_and_to_answer_by(flown: BackboneResult) -> None:
    assert row(flown, "robust").sequences
    assert not row(flown, "robust, without trajectories").sequences
    assert row(flown, "robust").seeds == ()  # nothing is drawn where whole flights are followed
    assert row(flown, "robust, without trajectories").seeds == (0, 1)
    assert row(flown, "paper").seeds == (0, 1)
    window = row(flown, WINDOW)
    assert (window.window, window.corrected) == (20, False)
    assert [direction.direction for direction in window.directions] == [D_TO_S]  # tiles are not taken in a row
    assert asked(flown, WINDOW).recall["1"].mean > asked(flown, "robust").recall["1"].mean + 0.1
    assert asked(flown, "robust").recall["1"].mean > asked(flown, "frozen").recall["1"].mean + 0.1


def test_intervals_draw_stretches_of_a_flight_and_single_tiles(flown: BackboneResult) -> None:
    assert asked(flown, "frozen").resampled == "blocks of 15 consecutive images"
    assert asked(flown, "frozen", "satellite_to_drone").resampled == "25 places"


def test_every_row_is_compared_with_both_baselines_query_by_query(flown: BackboneResult) -> None:
    assert flown.baselines == ("view-standardised", "robust")
    gains = asked(flown, "frozen").judged[RECALL].gains
    assert set(gains) == {"view-standardised", "robust"}
    assert gains["robust"].value == pytest.approx(
        asked(flown, "frozen").recall["1"].mean - asked(flown, "robust").recall["1"].mean
    )
    assert gains["robust"].below_zero
    assert set(asked(flown, "robust").judged[RECALL].gains) == {"view-standardised"}
    assert asked(flown, "paper").judged[RECALL].rate.value == pytest.approx(asked(flown, "paper").recall["1"].mean)


def test_pairs_have_no_flight_to_follow_and_no_metres(lake: Lake) -> None:
    shots = [dataclasses.replace(shot, position=None, truth=None) for shot in split_town(places=30)]
    result = reproduce(prepared(lake, shots), config(Kind.UNIVERSITY), lake).result
    assert [configuration.name for configuration in result.configurations][-2:] == ["robust", "robust, hubness-corrected"]
    first = asked(result, "robust")
    assert (first.protocol, first.resampled) == ("university1652-951", "15 places")  # of each, several images
    assert (first.median_m, first.within_m, set(first.judged)) == (None, {}, {RECALL})
    assert row(result, "robust").seeds == (0, 1)  # the self-check is drawn


def test_a_target_holds_for_its_set_model_alignment_and_way_of_asking(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = (
        Target(DATASET, True, "gist", D_TO_S, RECALL, 0.01),
        Target(DATASET, True, "gist", D_TO_S, NEAR, 1.0, window=20),
        Target(DATASET, False, "gist", D_TO_S, RECALL, 0.99),
        Target(DATASET, True, "another", "satellite_to_drone", RECALL, 0.99),
        Target("another", True, "gist", "satellite_to_drone", RECALL, 0.99),
    )
    monkeypatch.setattr(targets, "TARGETS", wanted)
    features = prepared(lake, flown_town(side=4, per_tile=3), AlignmentConfig(query_crop=0.7))
    outcome = reproduce(features, config(), lake)
    result = outcome.result
    assert result.aligned is Aligned.GIVEN
    found = {
        (configuration.name, direction.direction, measure): (judged.target, judged.reached)
        for configuration in result.configurations
        for direction in configuration.directions
        for measure, judged in direction.judged.items()
        if judged.target is not None
    }
    assert found == {
        ("robust", D_TO_S, RECALL): (0.01, True),
        ("robust, hubness-corrected", D_TO_S, RECALL): (0.01, True),
        (WINDOW, D_TO_S, NEAR): (1.0, False),
    }
    table = pq.read_table(outcome.ref.path / "results.parquet")
    assert table.schema.equals(schema())
    rows = [configuration for configuration in table.to_pylist() if configuration["configuration"] == WINDOW]
    assert {configuration["metric"]: configuration["target"] for configuration in rows if configuration["target"]} == {
        NEAR: 1.0
    }
    (near,) = (configuration for configuration in rows if configuration["metric"] == NEAR)
    judged = asked(result, WINDOW).judged[NEAR]
    assert (near["low"], near["high"]) == (judged.rate.low, judged.rate.high)
    assert near["gain"] == judged.gains["view-standardised"].value
    assert near["aligned"] == "given"
    assert "median m" in {configuration["metric"] for configuration in rows}


def test_an_alignment_that_was_chosen_is_told_with_its_reason(lake: Lake) -> None:
    features = prepared(lake, flown_town(side=3, per_tile=3))
    choice = AlignmentRecord(dataset=DATASET, inputs={}, features=FINGERPRINT, passes=7, reason="the views agree")
    result = reproduce(features, config(), lake, choice=choice).result
    assert (result.aligned, result.alignment_reason, result.alignment_passes) == (Aligned.CHOSEN, "the views agree", 7)
    plain = reproduce(features, config(), lake)
    assert plain.skipped  # of the same features, every measurement was there
    assert plain.result.aligned is Aligned.NONE


def test_shuffled_labels_bring_chance_in_metres_too(lake: Lake, flown: BackboneResult) -> None:
    shots = flown_town()
    tested = [shot for shot in shots if "query" in shot.subsets and shot.view == "drone"]
    order = np.random.default_rng(0).permutation(len(tested))
    for shot, truth in zip(tested, [tested[i].truth for i in order], strict=True):
        shot.truth = truth
    result = reproduce(prepared(lake, shots), config(), lake).result
    for configuration in result.configurations:
        assert asked(result, configuration.name).recall["1"].mean < 0.15, configuration.name
        assert asked(result, configuration.name).within_m["50"].mean < 0.15, configuration.name
    assert asked(flown, "robust").recall["1"].mean > 0.4


def test_what_was_taken_in_a_row_is_part_of_what_a_measurement_is_kept_under(lake: Lake) -> None:
    shots = flown_town(side=3, per_tile=3)
    features = prepared(lake, shots)
    before = reproduce(features, config(), lake).result
    for shot in shots:
        if shot.position is not None and "sequence" in shot.position:
            shot.position = {}
    write_images(lake, shots)
    after = reproduce(features, config(), lake)
    assert not after.skipped
    names = [configuration.name for configuration in after.result.configurations]
    assert WINDOW not in names
    assert "robust, without trajectories" not in names
    for name in ("frozen", "paper"):
        assert asked(after.result, name).recall == asked(before, name).recall
    # Without sequences "robust" is what it was for single pictures.
    assert asked(after.result, "robust").recall == asked(before, "robust, without trajectories").recall


def test_positions_that_only_the_ground_truth_has_are_not_answered_by(lake: Lake) -> None:
    shots = flown_town(side=3, per_tile=3)
    for shot in shots:
        if shot.view == "satellite":
            shot.truth, shot.position = shot.position, None
    result = reproduce(prepared(lake, shots), config(), lake).result
    assert asked(result, "frozen").median_m is not None  # they serve to judge
    assert WINDOW not in [configuration.name for configuration in result.configurations]
    assert not row(result, "robust").sequences


def test_seeds_are_needed_where_something_is_drawn(lake: Lake) -> None:
    training = load_material(lake, prepared(lake, flown_town(side=3, per_tile=3)), "flights").training
    settings = config().training({"recipe": "robust"}, 0)
    robust = Configuration("robust", Learner.ADAPTED, {"recipe": "robust"})
    assert not depends_on_seed(robust, settings, training)
    assert depends_on_seed(dataclasses.replace(robust, sequences=False), settings, training)
    assert not depends_on_seed(Configuration("frozen", Learner.FROZEN), settings, training)
    many = dataclasses.replace(training, references=np.zeros((600, 24), np.float32))
    corrected = dataclasses.replace(robust, answering=Answering(corrected=True))
    assert depends_on_seed(corrected, settings, many)  # the statistics are of a sample
    assert not depends_on_seed(corrected, settings, training)


def test_another_seed_finds_what_depends_on_none(lake: Lake) -> None:
    material = load_material(lake, prepared(lake, flown_town(side=3, per_tile=3)), "flights")
    bench = Bench(lake, material, None, "flights")
    robust = Configuration("robust", Learner.ADAPTED, {"recipe": "robust"})
    first, was_stored = bench.measure(robust, config().training(robust.changes, 0))
    second, known_then = bench.measure(robust, config().training(robust.changes, 5))
    assert (was_stored, known_then, first.seed) == (False, True, None)
    assert first == second


def test_only_queries_that_count_are_drawn(lake: Lake) -> None:
    shots = flown_town(side=3, per_tile=3)
    for shot in shots:
        if shot.name in ("b000", "b007"):
            shot.truth = None
    material = load_material(lake, prepared(lake, shots), "flights")
    examination = material.examinations[0]
    units = units_of(examination)
    assert sorted({int(row) for rows in units.rows for row in rows}) == list(range(25))
    figure = Bench(lake, material, None, "flights").measure(Configuration("frozen", Learner.FROZEN), config().training({}, 0))
    assert len(figure[0].figures[0].right) == 25


def test_settings_of_gradients_say_nothing_to_robust() -> None:
    settings = config().training({"recipe": "robust"}, 0)
    assert (settings.iterations, settings.temperature) == (3, 0.1)
    assert config().training({"recipe": "paper"}, 0).temperature == 0.2
    with pytest.raises(ValueError, match="two data sets"):
        ReproduceConfig.model_validate({**config().model_dump(), "sources": config().sources * 2})
