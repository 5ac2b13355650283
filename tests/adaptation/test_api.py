"""`adapt` as a user calls it: it helps, it repeats itself exactly, it goes on after a crash, and it refuses nonsense."""

from __future__ import annotations

import dataclasses
import errno
import inspect
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import cvgl
from cvgl import adapt
from cvgl.adaptation import Adaptation, DescriptorTransform, FrameSequences, IterationMetrics, frozen, learn, standardise
from cvgl.adaptation.standardise import fit, fit_jointly
from cvgl.config import UNTRAINED, AdaptConfig, Recipe
from cvgl.errors import ConfigError, DataError, LakeError, UnreadableError
from tests.adaptation.recording import Call, recording
from tests.adaptation.synthetic import CrossView, cross_view, recall_at_1

CONFIG = AdaptConfig(recipe="paper-standardised", dimension=16, iterations=9, query_samples=25, checkpoint_every=4)


@pytest.fixture(scope="module")
def world() -> CrossView:
    return cross_view(places=20, d0=32)


def files(adaptation: Adaptation, folder: Path) -> dict[str, bytes]:
    adaptation.save(folder)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def recalls(transform: DescriptorTransform, world: CrossView) -> NDArray[Any]:
    queries, references = transform.transform_query(world.test_queries), transform.transform_reference(world.test_references)
    return np.array([recall_at_1(queries, references), recall_at_1(references, queries)])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_adaptation_beats_both_baselines_on_new_places(seed: int) -> None:
    world = cross_view(seed=seed)
    adaptation = adapt(
        world.train_queries, world.train_references, config=AdaptConfig(recipe="paper-standardised", dimension=None), seed=seed
    )
    for adapted, before, baseline in zip(
        recalls(adaptation, world),
        recalls(frozen(48), world),
        recalls(standardise.fit(world.train_queries, world.train_references), world),
        strict=True,
    ):
        assert adapted >= before + 0.3
        assert adapted >= baseline


def test_the_literal_recipe_is_there_too(world: CrossView) -> None:
    adaptation = adapt(world.train_queries, world.train_references, config=CONFIG.model_copy(update={"recipe": Recipe.PAPER}))
    assert not adaptation.statistics.query.mean.any()
    assert (adaptation.statistics.query.std == 1).all()


def test_one_seed_gives_one_result_and_another_gives_another(world: CrossView, tmp_path: Path) -> None:
    first, second, other = (adapt(world.train_queries, world.train_references, config=CONFIG, seed=seed) for seed in (5, 5, 6))
    assert files(first, tmp_path / "a") == files(second, tmp_path / "b")
    assert not np.array_equal(first.adapter, other.adapter)
    assert (first.record.config.seed, other.record.config.seed) == (5, 6)


def test_global_random_state_neither_matters_nor_moves(world: CrossView) -> None:
    import torch

    torch.manual_seed(1)
    first = adapt(world.train_queries, world.train_references, config=CONFIG)
    assert torch.initial_seed() == 1
    state = torch.get_rng_state()
    torch.manual_seed(2)
    second = adapt(world.train_queries, world.train_references, config=CONFIG)
    assert np.array_equal(first.adapter, second.adapter)
    torch.set_rng_state(state)


class Crash(Exception):
    pass


@pytest.mark.parametrize("iteration", [1, 4, 5, 8, 9])
def test_interrupted_training_ends_in_the_same_bytes(world: CrossView, tmp_path: Path, iteration: int) -> None:
    def crash(metrics: IterationMetrics) -> None:
        if metrics.iteration == iteration:
            raise Crash

    checkpoint = tmp_path / "checkpoint.safetensors"
    arguments: dict[str, Any] = {"config": CONFIG, "checkpoint": checkpoint}
    with pytest.raises(Crash):
        adapt(world.train_queries, world.train_references, on_iteration=crash, **arguments)
    assert checkpoint.exists() == (iteration > 4)
    iterations: list[int] = []
    resumed = adapt(
        world.train_queries,
        world.train_references,
        on_iteration=lambda metrics: iterations.append(metrics.iteration),
        **arguments,
    )
    assert iterations == list(range(1, 10))
    assert not checkpoint.exists()
    undisturbed = adapt(world.train_queries, world.train_references, config=CONFIG)
    assert files(resumed, tmp_path / "resumed") == files(undisturbed, tmp_path / "undisturbed")


