"""Judgements held against labels, on a tiny world."""

from __future__ import annotations

import numpy as np
import pytest

from cvgl.config import Recipe, SelectConfig
from cvgl.datasets.world import WorldConfig
from cvgl.lake import Lake, read_json
from cvgl.reproduction import judgement
from cvgl.reproduction.judgement import Choice, JudgementResult, reproduce_judgement
from cvgl.reproduction.judgement_worlds import CALIBRATION, TESTED, describe

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


def test_everything_is_measured_and_written(tmp_path, monkeypatch):
    monkeypatch.setattr(judgement, "TESTED", {"tiny": TINY})
    lake = Lake.at(tmp_path)
    outcome = reproduce_judgement([], lake, seeds=(0,), rules=SelectConfig(candidates=(Recipe.STANDARDISED_JOINTLY,)))
    assert JudgementResult.model_validate(read_json(outcome.ref.path / "results.json")) == outcome.result
    assert outcome.figure.read_bytes().startswith(b"\x89PNG")
    assert [one.where for one in outcome.result.choices] == ["world, tiny"]
    assert outcome.result.world_error.count == len(outcome.result.predictions)
    assert outcome.result.real_error is None
    assert outcome.result.tested[0].expected


def test_a_world_is_described_once(tmp_path):
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


def test_the_worst_is_taken_over_directions_and_baselines():
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


def test_worlds_that_are_tested_had_no_part_in_the_calibration():
    assert len(TESTED) == 8
    assert not {config.seed for config in TESTED.values()} & {config.seed for config in CALIBRATION.values()}
