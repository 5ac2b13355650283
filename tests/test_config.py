"""Settings refuse what has no meaning, and their digest is their identity."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from cvgl.config import (
    UNTRAINED,
    AdaptConfig,
    AlignmentConfig,
    BackboneConfig,
    Device,
    IngestConfig,
    Recipe,
    RunConfig,
    Settings,
)
from cvgl.types import Direction, View


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(ValidationError, match="learning_rat"):
        AdaptConfig.model_validate({"learning_rat": 0.1})


@pytest.mark.parametrize(
    ("model", "values"),
    [
        (AdaptConfig, {"temperature": 0}),
        (AdaptConfig, {"iterations": -1}),
        (AdaptConfig, {"recipe": "unknown"}),
        (AdaptConfig, {"recipe": "released", "residual": True}),
        (AdaptConfig, {"recipe": "paper", "residual": True, "reconstruction_weight": 1.0}),
        (AdaptConfig, {"recipe": "paper", "weight_decay": 0.01}),
        (AdaptConfig, {"recipe": "paper", "smoothing": 0.1}),
        (AdaptConfig, {"recipe": "paper", "em_weight": 0, "reconstruction_weight": 0}),
        (AdaptConfig, {"precision": "float16"}),
        (AdaptConfig, {"recipe": "released", "smoothing": 1}),
        (AdaptConfig, {"recipe": "robust", "dimension": 64}),
        (AdaptConfig, {"recipe": "robust", "residual": True}),
        (AdaptConfig, {"recipe": "robust", "threshold": 0.2}),
        (AdaptConfig, {"recipe": "robust", "temperature": 0.2}),
        (AdaptConfig, {"recipe": "robust", "learning_rate": 0.1}),
        (AdaptConfig, {"recipe": "robust", "weight_decay": 0.1}),
        (AdaptConfig, {"recipe": "robust", "em_weight": 0.5}),
        (AdaptConfig, {"recipe": "robust", "reconstruction_weight": 0}),
        (AdaptConfig, {"recipe": "robust", "hubness_neighbours": 0}),
        (AlignmentConfig, {"query_crop": 0}),
        (AlignmentConfig, {"reference_rotations": 3}),
        (BackboneConfig, {"gem_p": 0}),
        (IngestConfig, {"source": "x", "dataset": "../up"}),
        (IngestConfig, {"source": "x", "dataset": ""}),
        (IngestConfig, {"source": "x", "dataset": ".hidden"}),
    ],
)
def test_values_out_of_bounds_are_refused(model: type[Settings], values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        model.model_validate(values)


def test_settings_are_immutable() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        setattr(AdaptConfig(), "seed", 1)  # noqa: B010 (an assignment that the type checker refuses)


def test_digest_follows_every_field_and_nothing_else() -> None:
    assert AdaptConfig().digest() == AdaptConfig().digest()
    assert AdaptConfig().digest() != AdaptConfig(seed=1).digest()


def test_a_run_survives_json() -> None:
    run = RunConfig(ingest=IngestConfig(source="here", dataset="town"), adapt=AdaptConfig(seed=3))
    again = RunConfig.model_validate_json(run.model_dump_json())
    assert again == run
    assert again.adapt.seed == 3


def test_directions_are_written_as_the_field_writes_them() -> None:
    assert str(Direction(View.DRONE, View.SATELLITE)) == "drone_to_satellite"


def test_what_is_left_to_the_recipe_is_the_recipes() -> None:
    released, paper, robust = (AdaptConfig(recipe=recipe) for recipe in (Recipe.RELEASED, Recipe.PAPER, Recipe.ROBUST))
    assert robust == AdaptConfig()
    assert (robust.iterations, robust.query_samples, robust.dimension, robust.hubness_neighbours) == (5, None, None, 10)
    assert (released.iterations, paper.iterations) == (200, 60)
    assert (released.learning_rate, paper.learning_rate) == (2e-4, 1e-3)
    assert (released.temperature, paper.temperature) == (1 / 14.28, 0.1)
    assert (released.query_samples, paper.query_samples) == (None, 700)
    assert (released.weight_decay, released.smoothing, paper.weight_decay, paper.smoothing) == (0.01, 0.1, 0, 0)
    assert (released.dimension, paper.dimension, AdaptConfig(recipe=Recipe.PAPER, residual=True).dimension) == (
        2048,
        2048,
        None,
    )
    assert AdaptConfig(recipe=Recipe.RELEASED, iterations=7).iterations == 7


@pytest.mark.parametrize("recipe", list(Recipe))
def test_a_record_of_settings_holds_every_value(recipe: Recipe) -> None:
    settings = AdaptConfig(recipe=recipe)
    record = json.loads(settings.model_dump_json())
    without = dict.fromkeys([*UNTRAINED, Recipe.AUTO], 0)
    assert record["iterations"] == {Recipe.RELEASED: 200, Recipe.ROBUST: 5, **without}.get(recipe, 60)
    assert AdaptConfig.model_validate(record) == settings


def test_identity_is_what_decides_what_is_learned() -> None:
    base = AdaptConfig()
    assert base.identity() == AdaptConfig(device=Device.CPU, checkpoint_every=1).identity()
    changes: tuple[dict[str, Any], ...] = ({"seed": 1}, {"precision": "tf32"}, {"hubness_neighbours": 5}, {"recipe": "paper"})
    for change in changes:
        assert AdaptConfig.model_validate(change).identity() != base.identity()
    paper = AdaptConfig(recipe=Recipe.PAPER)
    paper_changes: tuple[dict[str, Any], ...] = ({"residual": True}, {"em_weight": 2.0})
    for change in paper_changes:
        assert AdaptConfig.model_validate({"recipe": "paper", **change}).identity() != paper.identity()


def test_a_form_neither_asks_for_nor_fills_in_what_the_recipe_decides() -> None:
    schema = RunConfig.model_json_schema()
    assert "default" not in schema["properties"]["adapt"]
    adapt = schema["$defs"]["AdaptConfig"]
    assert "required" not in adapt
    for name in ("iterations", "learning_rate", "temperature", "weight_decay", "smoothing", "query_samples"):
        assert "default" not in adapt["properties"][name]
