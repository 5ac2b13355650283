"""Bad features are refused with a sentence; good ones pass in any layout."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cvgl.adaptation import descriptors
from cvgl.errors import DataError


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (np.ones(3, np.float32), r"shape \(3,\)"),
        (np.ones((2, 3, 4), np.float32), r"shape \(2, 3, 4\)"),
        (np.ones((3, 0), np.float32), r"shape \(3, 0\)"),
        (np.float32(1), r"shape \(\)"),
        (np.ones((2, 3), np.int64), "int64"),
        (np.ones((2, 3), np.complex64), "complex64"),
        (np.array([["a", "b"]]), "<U1"),
        (np.array([[{}, None]]), "object"),
        ([[1.0, 2.0], [3.0]], "cannot be read as an array"),
        (None, "shape"),
        (np.zeros((0, 3), np.float32), "0 rows where at least 1"),
        (np.array([[1, 2], [np.nan, 1]], np.float32), "first in row 1"),
        (np.array([[1, 2], [3, 4], [np.inf, 1]], np.float32), "first in row 2"),
        (np.array([[1e300, 1.0]]), "first in row 0"),  # finite in float64, infinite in float32
    ],
)
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_bad_features_are_refused_by_name(features: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        descriptors.checked(features, "query features")
    assert "query features" in caught.value.what
    assert caught.value.fix


def test_a_late_bad_row_is_found_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptors, "BLOCK_ROWS", 4)
    rows = np.ones((11, 2), np.float32)
    rows[9, 1] = -np.inf
    with pytest.raises(DataError, match="first in row 9"):
        descriptors.checked(rows, "x")


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_any_float_and_layout_is_accepted(dtype: Any) -> None:
    rows = np.arange(12, dtype=dtype).reshape(3, 4)
    for variant in (rows, np.asfortranarray(rows), np.repeat(rows, 2, axis=0)[::2]):
        out = descriptors.checked(variant, "x", 4)
        assert out.dtype == np.float32
        assert out.flags.c_contiguous
        assert np.array_equal(out, rows)


def test_float32_is_not_copied() -> None:
    rows = np.ones((3, 4), np.float32)
    assert descriptors.checked(rows, "x") is rows


def test_blockwise_equals_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptors, "BLOCK_ROWS", 3)
    rows = np.random.default_rng(0).normal(size=(8, 2)).astype(np.float32)
    out = descriptors.in_blocks(rows, "x", 2, 2, descriptors.unit_rows)
    assert np.allclose(out, rows / np.linalg.norm(rows, axis=1, keepdims=True))
    assert descriptors.in_blocks(rows[:0], "x", 2, 2, descriptors.unit_rows).shape == (0, 2)
