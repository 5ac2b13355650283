"""Judgements held against labels, on a tiny world."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.choice import Chosen
from cvgl.config import Recipe, SelectConfig
from cvgl.experiments import judgement
from cvgl.experiments.judgement import Choice, JudgementResult, reproduce_judgement
from cvgl.experiments.judgement_cases import synthetic, trainings
from cvgl.experiments.judgement_worlds import CALIBRATION, TESTED, describe
from cvgl.lake import Lake, read_json
from cvgl.synthetic import WorldConfig

TINY = WorldConfig(
    seed=5,
    places=48,
    views=1,
    distractors=4,
    image_size=48,
    heading_spread_degrees=5,
    depression_degrees=(85, 80),
    view_gap=0.2,
)


def test_everything_is_measured_and_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judgement, "TESTED", {"tiny": TINY})
    lake = Lake.at(tmp_path)
    outcome = reproduce_judgement([], lake, seeds=(0,), rules=SelectConfig(candidates=(Recipe.STANDARDISED_JOINTLY,)))
    assert JudgementResult.model_validate(read_json(outcome.ref.path / "results.json")) == outcome.result
    assert outcome.figure.read_bytes().startswith(b"\x89PNG")
    assert [choice.where for choice in outcome.result.choices] == ["world, tiny"]
    assert outcome.result.world_error.count == len(outcome.result.predictions)
    assert outcome.result.real_error is None
    assert outcome.result.tested[0].expected


def test_a_world_is_described_once(tmp_path: Path) -> None:
    lake = Lake.at(tmp_path)
    first = describe("tiny", TINY, lake)
    files = list((lake.root / "reproductions" / "worlds").iterdir())
    assert len(files) == 1
    stamp = files[0].stat().st_mtime_ns
    again = describe("tiny", TINY, lake)
    assert np.array_equal(first.queries, again.queries)
    assert files[0].stat().st_mtime_ns == stamp
    assert set(first.query_places.tolist()) <= set(first.reference_places.tolist())
    assert not set(first.query_places.tolist()) & set(range(TINY.train_places))


def test_the_worst_is_taken_over_directions_and_baselines() -> None:
    choice = Choice(
        where="x",
        seed=0,
        chosen="robust",
        reason="",
        directions=("a", "b"),
        auto=(0.5, 0.6),
        frozen=(0.4, 0.62),
        standardised=(0.45, 0.3),
    )
    assert choice.worst == pytest.approx(-0.02)


def test_worlds_that_are_tested_had_no_part_in_the_calibration() -> None:
    assert len(TESTED) == 8
    assert not {config.seed for config in TESTED.values()} & {config.seed for config in CALIBRATION.values()}


def test_less_to_learn_from_leaves_the_questions_as_they_are() -> None:
    world = synthetic(3)
    made = list(trainings(world, 6, seed=1))
    assert [case.name for case in made] == ["as it is", *(f"training {number}" for number in range(1, 6))]
    for case in made:
        assert np.array_equal(case.query_places, world.query_places)
        assert len(case.queries) == len(case.query_places)
        assert min(len(case.train_queries), len(case.train_references)) >= 24
        assert case.train_queries.shape[1] == case.references.shape[1]
    assert min(len(case.train_queries) for case in made) < len(world.train_queries)
    assert min(case.queries.shape[1] for case in made) < world.queries.shape[1]
    again = list(trainings(world, 6, seed=1))
    assert all(np.array_equal(first.train_queries, other.train_queries) for first, other in zip(made, again, strict=True))


def test_a_choice_is_measured_against_the_better_baseline_of_each_direction() -> None:
    recalls = {Recipe.FROZEN: (0.2, 0.5), Recipe.STANDARDISED: (0.3, 0.4), Recipe.ROBUST: (0.25, 0.75)}
    row = Chosen(source="x", name="y", strength=5.0, chosen=Recipe.STANDARDISED, reason="", recalls=recalls)
    assert row.gain() == pytest.approx((0.0, -10.0))
    assert row.gain(Recipe.ROBUST) == pytest.approx((-5.0, 25.0))
