"""The policy, and the evidence that it goes by."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cvgl.arrival import batches, costs
from cvgl.arrival.batches import Batch, State
from cvgl.arrival.champion_quality import Quality, QualityChange, predicted_recall, quality_change
from cvgl.arrival.costs import Cost, Meter, Prediction
from cvgl.arrival.deciding import Evidence, decide, gather, judge
from cvgl.arrival.decision_log import decision_row, record
from cvgl.arrival.drift import Drift
from cvgl.arrival.extraction import settled_extraction
from cvgl.arrival.intake import take_in
from cvgl.arrival.watching import look
from cvgl.catalog import run_query
from cvgl.config import AdaptConfig, ArrivalConfig, BackboneConfig, DecideConfig, ExtractConfig
from cvgl.ingestion.tables import images_ref
from cvgl.lake import Lake, write_json
from cvgl.localization.bundle import CurrentMap, Serving
from cvgl.stages.adapt import adapt
from cvgl.stages.extraction.stage import extract
from cvgl.stages.training_rows import Champion, champion_of
from cvgl.types import View
from tests.arrival.sources import DATASET, drone, town, watching
from tests.quality.views import centred

POLICY = DecideConfig()
FITS = Evidence(
    champion="run",
    comparable=True,
    compared_with="",
    new={View.DRONE: 100, View.SATELLITE: 0},
    known={View.DRONE: 1000, View.SATELLITE: 50},
    forgotten=0,
    prediction=Prediction(120.0, 2**30, 3),
    drifts={View.DRONE: Drift(0.001, 0.4, 100, 400, "pictures")},
    quality=QualityChange(Quality(0.5, 0.02), Quality(0.49, 0.02)),
)


def drifted(effect: float, p_value: float = 0.002) -> dict[str, Any]:
    return {"drifts": {View.DRONE: Drift(effect, p_value, 100, 400, "pictures")}}


@pytest.mark.parametrize(
    ("changes", "policy", "verdict", "expected_reason"),
    [
        ({}, {}, "skip", "the champion still fits: new drone images differ .* by 0.001"),
        ({"champion": None}, {}, "adapt", "^no adapter serves this map yet$"),
        ({"comparable": False}, {}, "adapt", "another frozen model"),
        (drifted(0.05), {}, "adapt", r"by 0.050 \(p 0.002, 100 against 400"),
        (drifted(0.05, p_value=0.2), {}, "skip", "still fits"),
        (drifted(0.005), {}, "skip", "still fits"),
        (drifted(0.9), {}, "ask", "beyond ask_effect 0.3"),
        ({**drifted(0.9), "new": {View.DRONE: 10}}, {}, "ask", "beyond ask_effect"),
        ({**drifted(0.05), "new": {View.DRONE: 19}}, {}, "skip", "19 new training images of a view, and minimum_new is 20"),
        ({"new": {}, "forgotten": 3}, {}, "skip", "3 references left the map"),
        ({"new": {}}, {"minimum_new": 0}, "skip", "still fits"),
        ({"quality": QualityChange(Quality(0.5, 0.02), Quality(0.3, 0.02))}, {}, "adapt", "quality 0.300 on what came"),
        ({"quality": QualityChange(Quality(0.5, 0.1), Quality(0.3, 0.1))}, {}, "skip", "still fits"),
        ({"quality": QualityChange(Quality(0.5, 0.001), Quality(0.35, 0.001))}, {}, "skip", "still fits"),
        ({"quality": QualityChange(Quality(0.5, 0.001), Quality(0.35, 0.001))}, {"quality_drop": 0.2}, "adapt", "drop is 20%"),
        ({"quality": None, "drifts": {}}, {}, "skip", "too few images to test"),
        ({"new": {View.DRONE: 500}}, {}, "adapt", "500 new drone images are 50% of those learned from"),
        ({"new": {View.SATELLITE: 40}}, {}, "adapt", "40 new satellite images are 80%"),
        (drifted(0.05), {"longest_hours": 0.01}, "ask", "but predicted 2 min .* longest_hours is 0.01"),
        (drifted(0.05), {"largest_gigabytes": 0.5}, "ask", "largest_gigabytes is 0.5"),
        ({**drifted(0.05), "prediction": Prediction()}, {"longest_hours": 0.01}, "adapt", "by 0.050"),
    ],
)
def test_the_policy(changes: dict[str, Any], policy: dict[str, Any], verdict: str, expected_reason: str) -> None:
    report, reason = judge(replace(FITS, **changes), DecideConfig(**policy))
    assert report == verdict, reason
    import re

    assert re.search(expected_reason, reason), reason


@pytest.fixture
def served(tmp_path: Path, lake: Lake) -> tuple[Path, ArrivalConfig]:
    """A town that an adapter has learned from, and that it serves."""
    source = town(tmp_path / "drop", range(1, 13), views=3)
    config = watching(source, lake)
    batch = described(config, lake)
    learned = adapt(extract(images_ref(lake, DATASET), config.extract, lake).ref, config.adapt, lake)
    serve(lake, learned.run, batch.features)
    return source, config


def described(config: ArrivalConfig, lake: Lake) -> Batch:
    """Takes in and describes what has arrived."""
    outcome = look(config, lake)
    assert outcome.closed is not None
    taken = take_in(outcome.closed, config, lake)
    extracted = extract(images_ref(lake, DATASET), config.extract, lake)
    return batches.advance(
        lake, outcome.closed, state=State.DONE, features=extracted.ref.digest, images_through=taken.images_through
    )


def serve(lake: Lake, run: str, features: str) -> None:
    current = CurrentMap(serving=Serving(map="m", run=run, features=features))
    write_json(lake.champion(DATASET), current.model_dump(mode="json"))


def test_what_came_is_told_from_what_the_champion_has_learned(served: tuple[Path, ArrivalConfig], lake: Lake) -> None:
    source, config = served
    town(source, range(20, 31), views=3)
    batch = described(config, lake)
    evidence = gather(batch, config, lake)
    assert evidence.new == {View.DRONE: 33, View.SATELLITE: 11}
    assert evidence.known == {View.DRONE: 36, View.SATELLITE: 12}
    assert evidence.compared_with.endswith("has learned from")
    assert set(evidence.drifts) == {View.DRONE, View.SATELLITE}
    assert evidence.quality is not None


def test_small_batches_add_up(served: tuple[Path, ArrivalConfig], lake: Lake) -> None:
    source, config = served
    verdicts = []
    for first in (20, 24, 28):
        town(source, range(first, first + 3), views=3)
        verdicts.append(decide(described(config, lake), config, lake))
    assert verdicts[0].verdict == "skip"
    assert verdicts[0].evidence.new[View.DRONE] == 9
    assert verdicts[2].evidence.new[View.DRONE] == 27
    assert verdicts[2].verdict == "adapt"


def test_images_that_are_hardly_images_are_put_before_a_person(served: tuple[Path, ArrivalConfig], lake: Lake) -> None:
    source, config = served
    for number in range(25):
        drone(source, number + 100, name=f"dark-{number}")
        path = source / "drone" / f"dark-{number}.png"
        from PIL import Image

        Image.open(path).point(lambda value: value // 40).save(path)
    decision = decide(described(config, lake), config, lake)
    assert decision.verdict == "ask", decision.reason
    assert decision.evidence.largest is not None
    assert decision.evidence.largest[1].effect > POLICY.ask_effect


def test_a_decision_is_a_row(served: tuple[Path, ArrivalConfig], lake: Lake) -> None:
    source, config = served
    town(source, range(20, 25), views=3)
    batch = described(config, lake)
    decision = decide(batch, config, lake)
    record(decision, batch, config.decide, lake)
    record(decision, batch, config.decide, lake)
    answer = run_query(lake, "SELECT * FROM decisions")
    assert [dict(zip(answer.columns, row, strict=True)) for row in answer.rows] == [
        decision_row(decision, batch, config.decide)
    ]


def test_the_champions_settings_describe_what_comes(served: tuple[Path, ArrivalConfig], lake: Lake) -> None:
    _, config = served
    settings = settled_extraction(lake, DATASET, config.extract.model_copy(update={"batch_size": 7}))
    assert settings is not None
    assert settings.batch_size == 7
    assert settings.model_copy(update={"batch_size": 32}) == config.extract
    other = ExtractConfig(backbone=BackboneConfig(name="gist", image_size=96))
    assert settled_extraction(lake, DATASET, other) is None
    assert settled_extraction(lake, DATASET, config.extract.model_copy(update={"half_storage": True})) is None
    assert settled_extraction(lake, "another", config.extract) is None


def test_another_frozen_model_is_adapted_to(served: tuple[Path, ArrivalConfig], lake: Lake) -> None:
    source, config = served
    drone(source, 50)
    other = config.model_copy(update={"extract": ExtractConfig(backbone=BackboneConfig(name="gist", image_size=96))})
    decision = decide(described(other, lake), other, lake)
    assert decision.verdict == "adapt"
    assert "another frozen model" in decision.reason


def test_who_serves(lake: Lake) -> None:
    assert champion_of(lake, DATASET) is None
    serve(lake, "run", "model")
    assert champion_of(lake, DATASET) == Champion("run", "model")


def test_quality_is_compared_on_equally_many(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def measure(queries: NDArray[np.float32], references: NDArray[np.float32]) -> Quality:
        sizes.append(len(queries))
        return Quality(len(sizes) / 10, 0.0)

    rows = np.eye(40, dtype=np.float32)
    change = quality_change(rows, rows[:15], rows, measure)
    assert change is not None
    assert sizes == [15, 15]
    assert (change.drop, change.is_significant) == (pytest.approx(-1.0), False)
    assert quality_change(rows, rows[:9], rows, measure) is None


def test_quality_is_the_recall_that_is_predicted() -> None:
    learned, references = centred(places=60, noise=0.4)
    rng = np.random.default_rng(1)
    new = learned + 0.25 * rng.standard_normal(learned.shape).astype(np.float32)  # the same places in another season
    change = quality_change(learned, new / np.linalg.norm(new, axis=1, keepdims=True), references)
    assert change is not None
    assert change.before == predicted_recall(learned, references)
    assert change.before.score > 0.85
    assert change.is_significant
    assert change.drop > POLICY.quality_drop
    same = quality_change(learned[:30], learned[30:], references)
    assert same is not None
    assert not same.is_significant


def cost(work: float, seconds: float, base: int = 100, peak: int = 200) -> Cost:
    return Cost(step="adapt", work=work, seconds=seconds, base_bytes=base, peak_bytes=peak)


def test_costs_are_predicted_from_what_was_measured(lake: Lake) -> None:
    assert costs.predict([], 10) == Prediction()
    predicted = costs.predict([cost(100, 5)], 300)
    assert (predicted.seconds, predicted.peak_bytes) == (15.0, 400)
    assert str(costs.Prediction(120.0, 2**30, 3)) == "predicted 2 min and 1.0 GiB, from 3 earlier"
    assert "has not been measured yet" in str(Prediction())
    assert costs.predict([cost(100, 5)], 50).seconds == 5.0  # never less than what the smallest took
    line = costs.predict([cost(100, 5, peak=200), cost(300, 9, peak=400), cost(200, 7, peak=300)], 500)
    assert (line.seconds, line.peak_bytes) == (13.0, 600)
    meter = Meter()
    meter.seconds = 2.0
    costs.record(lake, DATASET, "0001-a", meter, "adapt", "robust", 8.0)
    costs.record(lake, DATASET, "0001-a", meter, "extract", "gist", 8.0)
    assert [measured_cost.seconds for measured_cost in costs.read(lake, "adapt", "robust")] == [2.0]
    assert costs.read(lake, "adapt", "paper") == []


def test_the_recipe_that_will_be_used_is_what_is_predicted(served: tuple[Path, ArrivalConfig], lake: Lake) -> None:
    source, config = served
    meter = Meter()
    meter.seconds = 3.0
    costs.record(lake, DATASET, "0001-a", meter, "adapt", str(config.adapt.recipe), 36 * 12)
    town(source, range(20, 32), views=3)
    batch = described(config, lake)
    assert gather(batch, config, lake).prediction.seconds == pytest.approx(12.0)  # twice the queries, twice the references
    other = config.model_copy(update={"adapt": AdaptConfig(recipe="robust")})
    assert gather(batch, other, lake).prediction.seconds is None
