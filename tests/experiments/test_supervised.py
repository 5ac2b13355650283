from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cvgl import adapt
from cvgl.adaptation import Adaptation, frozen
from cvgl.config import AdaptConfig, Recipe
from cvgl.errors import ConfigError, DataError, ModelError
from cvgl.experiments.material import TrainingPlaces, TrainingSet
from cvgl.experiments.supervised import fit_bound
from tests.adaptation.synthetic import recall_at_1

PAPER = {"recipe": Recipe.PAPER, "dimension": None, "reconstruction_weight": 0.0}


def pairs(
    places: int = 40, views: int = 3, noise: float = 0.3, offset: float = 3.0, nuisance: float = 0.0
) -> tuple[TrainingSet, TrainingPlaces, np.ndarray, np.ndarray]:
    """Training rows with their places, and test rows (queries, references) of other places, row by row."""
    rng = np.random.default_rng(0)
    shifts = offset * rng.normal(size=(2, 24)) / np.sqrt(24)

    def look(content: np.ndarray, side: int) -> np.ndarray:
        rows = content + shifts[side] + noise * rng.normal(size=content.shape)
        rows[:, :6] += nuisance * rng.normal(size=(len(rows), 6))  # what labels can teach to look away from
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    train, test = rng.normal(size=(places, 24)), rng.normal(size=(places, 24))
    labels = rng.permutation(np.repeat(np.arange(places), views))
    training = TrainingSet(look(train[labels], 0), look(train, 1), tuple(map(str, range(len(labels)))), tuple("r"))
    truth = TrainingPlaces(tuple(f"p{place}" for place in labels), tuple(f"p{place}" for place in range(places)))
    return training, truth, look(test, 0), look(test, 1)


def test_it_is_empl_with_truth_for_pseudo_labels() -> None:
    # Where every pseudo-label is right from the first iteration on, the two trainings are one.
    training, truth, _, _ = pairs(noise=0.02, offset=0.0)
    config = AdaptConfig(**PAPER, iterations=15, query_samples=50, seed=3, temperature=0.2)
    bound = fit_bound(training, truth, config)
    label_free = adapt(training.queries, training.references, config=config)
    np.testing.assert_allclose(bound.weight, label_free.adapter, atol=1e-5)
    start = fit_bound(training, truth, config.model_copy(update={"iterations": 0}))
    assert np.abs(bound.weight - start.weight).max() > 1e-3


def test_true_pairs_help_on_places_never_seen_and_false_ones_do_not() -> None:
    training, truth, queries, references = pairs(places=80, nuisance=1.5)
    config = AdaptConfig(**PAPER)
    bound = fit_bound(training, truth, config)
    before = frozen(24)
    at_start = recall_at_1(before.transform_query(queries), before.transform_reference(references))
    reached = recall_at_1(bound.transform_query(queries), bound.transform_reference(references))
    assert reached > at_start + 0.2
    shuffled = TrainingPlaces(tuple(np.random.default_rng(1).permutation(np.array(truth.queries, object))), truth.references)
    misled = fit_bound(training, shuffled, config)
    assert recall_at_1(misled.transform_query(queries), misled.transform_reference(references)) < reached - 0.2


def test_all_images_of_a_place_are_right_answers() -> None:
    training, truth, _, _ = pairs(places=10, views=2)
    doubled = TrainingSet(
        training.queries, np.concatenate([training.references, training.references[:, ::-1].copy()]), training.query_ids, ()
    )
    config = AdaptConfig(**PAPER, iterations=1)
    both = fit_bound(doubled, TrainingPlaces(truth.queries, truth.references * 2), config)
    reference = fit_bound(doubled, TrainingPlaces(truth.queries, truth.references + (None,) * 10), config)
    assert both.losses[0] != pytest.approx(reference.losses[0])
    assert np.isfinite(both.losses).all()


def test_two_images_of_unknown_places_are_no_pair() -> None:
    training, truth, _, _ = pairs(places=6)
    config = AdaptConfig(**PAPER, iterations=2)

    def losses(unknown_query: str | None, unknown_reference: str | None) -> tuple[float, ...]:
        places = TrainingPlaces((unknown_query, *truth.queries[1:]), (unknown_reference, *truth.references[1:]))
        return fit_bound(training, places, config).losses

    assert losses(None, None) == losses("here", "there")
    assert losses(None, None) != losses("here", "here")


def test_the_views_are_normalised_as_the_recipe_says() -> None:
    training, truth, queries, references = pairs()
    plain, standardised = (
        fit_bound(training, truth, AdaptConfig(**{**PAPER, "recipe": recipe}, iterations=0))
        for recipe in (Recipe.PAPER, Recipe.PAPER_STANDARDISED)
    )
    # The start keeps inner products, so what is left is the normalisation.
    np.testing.assert_allclose(
        plain.transform_query(queries) @ plain.transform_reference(references).T, queries @ references.T, atol=1e-5
    )
    assert np.abs(standardised.transform_query(training.queries).mean(axis=0)).max() < 0.05
    assert np.abs(training.queries.mean(axis=0)).max() > 0.1


def test_it_is_no_adaptation_and_nothing_that_can_be_kept() -> None:
    training, truth, _, _ = pairs(places=5)
    bound = fit_bound(training, truth, AdaptConfig(**PAPER, iterations=1))
    assert not isinstance(bound, Adaptation)
    assert not hasattr(bound, "save")
    assert not hasattr(bound, "record")


def test_ground_truth_that_pairs_nothing_is_refused() -> None:
    training, truth, _, _ = pairs(places=5)
    for queries, references in (
        ((None,) * 15, truth.references),
        (truth.queries, (None,) * 5),
        (("x",) * 15, truth.references),
    ):
        with pytest.raises(DataError, match="nothing can be supervised"):
            fit_bound(training, TrainingPlaces(queries, references), AdaptConfig(**PAPER))


def test_a_training_that_diverges_says_so() -> None:
    training, truth, _, _ = pairs(places=5)
    with pytest.raises(ModelError, match="iteration"):
        fit_bound(training, truth, AdaptConfig(**PAPER, temperature=1e-40))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"recipe": Recipe.RELEASED}, "released"),
        ({"recipe": Recipe.PAPER}, "consistency module"),
        ({"recipe": Recipe.PAPER, "residual": True}, "residual"),
    ],
)
def test_what_the_bound_does_not_have_is_refused(settings: dict[str, Any], named: str) -> None:
    training, truth, _, _ = pairs(places=5)
    with pytest.raises(ConfigError, match=named):
        fit_bound(training, truth, AdaptConfig(**settings))
