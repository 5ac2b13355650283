"""The loop that all recipes share: what each iteration sees, what is said about it, and where it runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from cvgl import adapt
from cvgl.adaptation import Adaptation, training
from cvgl.adaptation import learn as training_of
from cvgl.adaptation.compute import computing, training_device
from cvgl.adaptation.recipes.paper import PaperLearner
from cvgl.adaptation.recipes.released import ReleasedLearner
from cvgl.config import AdaptConfig, Device, Precision, Recipe
from cvgl.errors import ConfigError, ModelError
from tests.adaptation.synthetic import CrossView, cross_view

SMALL = AdaptConfig(recipe="paper-standardised", dimension=12, iterations=1, query_samples=15)


@pytest.fixture(scope="module")
def world() -> CrossView:
    return cross_view(places=20, d0=32)


def learn(world: CrossView, **settings: Any) -> Adaptation:
    return adapt(world.train_queries, world.train_references, config=AdaptConfig(**{**SMALL.model_dump(), **settings}))


def test_samples_are_different_queries_and_reach_all_of_them() -> None:
    generator = torch.Generator().manual_seed(0)
    draws = [training.sample(50, 20, generator).tolist() for _ in range(20)]
    assert all(len(set(draw)) == 20 for draw in draws)
    assert set().union(*draws) == set(range(50))
    assert sorted(training.sample(5, 20, generator).tolist()) == [0, 1, 2, 3, 4]


def test_metrics_say_what_happened(world: CrossView) -> None:
    adaptation = learn(world, iterations=3)
    assert [entry.iteration for entry in adaptation.history] == [1, 2, 3]
    for entry in adaptation.history:
        assert set(entry.losses) == {
            "contrast_query_to_reference",
            "contrast_reference_to_query",
            "reconstruction_query",
            "reconstruction_reference",
            "total",
        }
        parts = sum(value for name, value in entry.losses.items() if name != "total")
        assert entry.losses["total"] == pytest.approx(parts, rel=1e-5)
        assert 0 < entry.mutual_share <= entry.labelled_share <= 1
        assert 0 < entry.chosen_share <= 15 / 20
        assert entry.scalars()["loss_total"] == entry.losses["total"]
    assert adaptation.history[0].changed_share is None
    assert "changed_share" not in adaptation.history[0].scalars()
    assert all(0 <= entry.changed_share <= 1 for entry in adaptation.history[1:] if entry.changed_share is not None)


def test_labels_that_stay_are_not_counted_as_changed(world: CrossView) -> None:
    adaptation = learn(world, iterations=3, learning_rate=1e-12, query_samples=60)
    assert [entry.changed_share for entry in adaptation.history] == [None, 0.0, 0.0]


def test_a_threshold_that_nobody_passes_leaves_the_contrast_out(world: CrossView) -> None:
    history = learn(world, iterations=2, threshold=1.0).history
    assert history[-1].labelled_share == 0
    assert history[-1].losses["contrast_query_to_reference"] == 0


def test_divergence_is_an_error_with_a_remedy(world: CrossView) -> None:
    with pytest.raises(ModelError, match="iteration") as caught:
        learn(world, iterations=60, learning_rate=1e30)
    assert "learning rate" in caught.value.fix


@pytest.mark.parametrize("recipe", [Recipe.PAPER, Recipe.RELEASED])
def test_draws_that_are_handed_over_replace_the_recipe_s_own(world: CrossView, recipe: Recipe) -> None:
    drawn = []

    def draws(generator: torch.Generator, n_references: int) -> Any:
        drawn.append(n_references)
        return torch.randint(5, (8,), generator=generator)  # rows may come twice

    config = AdaptConfig(recipe=recipe, dimension=12, iterations=3)
    changed = world.train_queries.copy()
    changed[5:] = np.roll(changed[5:], 1, axis=0)
    adaptations = [training_of(rows, world.train_references, config, draws=draws) for rows in (world.train_queries, changed)]
    assert drawn == [20] * 6
    assert np.array_equal(adaptations[0].adapter, adaptations[1].adapter)


def test_a_cpu_trains_in_float32_only(world: CrossView) -> None:
    for precision in (Precision.TF32, Precision.BFLOAT16):
        with pytest.raises(ConfigError, match="GPU") as caught:
            learn(world, device=Device.CPU, precision=precision)
        assert caught.value.fix


def test_a_gpu_that_is_not_there_is_an_error_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="cuda") as caught:
        training_device(AdaptConfig(device=Device.CUDA))
    assert "device auto" in caught.value.fix
    assert training_device(AdaptConfig()).type == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert training_device(AdaptConfig(precision=Precision.TF32)).type == "cuda"
    assert training_device(AdaptConfig(device=Device.CPU)).type == "cpu"


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("precision", [Precision.FLOAT32, Precision.TF32])
def test_tf32_is_switched_as_asked_and_put_back(monkeypatch: pytest.MonkeyPatch, before: bool, precision: Precision) -> None:
    switch = torch.backends.cuda.matmul
    original = switch.allow_tf32
    try:
        switch.allow_tf32 = before
        with computing(torch.device("cuda"), precision):
            assert switch.allow_tf32 == (precision is Precision.TF32)
        assert switch.allow_tf32 == before
        with pytest.raises(ModelError), computing(torch.device("cuda"), precision):
            raise ModelError("diverged")
        assert switch.allow_tf32 == before
    finally:
        switch.allow_tf32 = original


@pytest.mark.parametrize("learner_type", [PaperLearner, ReleasedLearner])
def test_gradients_in_bfloat16_have_the_same_direction(learner_type: Any) -> None:
    world = cross_view(places=20, d0=32, offset=0)  # cosines near 1, as an offset makes them, are all one in bfloat16
    recipe = Recipe.RELEASED if learner_type is ReleasedLearner else Recipe.PAPER
    gradients = []
    for reduced in (False, True):
        learner = learner_type(32, AdaptConfig(recipe=recipe, dimension=12), torch.Generator().manual_seed(0))
        rows = [torch.from_numpy(side) for side in (world.train_queries, world.train_references)]
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=reduced):
            outcome = learner.accumulate(*rows, 199)
        assert np.isfinite(outcome.total)
        assert {parameter.grad.dtype for parameter in learner.parameters()} == {torch.float32}
        gradients.append(learner.adapter.weight.grad.flatten())
    assert 0.98 < torch.nn.functional.cosine_similarity(gradients[0], gradients[1], dim=0) < 1
