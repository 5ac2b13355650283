"""Predictions follow the truth on worlds that the calibration has not seen, and intervals hold what they promise."""

from __future__ import annotations

import numpy as np
import pytest

from cvgl.experiments.judgement_calibration import error_of, learn, rows_of
from cvgl.experiments.judgement_cases import NOWHERE, corruptions, mismatched, recall_at_1, synthetic
from cvgl.quality.prediction import calibration, feature_names, features_of, predict, predict_within
from cvgl.quality.scores import score
from cvgl.quality.similarity import descriptor_pair
from tests.quality.views import centred, pair


def test_the_calibration_fits_the_features() -> None:
    learned = calibration()
    assert learned.features == feature_names()
    assert len(features_of(score(descriptor_pair(*pair())))) == len(learned.features)
    assert len(learned.weights) == len(learned.features) + len(learned.products)
    assert 0 < learned.model_deviation < 0.25
    assert learned.level == 0.9


def test_predictions_rise_with_the_truth() -> None:
    prediction = [predict(score(descriptor_pair(*centred(noise=noise, seed=3)))).value for noise in (0.3, 1.0, 4.0)]
    assert prediction == sorted(prediction, reverse=True)
    assert prediction[0] > 0.85
    assert prediction[2] < 0.3


def test_predictions_are_close_on_worlds_that_were_not_learned_from() -> None:
    rows = [row for seed in range(5000, 5010) for row in rows_of(synthetic(seed), "synthetic")]
    error = error_of(calibration(), rows)
    assert error.mean_error < 0.09
    assert error.coverage > 0.8


def test_a_larger_gallery_makes_it_harder() -> None:
    queries, references = centred(places=300, noise=1.0)
    few = predict(score(descriptor_pair(queries[:60], references[:60]))).value
    many = predict(score(descriptor_pair(queries[:60], references))).value
    assert many < few


def test_near_answers_count_where_positions_are_known() -> None:
    queries, references = pair(noise=1.2)
    positions = np.stack([np.arange(80.0) * 100, np.zeros(80)], axis=1)
    views = descriptor_pair(queries, references, positions)
    scores = score(views)
    exact, everywhere = predict_within(scores, views, 10.0), predict_within(scores, views, 1e6)
    assert exact is not None
    assert everywhere is not None
    assert exact.value == pytest.approx(predict(scores).value, abs=1e-9)
    assert everywhere.value >= exact.value
    assert predict_within(scores, descriptor_pair(queries, references), 10.0) is None


def test_intervals_lie_within_the_possible_and_around_the_value() -> None:
    for noise in (0.1, 1.0, 8.0):
        prediction = predict(score(descriptor_pair(*pair(noise=noise))))
        assert 0 <= prediction.low <= prediction.value <= prediction.high <= 1


def test_learning_again_gives_the_same_numbers() -> None:
    rows = [row for seed in range(6) for row in rows_of(synthetic(seed), "synthetic")]
    assert learn(rows, folds=3) == learn(rows, folds=3)


def test_cases_know_their_answers_and_corruptions_keep_them() -> None:
    case = synthetic(1)
    for corrupted in corruptions(case, 4, 0):
        assert len(corrupted.queries) == len(corrupted.query_places)
        assert len(corrupted.references) == len(corrupted.reference_places)
        assert corrupted.queries.shape[1] == corrupted.references.shape[1] == corrupted.train_queries.shape[1]
    other = mismatched(case, synthetic(2))
    assert recall_at_1(other.queries, other.references, (other.query_places, other.reference_places)) == 0.0
    assert NOWHERE not in other.reference_places
