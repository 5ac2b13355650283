"""Views that have nothing to do with one another are told from those that do."""

from __future__ import annotations

import numpy as np
import pytest

from cvgl.adaptation import FrameSequences
from cvgl.quality.dependence import dependence_test
from tests.adaptation.synthetic_noise import flight
from tests.quality.views import pair, unrelated


@pytest.mark.parametrize("seed", range(3))
def test_views_of_the_same_places_are_related(seed: int) -> None:
    dependence = dependence_test(*pair(noise=1.0, seed=seed))
    assert dependence.related
    assert dependence.test == "pairs"


@pytest.mark.parametrize("seed", range(5))
def test_images_that_only_look_alike_are_not(seed: int) -> None:
    assert not dependence_test(*unrelated(seed=seed)).related


def test_several_images_of_a_place_do_not_make_views_related() -> None:
    queries, _ = pair(views=4, seed=0)
    _, references = pair(seed=99)
    assert not dependence_test(queries, references).related
    assert dependence_test(*pair(views=4, seed=0)).related


def test_noise_is_related_to_nothing() -> None:
    noise = np.random.default_rng(77).normal(size=(80, 48)).astype(np.float32)
    queries, references = pair()
    assert not dependence_test(noise, references).related
    assert not dependence_test(queries, noise).related


def test_the_same_descriptors_get_the_same_strength() -> None:
    assert dependence_test(*pair()).strength == dependence_test(*pair()).strength


def test_a_flight_is_related_to_its_map_and_not_to_one_with_its_tiles_dealt_out_anew() -> None:
    made = flight()
    dependence = dependence_test(made.frames, made.tiles, made.sequences)
    assert dependence.test == "course"
    assert dependence.related
    dealt = np.random.default_rng(3).permutation(len(made.tiles))
    assert not dependence_test(made.frames, made.tiles[dealt], made.sequences).related


def test_images_on_their_own_are_tested_as_pairs() -> None:
    queries, references = pair()
    alone = FrameSequences.of([None] * len(queries), np.zeros((len(references), 2)))
    assert dependence_test(queries, references, alone).test == "pairs"


def test_too_few_dimensions_prove_nothing() -> None:
    rows = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)
    assert not dependence_test(rows, rows).related
