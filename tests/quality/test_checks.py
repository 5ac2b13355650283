"""Each kind of images from which nothing can be judged has its reason."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cvgl.quality.checks import check_views, refused
from tests.quality.views import pair


def kinds(queries: Any, references: Any) -> Any:
    return {finding.kind: finding.severity for finding in check_views(queries, references, 20)}


def test_good_images_give_no_finding() -> None:
    assert kinds(*pair()) == {}
    assert kinds(*pair(views=3)) == {}


def test_five_images_are_too_few() -> None:
    queries, references = pair(places=5)
    assert kinds(queries, references) == {"too few": "refused"}
    assert "5 query and 5 reference images are too few" in refused(check_views(queries, references, 20))


@pytest.mark.parametrize("side", [0, 1])
def test_constant_images(side: Any) -> None:
    views = list(pair())
    views[side] = np.repeat(views[side][:1], 80, axis=0)
    assert kinds(*views)["constant"] == "refused"


def test_images_of_one_place() -> None:
    queries, references = pair()
    rng = np.random.default_rng(0)
    constant = (queries[:1] + 0.02 * rng.normal(size=queries.shape)).astype(np.float32)
    assert kinds(constant, references)["one place"] == "refused"


def test_duplicated_references_are_flagged_and_not_refused() -> None:
    queries, references = pair()
    twice = np.concatenate([references, references])
    findings = check_views(queries, twice, 20)
    assert {finding.kind: finding.severity for finding in findings} == {"duplicates": "flagged"}
    assert "50% of the reference images are copies" in findings[0].reason
    assert refused(findings) == ""


@pytest.mark.parametrize("side", [0, 1])
def test_few_images_many_times_are_few(side: Any) -> None:
    views = list(pair())
    views[side] = np.tile(views[side][:9], (9, 1))
    findings = check_views(views[0], views[1], 20)
    assert {finding.kind: finding.severity for finding in findings} == {"too few": "refused"}
    assert f"only 9 of the 81 {('query', 'reference')[side]} images look different" in refused(findings)
    views[side] = np.tile(pair()[side][:20], (4, 1))
    assert kinds(*views) == {"duplicates": "flagged"}


def test_zero_descriptors_are_no_crash() -> None:
    assert "constant" in kinds(np.zeros((30, 8), np.float32), np.zeros((30, 8), np.float32))
