"""Each loss against a transcription of its equation in plain loops."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cvgl.adaptation import losses


def equation_6(z_a: NDArray[Any], z_b: NDArray[Any], s: NDArray[Any], tau: float) -> float:
    """-1/M sum_i log( sum_j s_ij e^(z_i z_j / tau) / sum_j e^(z_i z_j / tau) ) over rows i with a positive."""
    logarithms = []
    for i in range(len(z_a)):
        exponentials = [math.exp(float(np.dot(z_a[i], z_b[j])) / tau) for j in range(len(z_b))]
        positive = sum(value for value, flag in zip(exponentials, s[i], strict=True) if flag)
        if positive:
            logarithms.append(math.log(positive / sum(exponentials)))
    return -sum(logarithms) / len(logarithms) if logarithms else 0.0


def unit(rng: Any, n: int, d: int) -> NDArray[Any]:
    rows = rng.normal(size=(n, d))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def contrast(z_a: NDArray[Any], z_b: NDArray[Any], s: NDArray[Any], tau: float) -> Any:
    similarities = torch.from_numpy(z_a @ z_b.T)
    return losses.pseudo_label_contrast(similarities, torch.from_numpy(s), tau).item()


@hypothesis_settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    m=st.integers(1, 7),
    n=st.integers(1, 7),
    tau=st.sampled_from([0.02, 0.1, 1.0]),
    density=st.sampled_from([0.0, 0.2, 0.6, 1.0]),
)
def test_contrast_is_equation_6_with_any_number_of_positives_in_a_row(
    seed: int, m: Any, n: int, tau: float, density: Any
) -> None:
    rng = np.random.default_rng(seed)
    z_a, z_b, s = unit(rng, m, 5), unit(rng, n, 5), rng.random((m, n)) < density
    assert contrast(z_a, z_b, s, tau) == pytest.approx(equation_6(z_a, z_b, s, tau), rel=1e-9, abs=1e-12)


def test_reverse_direction_sums_over_all_queries_that_chose_a_reference() -> None:
    rng = np.random.default_rng(0)
    z_q, z_r = unit(rng, 4, 3), unit(rng, 3, 3)
    s = np.array([[1, 0, 0], [1, 0, 0], [1, 0, 0], [0, 0, 1]], dtype=bool)
    reverse = contrast(z_r, z_q, s.T.copy(), 0.1)
    exponentials = np.exp(z_r @ z_q.T / 0.1)
    expected = -np.mean(
        [np.log(exponentials[0, :3].sum() / exponentials[0].sum()), np.log(exponentials[2, 3] / exponentials[2].sum())]
    )
    assert reverse == pytest.approx(expected)


def test_rows_without_positive_change_neither_value_nor_gradient() -> None:
    rng = np.random.default_rng(1)
    similarities = torch.tensor(rng.uniform(-1, 1, (3, 4)), requires_grad=True)
    positives = torch.tensor([[True, False, False, False], [False] * 4, [False, False, True, False]])
    value = losses.pseudo_label_contrast(similarities, positives, 0.1)
    subset = losses.pseudo_label_contrast(similarities[[0, 2]], positives[[0, 2]], 0.1)
    assert value.item() == subset.item()
    (gradient,) = torch.autograd.grad(value, similarities)
    assert torch.equal(gradient[1], torch.zeros(4, dtype=torch.float64))
    assert gradient[0].abs().sum() > 0


def test_no_positive_at_all_is_zero_with_zero_gradient() -> None:
    similarities = torch.randn(3, 4, requires_grad=True)
    value = losses.pseudo_label_contrast(similarities, torch.zeros(3, 4, dtype=torch.bool), 0.1)
    (gradient,) = torch.autograd.grad(value, similarities)
    assert value.item() == 0
    assert torch.equal(gradient, torch.zeros(3, 4))


def test_contrast_is_finite_at_extreme_temperatures() -> None:
    similarities = torch.tensor([[1.0, -1.0], [-1.0, 1.0]], requires_grad=True)
    value = losses.pseudo_label_contrast(similarities, torch.tensor([[False, True], [True, False]]), 1e-4)
    (gradient,) = torch.autograd.grad(value, similarities)
    assert value.item() == pytest.approx(2e4)
    assert torch.isfinite(gradient).all()


def test_reconstruction_is_equation_8() -> None:
    rng = np.random.default_rng(2)
    x, reverted = rng.normal(size=(6, 5)), rng.normal(size=(6, 5))
    expected = sum(np.linalg.norm(a - b) ** 2 for a, b in zip(x, reverted, strict=True))
    assert losses.reconstruction(torch.from_numpy(x), torch.from_numpy(reverted)).item() == pytest.approx(expected)


def test_terms_add_up_to_l_and_c() -> None:
    terms = losses.LossTerms(*(torch.tensor(value) for value in (1.0, 2.0, 4.0, 8.0)))
    assert terms.contrast().item() == 3
    assert terms.reconstruction().item() == 12


@hypothesis_settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), smoothing=st.sampled_from([0.0, 0.1, 0.7]), pairs=st.integers(1, 6))
def test_smoothed_contrast_is_the_mean_cross_entropy_of_pairs(seed: int, smoothing: Any, pairs: Any) -> None:
    rng = np.random.default_rng(seed)
    logits, rows, columns = rng.normal(size=(5, 3)) * 4, rng.integers(0, 5, pairs), rng.integers(0, 3, pairs)
    expected = 0.0
    for row, column in zip(rows, columns, strict=True):
        probabilities = [math.exp(value) / sum(map(math.exp, logits[row])) for value in logits[row]]
        for j, probability in enumerate(probabilities):
            target = smoothing / 3 + (1 - smoothing if j == column else 0)
            expected -= target * math.log(probability) / pairs
    tensors = [torch.from_numpy(values) for values in (logits, rows, columns)]
    assert losses.smoothed_contrast(tensors[0], tensors[1], tensors[2], smoothing).item() == pytest.approx(expected)


def test_smoothed_contrast_without_pairs_is_zero_with_zero_gradient() -> None:
    logits, nothing = torch.randn(3, 4, requires_grad=True), torch.zeros(0, dtype=torch.int64)
    value = losses.smoothed_contrast(logits, nothing, nothing, 0.1)
    (gradient,) = torch.autograd.grad(value, logits)
    assert value.item() == 0
    assert torch.equal(gradient, torch.zeros(3, 4))


def test_mean_absolute_difference_is_a_mean_over_all_entries() -> None:
    rng = np.random.default_rng(3)
    x, reverted = rng.normal(size=(6, 5)), rng.normal(size=(6, 5))
    value = losses.mean_absolute_difference(torch.from_numpy(x), torch.from_numpy(reverted))
    assert value.item() == pytest.approx(sum(abs(a - b) for a, b in zip(x.flat, reverted.flat, strict=True)) / 30)
