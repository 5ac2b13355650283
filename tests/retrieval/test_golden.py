"""Figures against the output of the public reference code, and proof that each perturbation of ours is noticed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cvgl.retrieval import evaluate, metrics, protocols, ranking, scoring

CASES = ("drone_to_satellite", "satellite_to_drone", "with_junk", "query_without_match")
TOLERANCE = 1e-6


def differences(shared: Path, case: str) -> Iterator[str]:
    """Every field of a golden case that our figures do not reproduce."""
    arrays = np.load(shared / "golden" / "evaluation.npz")
    expected = json.loads((shared / "golden" / "evaluation.json").read_text())[case]
    q, ql, g, gl = (arrays[f"{case}/{name}"] for name in ("q", "ql", "g", "gl"))
    result, released = (evaluate(q, ql, g, gl, protocol=name) for name in ("university1652-951", "released"))
    ours = {
        "R1": result.recall[1],
        "R5": result.recall[5],
        "R10": result.recall[10],
        "R_top1_em_cvgl": released.recall["1%"],
        "R_top1_university1652": result.recall["1%"],
        "AP_trapezoid": result.ap,
    }
    assert set(ours) == set(expected), "a golden field is not looked at"
    yield from (name for name in ours if abs(ours[name] - expected[name]) > TOLERANCE)
    average = np.nan_to_num(result.per_query.average_precision, nan=-1)
    if not np.allclose(average, arrays[f"{case}/ap"], rtol=0, atol=TOLERANCE):
        yield "ap"
    if (result.n_queries, result.n_gallery) != (len(q), int((gl != -1).sum())):
        yield "counts"


@pytest.mark.parametrize("case", CASES)
def test_the_reference_codes_figures(shared: Path, case: str) -> None:
    assert list(differences(shared, case)) == []


@pytest.mark.parametrize("case", CASES)
def test_the_reference_codes_figures_in_small_blocks(shared: Path, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranking, "ONE_BLOCK_ROWS", 1)
    monkeypatch.setattr(ranking, "GALLERY_ROWS", 17)
    monkeypatch.setattr(ranking, "QUERY_ROWS", 11)
    monkeypatch.setattr(ranking, "BLOCK_SCORES", 1)
    monkeypatch.setattr(ranking, "HELD_PAIRS", 500)
    assert list(differences(shared, case)) == []


def _off_by_one(original: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    return lambda *arguments: original(*arguments) + 1


def _of_two_queries_swapped(original: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    return lambda *arguments: original(*arguments).roll(1, 0)


def _blurred(original: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    return lambda *arguments: original(*arguments).bfloat16().float()


@pytest.mark.parametrize(
    ("module", "name", "perturb"),
    [
        (metrics, "ranks_of", _off_by_one),
        (metrics, "ranks_of", _of_two_queries_swapped),
        (scoring, "count_at_least", lambda original: lambda scores, limits: original(scores, limits + 1e-3)),
        (scoring, "products", _blurred),
        (metrics, "recall_at_k", lambda original: lambda ranks, k: original(ranks[ranks > 0], k)),
        (metrics, "recall_at_k", lambda original: lambda ranks, k: original(ranks, k + 1)),
    ],
)
def test_a_perturbed_evaluation_is_noticed(
    shared: Path, module: Any, name: str, perturb: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, name, perturb(getattr(module, name)))
    assert any(list(differences(shared, case)) for case in CASES)


@pytest.mark.parametrize(
    ("rule", "wrong", "field"),
    [
        ("average_precision", "standard", "AP_trapezoid"),
        ("gallery", "with_query", "counts"),
        ("one_percent", "floor", "R_top1_university1652"),
        ("one_percent", "below", "R_top1_university1652"),
    ],
)
def test_a_perturbed_protocol_is_noticed(
    shared: Path, rule: str, wrong: str, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = protocols.get("university1652-951").model_copy(update={rule: wrong})
    monkeypatch.setitem(protocols.PROTOCOLS, "university1652-951", changed)
    assert any(field in list(differences(shared, case)) for case in CASES)
