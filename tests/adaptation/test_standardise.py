from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cvgl.adaptation import descriptors, frozen, standardise
from cvgl.errors import DataError
from tests.adaptation.synthetic import cross_view, recall_at_1


def unit(rows: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def test_standardised_rows_are_centred_scaled_and_normalised_per_view() -> None:
    rng = np.random.default_rng(0)
    query, reference = rng.normal(2, 3, (50, 8)), rng.normal(-1, 0.5, (40, 8))
    fresh = rng.normal(size=(5, 8))
    standardised = standardise.fit(query, reference)
    for transform, training in ((standardised.transform_query, query), (standardised.transform_reference, reference)):
        rows = unit(training)
        expected = unit((unit(fresh) - rows.mean(0)) / rows.std(0))
        assert np.allclose(transform(fresh), expected, atol=1e-5)
        assert transform(fresh).dtype == np.float32


def test_fit_does_not_depend_on_block_size(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    query, reference = rng.normal(5, 1, (70, 6)), rng.normal(5, 1, (33, 6))
    whole = standardise.fit(query, reference).transform_query(query)
    monkeypatch.setattr(descriptors, "BLOCK_ROWS", 16)
    assert np.allclose(standardise.fit(query, reference).transform_query(query), whole, atol=1e-6)


def test_removing_each_views_mean_beats_frozen_when_views_are_offset() -> None:
    world = cross_view()
    baseline = frozen(48)
    standardised = standardise.fit(world.train_queries, world.train_references)
    before = recall_at_1(baseline.transform_query(world.test_queries), baseline.transform_reference(world.test_references))
    after = recall_at_1(
        standardised.transform_query(world.test_queries), standardised.transform_reference(world.test_references)
    )
    assert after > before + 0.1


def test_dimension_without_variation_stays_finite_and_silent() -> None:
    rng = np.random.default_rng(2)
    query = rng.normal(size=(30, 4)).astype(np.float32)
    query[:, 1] = 0
    standardised = standardise.fit(query, query)
    assert np.allclose(standardised.transform_query(query)[:, 1], 0)
    constant = standardise.fit(np.tile(query[:1], (9, 1)), query)
    assert np.abs(constant.transform_query(query[:1])).max() <= 1
    assert np.isfinite(constant.transform_query(query)).all()


def test_one_row_a_side_is_enough_for_finite_output() -> None:
    row = np.array([[0.6, 0.8]], np.float32)
    assert np.isfinite(standardise.fit(row, row).transform_reference(row)).all()


def test_frozen_is_l2_and_leaves_zero_rows_zero() -> None:
    rows = np.array([[3, 4], [0, 0], [1e-30, 0], [1e30, 1e30]], np.float32)
    out = frozen(2).transform_reference(rows)
    expected = np.array([[0.6, 0.8], [0, 0], [1, 0], [0.5**0.5, 0.5**0.5]])
    assert np.allclose(out, expected)


def test_views_of_different_dimension_are_refused() -> None:
    with pytest.raises(DataError, match="3 dimensions"):
        standardise.fit(np.ones((2, 2)), np.ones((2, 3)))
