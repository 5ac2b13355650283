"""Algorithm 1 as printed: which gradient reaches which map, a transcription in numpy, and its residual variant."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from cvgl import adapt
from cvgl.adaptation import Adaptation, losses, pseudo_labels, standardise, training
from cvgl.adaptation.adapter import LinearMap, initial_maps, unit_rows
from cvgl.adaptation.recipes import paper
from cvgl.config import AdaptConfig, Recipe
from cvgl.errors import ConfigError
from tests.adaptation.synthetic import CrossView, cross_view

SMALL = AdaptConfig(recipe="paper-standardised", dimension=12, iterations=1, query_samples=15)


@pytest.fixture(scope="module")
def world() -> CrossView:
    return cross_view(places=20, d0=32)


def learn(world: CrossView, **settings: Any) -> Adaptation:
    return adapt(world.train_queries, world.train_references, config=AdaptConfig(**{**SMALL.model_dump(), **settings}))


@pytest.mark.parametrize(("d0", "d"), [(6, 6), (6, 10), (10, 6)])
def test_initial_maps_are_orthonormal_and_invert_each_other(d0: int, d: int) -> None:
    adapter, reverter = initial_maps(d0, d, torch.Generator().manual_seed(0))
    assert adapter.weight.shape == (d0, d)
    assert reverter.weight.shape == (d, d0)
    product = adapter.weight @ reverter.weight if d >= d0 else reverter.weight @ adapter.weight
    assert torch.allclose(product, torch.eye(min(d0, d)), atol=1e-6)
    assert sum(parameter.numel() for parameter in adapter.parameters()) == d0 * d  # no bias, no normalisation layer


def test_initial_maps_preserve_the_similarities(world: CrossView) -> None:
    adaptation = learn(world, iterations=0, dimension=40)
    baseline = standardise.fit(world.train_queries, world.train_references)
    adapted = adaptation.transform_query(world.test_queries) @ adaptation.transform_reference(world.test_references).T
    expected = baseline.transform_query(world.test_queries) @ baseline.transform_reference(world.test_references).T
    assert np.allclose(adapted, expected, atol=1e-5)


def test_only_the_reconstruction_moves_the_reverter(world: CrossView) -> None:
    # With Adam's first step the same gradient gives the same weights, and another one does not. The maps must not start as
    # each other's inverse here: at zero reconstruction error there is no gradient to compare.
    shrunk = {"dimension": 8}
    both, reconstruction, contrast = (
        learn(world, **shrunk, **weights) for weights in ({}, {"em_weight": 0.0}, {"reconstruction_weight": 0.0})
    )
    start = learn(world, **shrunk, iterations=0)
    assert np.array_equal(both.reverter, reconstruction.reverter)
    assert np.array_equal(contrast.reverter, start.reverter)
    assert not np.array_equal(both.reverter, start.reverter)
    assert not np.array_equal(both.adapter, reconstruction.adapter)
    assert not np.array_equal(both.adapter, contrast.adapter)


def test_gradients_are_those_of_algorithm_1() -> None:
    generator = torch.Generator().manual_seed(3)
    config = AdaptConfig(
        recipe="paper-standardised", dimension=5, temperature=0.2, threshold=-1, em_weight=0.7, reconstruction_weight=1.3
    )
    adapter, reverter = LinearMap(torch.randn(4, 5, generator=generator)), LinearMap(torch.randn(5, 4, generator=generator))
    x_q, x_r = (unit_rows(torch.randn(n, 4, generator=generator)) for n in (6, 3))

    def terms() -> Any:
        projected = adapter(torch.cat([x_q, x_r]))
        z_q, z_r = torch.split(unit_rows(projected), [6, 3])
        labels = pseudo_labels.estimate((z_q @ z_r.T).detach(), config.threshold)
        return paper.loss_terms(reverter, projected, x_q, x_r, z_q @ z_r.T, labels, config)

    def gradient(loss: torch.Tensor, parameter: torch.Tensor) -> Any:
        return torch.autograd.grad(loss, parameter, allow_unused=True)[0]

    assert gradient(terms().contrast(), reverter.weight) is None
    phi = gradient(terms().reconstruction(), reverter.weight)
    reverted = (torch.cat([x_q, x_r]) @ adapter.weight @ reverter.weight - torch.cat([x_q, x_r])).detach()
    expected_phi = 2 * (torch.cat([x_q, x_r]) @ adapter.weight).detach().T @ reverted  # d/dphi sum |X theta phi - X|^2
    assert torch.allclose(phi, expected_phi, atol=1e-4)
    theta = gradient(terms().contrast() + terms().reconstruction(), adapter.weight)
    parts = [gradient(part, adapter.weight) for part in (terms().contrast(), terms().reconstruction())]
    assert all(part.abs().max() > 0 for part in parts)
    assert torch.allclose(theta, sum(parts), atol=1e-4)


def naive_training(
    queries: NDArray[Any], references: NDArray[Any], adapter: Any, reverter: Any, draws: Any, config: AdaptConfig
) -> Any:
    """Algorithm 1 in numpy with hand-written gradients and Adam; returns both maps and L + C of every iteration."""
    theta, phi = adapter.astype(np.float64), reverter.astype(np.float64)
    moments = {name: (np.zeros_like(value), np.zeros_like(value)) for name, value in (("theta", theta), ("phi", phi))}
    totals = []
    for t, drawn in enumerate(draws, start=1):
        x = np.concatenate([queries[drawn], references])
        m = len(drawn)
        h = x @ theta
        norms = np.linalg.norm(h, axis=1, keepdims=True)
        z = h / norms
        similarity = z[:m] @ z[m:].T
        s = np.zeros_like(similarity)
        for i in range(m):
            j = similarity[i].argmax()
            s[i, j] = similarity[i, j] > config.threshold
        d_similarity, total = np.zeros_like(similarity), 0.0
        for values, positives, out in ((similarity, s, d_similarity), (similarity.T, s.T, d_similarity.T)):
            exponentials = np.exp(values / config.temperature)
            rows = [i for i in range(len(values)) if positives[i].any()]
            for i in rows:
                numerator, denominator = positives[i] @ exponentials[i], exponentials[i].sum()
                total -= np.log(numerator / denominator) / len(rows)
                slope = exponentials[i] / denominator - positives[i] * exponentials[i] / numerator
                out[i] += slope / config.temperature / len(rows)
        d_z = np.concatenate([d_similarity @ z[m:], d_similarity.T @ z[:m]])
        d_h = (d_z - z * (d_z * z).sum(1, keepdims=True)) / norms
        error = h @ phi - x
        total += (error**2).sum()
        d_phi = h.T @ (2 * error)
        d_theta = x.T @ (d_h + 2 * error @ phi.T)
        for name, weight, slope in (("theta", theta, d_theta), ("phi", phi, d_phi)):
            first, second = moments[name]
            first[:] = 0.9 * first + 0.1 * slope
            second[:] = 0.999 * second + 0.001 * slope**2
            weight -= config.learning_rate * (first / (1 - 0.9**t)) / (np.sqrt(second / (1 - 0.999**t)) + 1e-8)
        totals.append(total)
    return theta, phi, totals


def test_training_follows_a_transcription_of_algorithm_1(world: CrossView) -> None:
    config = AdaptConfig(dimension=8, iterations=12, query_samples=15, recipe=Recipe.PAPER, threshold=0.6, temperature=0.3)
    adaptation = adapt(world.train_queries, world.train_references, config=config)
    generator = torch.Generator().manual_seed(config.seed)
    adapter, reverter = initial_maps(32, 8, generator)
    draws = [training.sample(60, 15, generator).numpy() for _ in range(12)]
    theta, phi, totals = naive_training(
        world.train_queries, world.train_references, adapter.weight.detach().numpy(), reverter.weight.detach().numpy(),
        draws, config,
    )  # fmt: skip
    assert [entry.losses["total"] for entry in adaptation.history] == pytest.approx(totals, rel=1e-4)
    assert np.abs(adaptation.adapter - theta).max() < 1e-4
    assert np.abs(adaptation.reverter - phi).max() < 1e-4


def test_a_residual_adapter_starts_at_the_frozen_features(world: CrossView) -> None:
    start, learned = (learn(world, residual=True, dimension=None, reconstruction_weight=0.0, iterations=n) for n in (0, 3))
    baseline = standardise.fit(world.train_queries, world.train_references)
    standardised = baseline.transform_query(world.test_queries)
    assert np.allclose(start.transform_query(world.test_queries), standardised, atol=1e-6)
    offset = learned.adapter - np.eye(32, dtype=np.float32)
    assert offset.any()
    expected = standardised + standardised @ offset
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert np.allclose(learned.transform_query(world.test_queries), expected, atol=1e-6)


def test_residual_style_follows_the_gradient_of_the_sum() -> None:
    config = AdaptConfig(recipe="paper-standardised", residual=True, threshold=-1, temperature=0.2)
    learner = paper.PaperLearner(4, config, torch.Generator())
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        learner.adapter.weight.copy_(torch.randn(4, 4, generator=generator))
    x_q, x_r = (unit_rows(torch.randn(n, 4, generator=generator)) for n in (6, 3))
    learner.accumulate(x_q, x_r, 0)
    weight = learner.adapter.weight.detach().clone().requires_grad_()
    z_q, z_r = (unit_rows(x + x @ weight) for x in (x_q, x_r))
    positives = torch.nn.functional.one_hot((z_q @ z_r.T).argmax(1), 3).bool()
    contrast = losses.pseudo_label_contrast(z_q @ z_r.T, positives, 0.2)
    both = contrast + losses.pseudo_label_contrast((z_q @ z_r.T).T, positives.T, 0.2)
    (expected,) = torch.autograd.grad(both, weight)
    assert learner.adapter.weight.grad is not None
    assert torch.allclose(learner.adapter.weight.grad, expected, atol=1e-5)


def test_residual_style_turns_the_reverter_off(world: CrossView) -> None:
    adaptation = adapt(
        world.train_queries,
        world.train_references,
        config=AdaptConfig(recipe="paper-standardised", residual=True, iterations=2),
    )
    assert adaptation.record.d == 32
    assert adaptation.record.config.reconstruction_weight == 0
    assert {entry.losses["reconstruction_query"] for entry in adaptation.history} == {0.0}
    assert np.array_equal(adaptation.reverter, np.eye(32, dtype=np.float32))


def test_residual_style_keeps_the_dimension(world: CrossView) -> None:
    config = AdaptConfig(recipe="paper-standardised", residual=True, dimension=32, iterations=1)
    assert adapt(world.train_queries, world.train_references, config=config).record.d == 32
    with pytest.raises(ConfigError, match="64 dimensions"):
        adapt(
            world.train_queries,
            world.train_references,
            config=AdaptConfig(recipe="paper-standardised", residual=True, dimension=64),
        )


def test_the_recipes_of_the_paper_have_no_bias(world: CrossView) -> None:
    adaptation = learn(world, iterations=3)
    assert (adaptation.bias.shape, adaptation.reverter_bias.shape) == ((12,), (32,))
    assert not adaptation.bias.any()
    assert not adaptation.reverter_bias.any()
