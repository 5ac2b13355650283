"""Champion and challenger on images that neither has learned from; no table of places exists in these lakes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cvgl.adaptation import read_record
from cvgl.adaptation.record import AdapterRecord
from cvgl.config import AdaptConfig, Recipe
from cvgl.errors import DataError
from cvgl.features import FeatureStore
from cvgl.lake import Lake, write_json
from cvgl.stages.adapt import adapt
from cvgl.stages.held_out import contest, held_out
from cvgl.types import ArtifactRef
from tests.stages.lakes import DATASET, FINGERPRINT, write_features, write_images
from tests.stages.shifted import images


def learned(lake: Lake, features: ArtifactRef, recipe: Recipe, seed: int = 0) -> AdapterRecord:
    return read_record(adapt(features, AdaptConfig(recipe=recipe, seed=seed), lake).ref.path)


@pytest.fixture
def town(lake: Lake) -> ArtifactRef:
    """60 places to learn from, 40 to be asked."""
    shots = [*images(range(60), "train"), *images(range(60, 100), "query")]
    write_images(lake, shots)
    return write_features(lake, shots)


def test_the_better_one_wins_on_images_that_neither_has_learned_from(lake: Lake, town: ArtifactRef) -> None:
    frozen, standardised = (learned(lake, town, recipe) for recipe in (Recipe.FROZEN, Recipe.STANDARDISED))
    assert not (lake.root / "ground_truth").exists()
    won = contest(lake, DATASET, standardised, frozen)
    assert won.contest.is_won
    assert won.contest.difference > 0.2
    assert not contest(lake, DATASET, frozen, standardised).contest.is_won
    rows = won.rows.to_pylist()
    query_rows = [row["image_id"] for row in rows if row["role"] == "query"]
    assert query_rows == [f"d{place:03d}" for place in range(60, 100)]
    earned = np.array([[row["challenger"], row["champion"]] for row in rows if row["role"] == "query"])
    assert earned.mean(axis=0) == pytest.approx([won.contest.challenger, won.contest.champion])
    assert [row["image_id"] for row in rows if row["role"] == "reference"] == [f"s{place:03d}" for place in range(100)]
    assert won.digest == held_out(lake, DATASET, standardised, frozen).digest


def test_what_one_of_them_has_learned_from_is_left_out_and_what_came_later_is_not(lake: Lake) -> None:
    def arrive(places: range) -> ArtifactRef:
        write_images(lake, images(places, "train"))
        return write_features(lake, images(range(places.stop), "train"))

    champion = learned(lake, arrive(range(60)), Recipe.STANDARDISED)
    challenger = learned(lake, arrive(range(60, 90)), Recipe.STANDARDISED)
    assert challenger.training.n_queries == 90
    assert list(held_out(lake, DATASET, challenger, champion).queries) == []
    with pytest.raises(DataError, match="not comparable because 0 images are described that neither has learned from"):
        contest(lake, DATASET, challenger, champion)
    arrive(range(90, 120))
    rows = held_out(lake, DATASET, challenger, champion)
    assert [row["image_id"] for row in rows.queries] == [f"d{place:03d}" for place in range(90, 120)]
    # Against itself the champion could be asked what came second, too.
    assert len(held_out(lake, DATASET, champion, champion).queries) == 60
    # Where nothing tells what an adapter has learned from, it may have learned from all training pictures.
    unknown = champion.model_copy(update={"training": champion.training.model_copy(update={"query_ids_digest": None})})
    assert list(held_out(lake, DATASET, challenger, unknown).queries) == []


def test_adapters_of_two_frozen_models_are_asked_what_both_describe(lake: Lake, town: ArtifactRef, tmp_path: Path) -> None:
    frozen = learned(lake, town, Recipe.FROZEN)
    shots = [*images(range(60), "train", dimension=24), *images(range(60, 90), "query", dimension=24)]
    write_features(Lake.at(tmp_path / "other"), shots)
    folder = lake.features("f" * 16, DATASET)
    folder.mkdir(parents=True)
    made = Lake.at(tmp_path / "other").features(FINGERPRINT, DATASET) / "part-0000.parquet"
    made.rename(folder / made.name)
    write_json(folder.parent / "model.json", {})
    assert len(FeatureStore(folder).ids()) == 180
    other = learned(lake, ArtifactRef("features", folder, "f" * 16, DATASET), Recipe.STANDARDISED)
    assert (other.d0, frozen.d0) == (24, 32)
    comparison = contest(lake, DATASET, other, frozen).contest
    assert (comparison.n_queries, comparison.n_references) == (30, 90)
    assert comparison.is_won
    ground = other.model_copy(update={"query_view": "ground"})
    with pytest.raises(DataError, match="one is for ground images and the other for drone images"):
        contest(lake, DATASET, ground, frozen)