def test_resuming_does_not_repeat_finished_iterations(
    world: CrossView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cvgl.adaptation import training

    def crash(metrics: IterationMetrics) -> None:
        if metrics.iteration == 6:
            raise Crash

    checkpoint = tmp_path / "checkpoint.safetensors"
    with pytest.raises(Crash):
        adapt(world.train_queries, world.train_references, config=CONFIG, on_iteration=crash, checkpoint=checkpoint)
    draws: list[Call] = []
    monkeypatch.setattr(training, "sample", recording(training.sample, draws))
    adapt(world.train_queries, world.train_references, config=CONFIG, checkpoint=checkpoint)
    assert len(draws) == 5  # iterations 5 to 9


KILLED = """
import os, signal, sys
from cvgl import adapt
from cvgl.config import AdaptConfig
from tests.adaptation.synthetic import cross_view
world, stop, recipe = cross_view(places=20, d0=32), int(sys.argv[2]), sys.argv[3]
def kill(metrics):
    if metrics.iteration == stop:
        os.kill(os.getpid(), signal.SIGKILL)
config = AdaptConfig(recipe=recipe, dimension=16, iterations=9, query_samples=25, checkpoint_every=1)
adapt(world.train_queries, world.train_references, config=config, on_iteration=kill, checkpoint=sys.argv[1])
"""


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [Recipe.PAPER_STANDARDISED, Recipe.RELEASED])
def test_kill_9_at_any_iteration_ends_in_the_same_bytes(world: CrossView, tmp_path: Path, recipe: Recipe) -> None:
    config = AdaptConfig(recipe=recipe, dimension=16, iterations=9, query_samples=25, checkpoint_every=1)
    undisturbed = files(adapt(world.train_queries, world.train_references, config=config), tmp_path / "undisturbed")
    checkpoint = tmp_path / "checkpoint.safetensors"
    for iteration in (3, 9):
        root = Path(cvgl.__file__).parents[1]
        command = [sys.executable, "-c", KILLED, str(checkpoint), str(iteration), recipe]
        process = subprocess.run(command, cwd=root, check=False)
        assert process.returncode == -signal.SIGKILL
    resumed = adapt(world.train_queries, world.train_references, config=config, checkpoint=checkpoint)
    assert files(resumed, tmp_path / "resumed") == undisturbed
    assert not checkpoint.exists()


@pytest.mark.parametrize("change", ["rows", "settings", "seed"])
def test_checkpoint_of_another_training_is_refused(world: CrossView, tmp_path: Path, change: str) -> None:
    def crash(metrics: IterationMetrics) -> None:
        if metrics.iteration == 5:
            raise Crash

    checkpoint = tmp_path / "checkpoint.safetensors"
    with pytest.raises(Crash):
        adapt(world.train_queries, world.train_references, config=CONFIG, on_iteration=crash, checkpoint=checkpoint)
    queries = world.train_queries[:-1] if change == "rows" else world.train_queries
    config = CONFIG.model_copy(update={"temperature": 0.2}) if change == "settings" else CONFIG
    with pytest.raises(LakeError, match="other rows"):
        adapt(queries, world.train_references, config=config, seed=3 if change == "seed" else None, checkpoint=checkpoint)


@pytest.mark.parametrize("content", [b"", b"\x00" * 64, b'{"not": "safetensors"}'])
def test_damaged_checkpoint_is_an_error_with_a_remedy(world: CrossView, tmp_path: Path, content: Any) -> None:
    checkpoint = tmp_path / "checkpoint.safetensors"
    checkpoint.write_bytes(content)
    with pytest.raises(LakeError, match="damaged") as caught:
        adapt(world.train_queries, world.train_references, config=CONFIG, checkpoint=checkpoint)
    assert "delete" in caught.value.fix


