"""The fuzz of CRSs, with few codes."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.hostile import crs
from benchmarks.hostile.crs import try_crs


def test_codes_agree_or_are_refused() -> None:
    result = try_crs(seed=5, n=12, whole_lines=1)
    assert result.wrong == []
    assert result.tried == 12
    assert result.agreed + sum(result.refused.values()) + len(result.no_truth) == 12
    assert result.agreed >= 8
    assert result.whole_lines == 1


def test_metres_that_are_none_are_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crs, "_measured", lambda site: float(np.median(np.hypot(*(site.tiles - site.pictures).T))))
    result = try_crs(seed=5, n=12, whole_lines=0)  # as it was: x and y taken for metres
    assert any("EPSG" in sentence for sentence in result.wrong)
