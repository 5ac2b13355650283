"""`cvgl.adapt` with the recipe `auto`: the choice of the command, without a lake."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import cvgl
from cvgl.config import AdaptConfig, Recipe, SelectConfig
from cvgl.errors import ConfigError, DataError, GateRefusal
from cvgl.features import FeatureStore
from cvgl.lake import Lake, read_json
from cvgl.quality.selection import Selection
from cvgl.stages.adapt import SELECTION_FILE, read_selection
from cvgl.stages.adapt import adapt as stage
from tests.quality.views import pair
from tests.stages.lakes import DATASET, Shot, write_features, write_images

QUICK = SelectConfig(repeats=1, candidates=(Recipe.ROBUST,))


def shots(places: int = 60) -> list[Shot]:
    queries, references = pair(places=places)
    return [
        *(Shot(f"q{i:03d}", "drone", ["train"], row) for i, row in enumerate(queries)),
        *(Shot(f"r{i:03d}", "satellite", ["train"], row) for i, row in enumerate(references)),
    ]


@pytest.mark.parametrize("seed", [0, 3])
def test_the_choice_and_the_adapter_are_those_of_the_stage(lake: Lake, tmp_path: Path, seed: int) -> None:
    taken = shots()
    write_images(lake, taken)
    features = write_features(lake, taken)
    config = AdaptConfig(recipe=Recipe.AUTO, seed=seed)
    made = stage(features, config, lake, rules=QUICK)
    store = FeatureStore(features.path)
    sides = [store.read(sorted(entry.name for entry in taken if entry.view == view)) for view in ("drone", "satellite")]

    learned = cvgl.adapt(sides[0], sides[1], recipe="auto", seed=seed, rules=QUICK)

    assert isinstance(learned.choice, Selection)
    assert learned.choice == read_selection(made.ref.path)
    assert learned.record.config.recipe is learned.choice.chosen is not Recipe.AUTO
    learned.save(tmp_path / "saved")
    for name in ("adapter.safetensors", SELECTION_FILE):
        assert (tmp_path / "saved" / name).read_bytes() == (made.ref.path / name).read_bytes()
    assert DATASET in made.run


def test_by_configuration_it_is_the_same_and_a_named_recipe_has_no_choice() -> None:
    sides = [np.asarray(side, np.float32) for side in pair(places=40)]
    by_name = cvgl.adapt(sides[0], sides[1], recipe="auto", rules=QUICK)
    by_configuration = cvgl.adapt(sides[0], sides[1], config=AdaptConfig(recipe=Recipe.AUTO), rules=QUICK)
    assert by_name.choice == by_configuration.choice
    assert by_name.tensor_bytes() == by_configuration.tensor_bytes()
    assert cvgl.adapt(sides[0], sides[1], recipe="standardised").choice is None


def test_views_that_have_nothing_to_do_with_one_another_are_refused() -> None:
    rng = np.random.default_rng(0)
    unrelated = [rng.standard_normal((60, 48)).astype(np.float32) for _ in range(2)]
    with pytest.raises(GateRefusal, match="nothing to do with one another"):
        cvgl.adapt(unrelated[0], unrelated[1], recipe="auto")
    assert cvgl.adapt(unrelated[0], unrelated[1], recipe="standardised").record.config.recipe is Recipe.STANDARDISED
    with pytest.raises(GateRefusal, match="5 "):
        cvgl.adapt(unrelated[0][:5], unrelated[1][:5], recipe="auto")


def test_nonsense_is_refused_as_ever() -> None:
    sides = [np.asarray(side, np.float32) for side in pair(places=20)]
    with pytest.raises(ConfigError):
        cvgl.adapt(sides[0], sides[1], recipe="automatic")
    with pytest.raises(DataError):
        cvgl.adapt(sides[0], sides[1][:, :3], recipe="auto")


def test_there_is_no_parameter_for_a_label() -> None:
    assert list(inspect.signature(cvgl.adapt).parameters) == [
        "query_features",
        "reference_features",
        "recipe",
        "config",
        "seed",
        "on_iteration",
        "checkpoint",
        "sequences",
        "rules",
    ]


def test_the_name_is_cheap() -> None:
    code = "import sys; from cvgl import adapt; print(adapt.__module__, 'torch' in sys.modules, 'pyarrow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["cvgl.stages.learning", "False", "False"]


def test_what_is_saved_says_why(tmp_path: Path) -> None:
    sides = [np.asarray(side, np.float32) for side in pair(places=40)]
    cvgl.adapt(sides[0], sides[1], recipe="auto", rules=QUICK).save(tmp_path)
    stored = read_json(tmp_path / SELECTION_FILE)
    assert stored["chosen"] in set(Recipe)
    assert stored["reason"]
