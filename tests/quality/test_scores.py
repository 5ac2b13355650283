"""Scores know chance from agreement, whatever the scale, and no order of rows."""

from __future__ import annotations

import numpy as np
import pytest

from cvgl.errors import DataError
from cvgl.quality.scores import beyond_chance, score
from cvgl.quality.similarity import corrected, decorrelated, descriptor_pair, similarities
from tests.quality.views import centred, pair


def test_good_descriptors_score_higher_than_bad_ones() -> None:
    good, bad = (score(descriptor_pair(*centred(noise=noise))) for noise in (0.2, 3.0))
    for name in ("reciprocity", "stability_halves", "stability_quarters", "stability_dropped", "standout", "margin"):
        assert getattr(good, name) > getattr(bad, name), name
    assert good.reciprocity == 1.0


def test_noise_agrees_no_more_than_chance() -> None:
    rng = np.random.default_rng(0)
    scores = score(
        descriptor_pair(rng.normal(size=(200, 64)).astype(np.float32), rng.normal(size=(150, 64)).astype(np.float32))
    )
    for name in ("stability_halves", "stability_quarters", "stability_halves_corrected", "stability_decorrelated"):
        assert abs(getattr(scores, name)) < 0.05, name


def test_scores_depend_on_neither_scale_nor_order() -> None:
    queries, references = pair()
    order = np.random.default_rng(1).permutation(len(queries))
    once, again = score(descriptor_pair(queries, references)), score(descriptor_pair(7 * queries[order], references))
    for name, value in once.model_dump().items():
        assert getattr(again, name) == pytest.approx(value, abs=1e-4), name


def test_a_hub_shows() -> None:
    queries, references = pair()
    hub = references.copy()
    hub[0] = queries.mean(axis=0) / np.linalg.norm(queries.mean(axis=0))
    before, after = score(descriptor_pair(queries, references)), score(descriptor_pair(queries, hub))
    assert after.largest_hub > before.largest_hub
    assert after.hubness_skew > before.hubness_skew


def test_agreement_of_constant_answers_is_chance() -> None:
    constant = np.zeros(20, np.int64)
    assert beyond_chance(constant, constant, 5) == 0.0
    assert beyond_chance(np.arange(20), np.arange(20), 20) == 1.0


def test_constant_descriptors_give_finite_scores() -> None:
    rows = np.ones((30, 8), np.float32)
    scores = score(descriptor_pair(rows, rows))
    assert all(np.isfinite(value) for value in scores.model_dump().values())


def test_a_single_dimension_has_no_halves() -> None:
    assert score(descriptor_pair(np.ones((4, 1), np.float32), np.ones((4, 1), np.float32))).stability_halves == 0.0


def test_too_many_rows_are_sampled_and_positions_follow() -> None:
    queries, references = pair(places=60)
    positions = np.stack([np.arange(60.0), np.zeros(60)], axis=1)
    views = descriptor_pair(queries, references, positions, most=(20, 30))
    assert views.size == (20, 30)
    assert views.positions is not None
    remaining = positions[:, 0][[int(x) for x in views.positions[:, 0]]]
    assert np.allclose(views.references, references[remaining.astype(int)], atol=1e-6)


def test_two_rows_of_a_view_are_needed() -> None:
    with pytest.raises(DataError, match="two images"):
        descriptor_pair(np.ones((1, 4), np.float32), np.ones((9, 4), np.float32))


def test_correction_is_the_textbook_formula() -> None:
    rng = np.random.default_rng(0)
    cosines = similarities(rng.normal(size=(15, 6)).astype(np.float32), rng.normal(size=(12, 6)).astype(np.float32))
    i, j = 3, 5
    expected = 2 * cosines[i, j] - np.sort(cosines[i])[-10:].mean() - np.sort(cosines[:, j])[-10:].mean()
    assert corrected(cosines)[i, j] == pytest.approx(expected, abs=1e-6)


def test_decorrelated_components_weigh_alike() -> None:
    queries, references = pair(places=200, dimension=20)
    mapped = decorrelated(descriptor_pair(queries, references), 20)
    spread = (mapped.queries.var(axis=0) + mapped.references.var(axis=0)) / 2
    assert spread.max() / spread.min() < 2.5
