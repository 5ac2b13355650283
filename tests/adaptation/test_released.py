"""The published trainer: 30 recorded steps of it, what must not agree with them, and what the recipe promises by itself."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file

from cvgl import adapt
from cvgl.adaptation import Adaptation, IterationMetrics, frozen, losses, training
from cvgl.adaptation.adapter import unit_rows
from cvgl.adaptation.affine import Affine
from cvgl.adaptation.recipes import released
from cvgl.adaptation.recipes.released import NormalisedMap, ReleasedLearner
from cvgl.config import AdaptConfig
from cvgl.errors import ConfigError, DataError
from tests.adaptation.synthetic import CrossView, cross_view

STEPS = 30
LAYERS = {"enc1": "adapter", "dec1": "reverter"}
CONFIG = AdaptConfig(recipe="released", dimension=16, iterations=9, checkpoint_every=4)


@pytest.fixture(scope="module")
def golden(shared: Path) -> dict[str, Any]:
    with np.load(shared / "golden" / "em_reference.npz") as file:
        return {name: file[name] for name in file.files}


@pytest.fixture(scope="module")
def world() -> CrossView:
    return cross_view(places=20, d0=32)


def recorded_state(golden: dict[str, Any], moment: str) -> Any:
    """The recorded layers in the form of a learner's, without the linear layers' biases."""
    state = {}
    for theirs, ours in LAYERS.items():
        state[f"{ours}.weight"] = golden[f"{moment}.{theirs}.0.weight"].T
        state[f"{ours}.scale"] = golden[f"{moment}.{theirs}.1.weight"]
        state[f"{ours}.shift"] = golden[f"{moment}.{theirs}.1.bias"]
        state[f"{ours}.running_variance"] = golden[f"{moment}.{theirs}.1.running_var"]
        # What normalisation subtracts is the running mean less the bias: of the two only this has an effect.
        bias = golden[f"{moment}.{theirs}.0.bias"] if moment == "final" else 0
        state[f"{ours}.running_mean"] = golden[f"{moment}.{theirs}.1.running_mean"] - bias
    return {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in state.items()}


def follow(
    golden: dict[str, Any], learner_type: Any = ReleasedLearner, prepare: Any = lambda learner: None, **settings: Any
) -> Any:
    """Trains on the recorded batches from the recorded start; returns the final state."""
    config = AdaptConfig(recipe="released", dimension=64, iterations=STEPS, **settings)
    learner = learner_type(48, config, torch.Generator())
    learner.load_state_dict({**learner.state_dict(), **recorded_state(golden, "init")})
    prepare(learner)
    batches: Iterator[torch.Tensor] = iter(torch.from_numpy(golden["batch_drone_index"]))
    state = training.start(learner, 320, torch.Generator(), torch.device("cpu"))
    training.run(
        state, golden["drone"], golden["satellite"], frozen(48), lambda _: None, lambda generator, count: next(batches)
    )  # fmt: skip
    return state


def compare(golden: dict[str, Any], state: Any) -> Any:
    """Raises AssertionError where a training parts from the record."""
    ours = [
        [
            entry.losses["total"],
            (entry.losses["contrast_query_to_reference"] + entry.losses["contrast_reference_to_query"]) / 2,
            entry.losses["reconstruction_reference"],
            entry.losses["reconstruction_query"],
        ]
        for entry in state.history
    ]
    np.testing.assert_allclose(ours, golden["losses"], rtol=1e-4, err_msg="losses")
    final = state.learner.state_dict()
    np.testing.assert_allclose(final["log_scale"].numpy(), golden["log_temperature"], atol=1e-5, err_msg="temperature")
    for name, expected in recorded_state(golden, "final").items():
        np.testing.assert_allclose(final[name].numpy(), expected.numpy(), atol=1e-3, err_msg=name)
    adapter, _ = state.learner.maps()
    for view in ("satellite", "drone"):
        np.testing.assert_allclose(adapted(golden[view], adapter), golden[f"adapted_{view}"], atol=1e-3, err_msg=view)


def adapted(rows: NDArray[Any], adapter: Affine) -> Any:
    return unit_rows(torch.from_numpy(rows @ adapter.weight + adapter.bias)).numpy()


def test_all_recorded_steps_are_followed(golden: dict[str, Any]) -> None:
    compare(golden, follow(golden))


class SharedStatistics(ReleasedLearner):
    """Normalises both views as one batch."""

    def accumulate(self, queries: torch.Tensor, references: torch.Tensor, iteration: int) -> Any:
        original = self.adapter.forward
        parts = iter(torch.split(original(torch.cat([references, queries]), 1), [len(references), len(queries)]))
        learner: Any = self
        learner.adapter.forward = lambda rows, observed: next(parts, None)
        learner._observe_cycle = lambda reverted: None
        try:
            return super().accumulate(queries, references, iteration)
        finally:
            learner.adapter.forward = original


class QueriesFirst(ReleasedLearner):
    """Sends the views through the cycle in the other order, which only the running statistics know."""

    def _observe_cycle(self, reverted: Any) -> Any:
        super()._observe_cycle(reverted[::-1])


def fix(*names: Any) -> Any:
    def prepare(learner: Any) -> Any:
        for name in names:
            learner.get_parameter(name).requires_grad_(False)

    return prepare


PERTURBATIONS: dict[str, dict[str, Any]] = {
    "no smoothing": {"smoothing": 0.0},
    "no weight decay": {"weight_decay": 0.0},
    "another learning rate": {"learning_rate": 2.2e-4},
    "another temperature": {"temperature": 0.071},
    "directions summed": {"em_weight": 2.0},
    "reconstruction weighted": {"reconstruction_weight": 1.01},
    "higher threshold": {"threshold": 0.9},
    "shared batch statistics": {"learner_type": SharedStatistics},
    "views in the other order": {"learner_type": QueriesFirst},
    "no learned temperature": {"prepare": fix("log_scale")},
    "no shift in the adapter": {"prepare": fix("adapter.shift")},
    "no shift in the reverter": {"prepare": fix("reverter.shift")},
    "no scale in the adapter": {"prepare": fix("adapter.scale")},
}


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_another_setting_or_layer_does_not_agree_with_the_record(golden: dict[str, Any], name: str) -> None:
    state = follow(golden, **PERTURBATIONS[name])
    with pytest.raises(AssertionError):
        compare(golden, state)


def _summed(initial: torch.Tensor, reverted: Any) -> Any:
    return (initial - reverted).abs().sum()


def _squared(initial: torch.Tensor, reverted: Any) -> Any:
    return (initial - reverted).square().mean()


PATCHES = {
    "labels that are not mutual": (released, "MUTUAL_ABOVE", 10**6),
    "no warm-up": (released, "WARM_UP", 0),
    "gradients clipped to nothing": (released, "CLIP", 1e-9),
    "running statistics of the last steps": (released, "SETTLING", 3),
    "slower running statistics": (released, "MOMENTUM", 0.05),
    "no cycle": (ReleasedLearner, "_observe_cycle", lambda *_: None),
    "L1 summed": (losses, "mean_absolute_difference", _summed),
    "L2": (losses, "mean_absolute_difference", _squared),
}


@pytest.mark.parametrize("name", PATCHES)
def test_another_algorithm_does_not_agree_with_the_record(
    golden: dict[str, Any], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(*PATCHES[name])
    state = follow(golden)
    with pytest.raises(AssertionError):
        compare(golden, state)


def test_the_learning_rate_is_a_warm_up_and_half_a_cosine() -> None:
    learner = ReleasedLearner(4, CONFIG.model_copy(update={"iterations": 11}), torch.Generator())
    rates = [learner.learning_rate(iteration) / 2e-4 for iteration in range(11)]
    assert rates[:2] == [0, 1]
    assert rates[6] == pytest.approx(0.5)
    assert rates[1:] == sorted(rates[1:], reverse=True)
    assert rates[10] == pytest.approx((1 + math.cos(math.pi * 0.9)) / 2)


def test_gradients_are_bounded_entry_by_entry() -> None:
    learner = ReleasedLearner(4, CONFIG, torch.Generator())
    learner.log_scale.grad = torch.tensor(-1e9)
    learner.adapter.weight.grad = torch.full((4, 16), 3.0)
    learner.limit_gradient()
    assert learner.log_scale.grad.item() == -100
    assert (learner.adapter.weight.grad == 3).all()


def test_folding_is_batch_normalisation_in_evaluation_mode() -> None:
    generator = torch.Generator().manual_seed(0)
    layer = NormalisedMap(5, 7, generator)
    reference = torch.nn.BatchNorm1d(7)
    with torch.no_grad():
        for ours, theirs in ((layer.scale, reference.weight), (layer.shift, reference.bias)):
            ours.copy_(torch.randn(7, generator=generator))
            theirs.copy_(ours)
        for _ in range(3):
            rows = torch.randn(9, 5, generator=generator)
            assert torch.allclose(layer(rows, 2), reference(rows @ layer.weight))
            reference(rows @ layer.weight)
    reference.eval()
    rows = torch.randn(9, 5, generator=generator)
    weight, bias = layer.affine()
    expected = reference(rows @ layer.weight).detach().numpy()
    assert np.allclose(rows.numpy() @ weight + bias, expected, atol=1e-5)


def test_a_batch_that_is_not_observed_leaves_no_trace() -> None:
    layer = NormalisedMap(5, 7, torch.Generator().manual_seed(0))
    layer(torch.randn(9, 5))
    assert not layer.running_mean.any()
    assert (layer.running_variance == 1).all()


def test_running_statistics_are_those_of_the_last_iterations(world: CrossView, monkeypatch: pytest.MonkeyPatch) -> None:
    config = CONFIG.model_copy(update={"iterations": 60})
    lean = adapt(world.train_queries, world.train_references, config=config)
    monkeypatch.setattr(released, "SETTLING", 60)
    full = adapt(world.train_queries, world.train_references, config=config)
    assert lean.history == full.history
    # The inner comparison is of weights over deviations: relative.
    assert np.allclose(lean.adapter, full.adapter, rtol=2e-6, atol=1e-7)
    assert np.allclose(lean.bias, full.bias, rtol=2e-6, atol=2e-7)


@pytest.mark.parametrize(("n_queries", "n_references", "drawn"), [(60, 20, 20), (7, 20, 7), (60, 60, 60)])
def test_one_query_is_drawn_per_reference_as_far_as_there_are_any(
    world: CrossView, monkeypatch: pytest.MonkeyPatch, n_queries: int, n_references: int, drawn: int
) -> None:
    sizes: list[int] = []

    def sample(*arguments: Any) -> torch.Tensor:
        rows = uniform(*arguments)
        sizes.append(len(set(rows.tolist())))
        return rows

    uniform = training.sample
    monkeypatch.setattr(training, "sample", sample)
    references = np.concatenate([world.train_references] * 3)[:n_references]
    adaptation = adapt(world.train_queries[:n_queries], references, config=CONFIG)
    assert sizes == [drawn] * 9
    out = adaptation.transform_query(world.test_queries)
    assert np.allclose(np.linalg.norm(out, axis=1), 1, atol=1e-5)


def test_a_configured_sample_takes_precedence(world: CrossView) -> None:
    adaptation = adapt(world.train_queries, world.train_references, config=CONFIG.model_copy(update={"query_samples": 33}))
    assert adaptation.history[0].labelled_share * 33 == pytest.approx(round(adaptation.history[0].labelled_share * 33))


def test_the_record_says_which_temperature_was_learned(world: CrossView) -> None:
    history = adapt(world.train_queries, world.train_references, config=CONFIG).history
    assert history[0].temperature == pytest.approx(1 / 14.28)
    # The first step has a rate of zero.
    assert history[1].temperature == pytest.approx(1 / 14.28)
    assert history[2].temperature != pytest.approx(1 / 14.28, rel=1e-6)
    assert history[2].scalars()["temperature"] == history[2].temperature


class Crash(Exception):
    pass


def files(adaptation: Adaptation, folder: Path) -> dict[str, bytes]:
    adaptation.save(folder)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("iteration", [4, 5, 9])
def test_interrupted_training_ends_in_the_same_bytes(world: CrossView, tmp_path: Path, iteration: int) -> None:
    def crash(metrics: IterationMetrics) -> None:
        if metrics.iteration == iteration:
            raise Crash

    rows, checkpoint = (world.train_queries, world.train_references), tmp_path / "checkpoint.safetensors"
    with pytest.raises(Crash):
        adapt(*rows, config=CONFIG, on_iteration=crash, checkpoint=checkpoint)
    if iteration > 4:
        tensors = load_file(checkpoint)
        assert tensors["learner.log_scale"] != np.float32(math.log(14.28))
        assert tensors["learner.adapter.running_mean"].any()
        assert tensors["learner.reverter.running_variance"].std() > 0
    resumed = adapt(*rows, config=CONFIG, checkpoint=checkpoint)
    assert files(resumed, tmp_path / "resumed") == files(adapt(*rows, config=CONFIG), tmp_path / "undisturbed")
    assert not checkpoint.exists()


@pytest.mark.parametrize("name", ["learner.log_scale", "learner.adapter.running_mean", "learner.reverter.shift"])
def test_everything_in_the_checkpoint_counts(world: CrossView, tmp_path: Path, name: str) -> None:
    from safetensors import safe_open
    from safetensors.numpy import save_file

    def crash(metrics: IterationMetrics) -> None:
        if metrics.iteration == 6:
            raise Crash

    rows, checkpoint = (world.train_queries, world.train_references), tmp_path / "checkpoint.safetensors"
    with pytest.raises(Crash):
        adapt(*rows, config=CONFIG, on_iteration=crash, checkpoint=checkpoint)
    tensors = load_file(checkpoint)
    with safe_open(checkpoint, framework="np") as file:
        metadata = file.metadata()
    save_file({**tensors, name: np.asarray(tensors[name] + np.float32(0.5))}, checkpoint, metadata=metadata)
    resumed = adapt(*rows, config=CONFIG, checkpoint=checkpoint)
    assert not np.array_equal(resumed.bias, adapt(*rows, config=CONFIG).bias) or name.startswith("learner.reverter")
    assert resumed.record.tensors_sha256 != adapt(*rows, config=CONFIG).record.tensors_sha256


@pytest.mark.parametrize("weights", [{"em_weight": 0.0}, {"reconstruction_weight": 0.0}])
def test_a_module_whose_weight_is_zero_is_not_computed(world: CrossView, weights: Any) -> None:
    adaptation = adapt(world.train_queries, world.train_references, config=AdaptConfig(**{**CONFIG.model_dump(), **weights}))
    switched_off = "contrast" if "em_weight" in weights else "reconstruction"
    for entry in adaptation.history:
        assert {name for name, value in entry.losses.items() if value == 0} == {
            name for name in entry.losses if name.startswith(switched_off)
        }
    if "em_weight" in weights:
        assert {entry.temperature for entry in adaptation.history} == {adaptation.history[0].temperature}


def test_a_threshold_that_nobody_passes_leaves_the_contrast_out(world: CrossView) -> None:
    history = adapt(world.train_queries, world.train_references, config=CONFIG.model_copy(update={"threshold": 1.0})).history
    assert {entry.losses["contrast_query_to_reference"] for entry in history} == {0.0}
    assert {entry.labelled_share for entry in history} == {0.0}


def test_single_rows_are_refused(world: CrossView) -> None:
    for queries, references in ((1, 5), (5, 1)):
        with pytest.raises(DataError, match="normalises"):
            adapt(world.train_queries[:queries], world.train_references[:references], recipe="released")
    with pytest.raises(ConfigError, match="single one"):
        adapt(world.train_queries, world.train_references, config=CONFIG.model_copy(update={"query_samples": 1}))


def test_settings_follow_the_recipe_that_is_asked_for(world: CrossView) -> None:
    config = AdaptConfig(recipe="paper-standardised", dimension=16, iterations=2)
    learned = adapt(world.train_queries, world.train_references, recipe="released", config=config).record.config
    assert learned == AdaptConfig(recipe="released", dimension=16, iterations=2)
    assert (learned.learning_rate, learned.weight_decay, learned.smoothing, learned.query_samples) == (2e-4, 0.01, 0.1, None)
