"""Gallery rows that are near to everything lose what that is worth, by what was stored with the adapter."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cvgl import adapt
from cvgl.adaptation import Adaptation, HubnessCorrected, standardise
from cvgl.adaptation.correction import BANK_ROWS, Banks, GallerySide, hubness_to
from cvgl.config import AdaptConfig, Recipe
from cvgl.errors import ConfigError, LakeError
from cvgl.retrieval import evaluate, top_k
from tests.adaptation.recording import bank_rows, banks_of
from tests.adaptation.synthetic import CrossView, cross_view


@pytest.fixture(scope="module")
def world() -> CrossView:
    return cross_view(places=40, d0=32)


@pytest.fixture(scope="module")
def robust(world: CrossView) -> Adaptation:
    return adapt(world.train_queries, world.train_references, recipe="robust", seed=3)


def naive(rows: NDArray[Any], bank: NDArray[Any], k: int) -> NDArray[Any]:
    return np.asarray([np.mean(sorted((float(row @ other) for other in bank), reverse=True)[:k]) for row in rows])


def test_the_recipe_robust_keeps_adapted_training_rows_of_both_views(robust: Adaptation, world: CrossView) -> None:
    assert banks_of(robust).query.shape == (120, 32)
    np.testing.assert_array_equal(banks_of(robust).query, robust.transform_query(world.train_queries))
    np.testing.assert_array_equal(banks_of(robust).reference, robust.transform_reference(world.train_references))
    assert (bank_rows(robust).n_queries, bank_rows(robust).n_references) == (120, 40)
    assert (
        adapt(world.train_queries, world.train_references, config=AdaptConfig(recipe=Recipe.PAPER, iterations=0)).banks is None
    )


def test_a_bank_is_a_sample_that_the_seed_decides() -> None:
    rng = np.random.default_rng(0)
    queries, references = (rng.normal(size=(n, 8)).astype(np.float32) for n in (BANK_ROWS + 90, 30))
    made = [adapt(queries, references, recipe="robust", seed=seed) for seed in (0, 0, 1)]
    assert [len(banks_of(adaptation).query) for adaptation in made] == [BANK_ROWS] * 3
    np.testing.assert_array_equal(banks_of(made[0]).query, banks_of(made[1]).query)
    assert not np.array_equal(banks_of(made[0]).query, banks_of(made[2]).query)
    nearest = (banks_of(made[0]).query @ made[0].transform_query(queries).T).argmax(axis=1)
    assert len(set(nearest.tolist())) == BANK_ROWS
    assert (np.diff(nearest) > 0).all()
    assert nearest[-1] > BANK_ROWS


def test_banks_survive_saving_and_may_be_absent(robust: Adaptation, world: CrossView, tmp_path: Path) -> None:
    robust.save(tmp_path / "with")
    loaded = Adaptation.load(tmp_path / "with")
    np.testing.assert_array_equal(banks_of(loaded).query, banks_of(robust).query)
    np.testing.assert_array_equal(banks_of(loaded).reference, banks_of(robust).reference)
    loaded.save(tmp_path / "again")
    for name in ("adapter.safetensors", "adapter.json"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "with" / name).read_bytes()
    adapt(world.train_queries, world.train_references, config=AdaptConfig(recipe=Recipe.PAPER, iterations=0)).save(
        tmp_path / "without"
    )
    assert Adaptation.load(tmp_path / "without").banks is None


def test_banks_of_another_size_than_recorded_are_noticed(robust: Adaptation, tmp_path: Path) -> None:
    record = robust.record.model_copy(update={"banks": bank_rows(robust).model_copy(update={"n_queries": 7})})
    Adaptation(**{**{name: getattr(robust, name) for name in Adaptation.__dataclass_fields__}, "record": record}).save(tmp_path)
    with pytest.raises(LakeError, match=r"query\.bank"):
        Adaptation.load(tmp_path)


@pytest.mark.parametrize("gallery", ["reference", "query"])
def test_inner_products_are_cosines_less_half_of_the_galleries_hubness(
    robust: Adaptation, world: CrossView, gallery: GallerySide
) -> None:
    corrected = HubnessCorrected(robust, gallery)
    query, reference = corrected.transform_query(world.test_queries), corrected.transform_reference(world.test_references)
    assert query.shape == reference.shape == (40, 33)
    assert query.dtype == reference.dtype == np.float32
    z_query, z_reference = robust.transform_query(world.test_queries), robust.transform_reference(world.test_references)
    if gallery == "reference":
        penalty = naive(z_reference, banks_of(robust).query, 10)[None]
    else:
        penalty = naive(z_query, banks_of(robust).reference, 10)[:, None]
    np.testing.assert_allclose(query @ reference.T, z_query @ z_reference.T - penalty / 2, atol=1e-6)


def test_more_neighbours_than_the_bank_has_are_all_of_it() -> None:
    rows = np.eye(3, dtype=np.float32)
    np.testing.assert_allclose(hubness_to(rows, rows[:2], 10), [0.5, 0.5, 0])
    np.testing.assert_allclose(hubness_to(rows, rows[:2], 1), [1, 1, 0])
    assert hubness_to(rows[:0], rows, 4).shape == (0,)


def test_equal_rows_have_equal_hubness_wherever_they_stand(robust: Adaptation) -> None:
    row = banks_of(robust).reference[:1]
    many = np.concatenate([banks_of(robust).reference, np.repeat(row, 9001, axis=0)])
    assert len(set(hubness_to(many, banks_of(robust).query, 10)[[0, *range(40, len(many))]].tolist())) == 1


def test_a_hub_stops_winning() -> None:
    """One reference lies in the middle of everything; what is stored from training shows it."""
    middle, places = np.eye(61, dtype=np.float32)[60], np.eye(60, 61, dtype=np.float32)
    queries = 0.8 * middle + 0.6 * places
    references = np.concatenate([0.2 * middle + 0.98 * places, middle[None]])
    learned = adapt(queries, references, config=AdaptConfig(recipe=Recipe.ROBUST, iterations=0))
    banks = Banks(queries, references / np.linalg.norm(references, axis=1, keepdims=True))
    adaptation = replace(learned, statistics=standardise.identity(61), banks=banks)
    plain, corrected = (
        evaluate(transform.transform_query(queries), np.arange(60), transform.transform_reference(references), np.arange(61))
        for transform in (adaptation, HubnessCorrected(adaptation))
    )
    assert plain.recall[1] == 0
    assert (plain.per_query.top_index[:, 0] == 60).all()
    assert corrected.recall[1] == 1


def test_faiss_and_exact_search_agree_on_corrected_rows(robust: Adaptation, world: CrossView) -> None:
    pytest.importorskip("faiss")
    corrected = HubnessCorrected(robust)
    sides = corrected.transform_query(world.test_queries), corrected.transform_reference(world.test_references)
    exact, faiss = (top_k(*sides, 5, backend) for backend in ("exact", "faiss"))
    np.testing.assert_array_equal(exact.index, faiss.index)
    np.testing.assert_allclose(exact.score, faiss.score, atol=1e-6)


def test_an_adapter_without_banks_says_what_to_do(world: CrossView) -> None:
    adaptation = adapt(world.train_queries, world.train_references, config=AdaptConfig(recipe=Recipe.PAPER, iterations=0))
    with pytest.raises(ConfigError, match="no statistics") as caught:
        HubnessCorrected(adaptation)
    assert "robust" in str(caught.value.fix)