def test_checkpoint_of_foreign_content_is_damaged(world: CrossView, tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    for number, metadata in enumerate((None, {"state": "{"}, {"state": json.dumps({"identity": "x"})})):
        checkpoint = tmp_path / f"{number}.safetensors"
        save_file({"adapter": np.ones(3, np.float32)}, checkpoint, metadata=metadata)
        with pytest.raises(LakeError, match="damaged"):
            adapt(world.train_queries, world.train_references, config=CONFIG, checkpoint=checkpoint)


def test_there_is_no_parameter_for_a_label() -> None:
    assert list(inspect.signature(learn).parameters) == [
        "query_features",
        "reference_features",
        "config",
        "on_iteration",
        "checkpoint",
        "draws",
        "sequences",
    ]
    # In what order images were taken, and where the map's own tiles lie: nothing about where an image was taken.
    assert [field.name for field in dataclasses.fields(FrameSequences)] == ["rows", "positions"]
    assert list(inspect.signature(FrameSequences.of).parameters) == ["names", "reference_positions"]
    assert not [
        name for name in AdaptConfig.model_fields if any(word in name for word in ("label", "truth", "location", "pair"))
    ]


@pytest.mark.parametrize(("n_queries", "n_references"), [(1, 1), (1, 5), (5, 1), (2, 2)], ids=["1x1", "1x5", "5x1", "2x2"])
def test_very_few_rows_give_finite_unit_output(world: CrossView, n_queries: int, n_references: int) -> None:
    adaptation = adapt(world.train_queries[:n_queries], world.train_references[:n_references], config=CONFIG)
    out = adaptation.transform_query(world.test_queries)
    assert np.allclose(np.linalg.norm(out, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("value", [0.0, 1.0, -3.5])
@pytest.mark.parametrize("recipe", sorted(set(Recipe) - {Recipe.AUTO}))
def test_constant_features_give_finite_output(world: CrossView, value: float, recipe: Recipe) -> None:
    rows = np.full((30, 32), value, np.float32)
    changes = (
        {} if recipe in UNTRAINED else {"iterations": 9} if recipe is Recipe.ROBUST else {"iterations": 9, "dimension": 16}
    )
    config = AdaptConfig(recipe=recipe, **changes)
    adaptation = adapt(rows, rows[:7], config=config)
    for out in (adaptation.transform_query(world.test_queries), adaptation.transform_reference(rows)):
        assert np.isfinite(out).all()
        assert np.abs(out).max() <= 1 + 1e-6


def test_a_choice_is_not_made_here(world: CrossView) -> None:
    with pytest.raises(ConfigError, match="choice"):
        learn(world.train_queries, world.train_references, AdaptConfig(recipe="auto"))


@pytest.mark.parametrize("recipe", sorted(UNTRAINED))
def test_recipes_without_a_map_are_the_baselines(world: CrossView, recipe: Recipe) -> None:
    learned = adapt(world.train_queries, world.train_references, recipe=recipe)
    baselines: dict[str, DescriptorTransform] = {
        Recipe.FROZEN: frozen(world.train_queries.shape[1]),
        Recipe.STANDARDISED: fit(world.train_queries, world.train_references),
        Recipe.STANDARDISED_JOINTLY: fit_jointly(world.train_queries, world.train_references),
    }
    expected = baselines[recipe]
    assert np.allclose(learned.transform_query(world.test_queries), expected.transform_query(world.test_queries), atol=1e-6)
    assert np.allclose(
        learned.transform_reference(world.test_references), expected.transform_reference(world.test_references), atol=1e-6
    )
    assert learned.record.history == ()


def test_one_statistic_for_both_views_gives_each_view_the_same_weight(world: CrossView) -> None:
    queries, references = world.train_queries, world.train_references
    once, again = fit_jointly(queries, references), fit_jointly(np.concatenate([queries, queries]), references)
    assert np.allclose(once.query.mean, again.query.mean, atol=1e-6)
    assert np.array_equal(once.query.mean, once.reference.mean)
    assert not np.allclose(once.query.mean, fit(queries, references).query.mean, atol=1e-3)


def test_read_only_and_half_precision_features_are_accepted(world: CrossView) -> None:
    rows = world.train_queries.astype(np.float16)
    rows.setflags(write=False)
    assert adapt(rows, world.train_references, config=CONFIG).record.training.n_queries == 60


def test_inputs_are_left_alone(world: CrossView) -> None:
    queries, references = world.train_queries.copy(), world.train_references.copy()
    adapt(queries, references, config=CONFIG)
    assert np.array_equal(queries, world.train_queries)
    assert np.array_equal(references, world.train_references)


def test_bad_features_and_settings_are_refused(world: CrossView) -> None:
    good = world.train_queries
    with pytest.raises(DataError, match="0 rows"):
        adapt(good[:0], good)
    with pytest.raises(DataError, match="31 dimensions"):
        adapt(good, good[:, :31])
    with pytest.raises(DataError, match="holds NaN"):
        adapt(good, np.full_like(good, np.nan))
    with pytest.raises(ConfigError, match="recipe = 'magic'"):
        adapt(good, good, recipe="magic")
    with pytest.raises(ConfigError, match="seed = -1"):
        adapt(good, good, seed=-1)
    with pytest.raises(ConfigError, match="residual"):
        adapt(good, good, recipe="released", config=AdaptConfig(recipe="paper", residual=True))


def test_importing_the_package_loads_no_torch() -> None:
    code = "import sys, cvgl.adaptation, cvgl.adaptation.record, cvgl.adaptation.standardise; print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


def test_a_checkpoint_that_may_not_be_read_is_not_called_damaged(
    world: CrossView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """safetensors says "no such file" of it; nobody is told to delete what took hours."""
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(b"sound")

    def refuse(path: Path) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(UnreadableError) as raised:
        adapt(world.train_queries, world.train_references, config=CONFIG, checkpoint=path)
    assert "delete" not in str(raised.value)
    assert path.is_file()
