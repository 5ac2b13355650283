"""A score without labels: what it must follow, and what it must not."""

from __future__ import annotations

import numpy as np
import pytest

from cvgl.adaptation.sequences import FrameSequences
from cvgl.errors import DataError
from cvgl.quality.agreement import agreement, mutual_pairs


def views(noise: float, places: int = 80, dimension: int = 48, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Descriptors of places in two views, which lie around different means and differ by noise."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(places, dimension))
    offset = 3 * rng.normal(size=dimension)
    noisy = shared + offset + noise * rng.normal(size=shared.shape)
    return noisy.astype(np.float32), shared.astype(np.float32)


def recall(queries: np.ndarray, references: np.ndarray) -> float:
    queries, references = queries - queries.mean(0), references - references.mean(0)
    return float(((queries @ references.T).argmax(1) == np.arange(len(queries))).mean())


def test_it_follows_what_labels_would_say() -> None:
    noises = (0.2, 0.8, 1.5, 3.0, 6.0)
    scores = [agreement(*views(noise)).score for noise in noises]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 0.95
    assert np.corrcoef(scores, [recall(*views(noise)) for noise in noises])[0, 1] > 0.8


def test_the_order_and_length_of_rows_do_not_matter() -> None:
    queries, references = views(1.0)
    order = np.random.default_rng(1).permutation(len(queries))
    assert agreement(queries[order] * 7, references) == agreement(queries, references)


def test_views_without_anything_in_common_do_not_agree() -> None:
    """About half of all images have a mutual neighbour by chance; two halves of the dimensions do not have the same one."""
    rng = np.random.default_rng(0)
    queries, references = (rng.normal(size=(100, 64)).astype(np.float32) for _ in range(2))
    assert len(mutual_pairs(queries, references)) > 30
    assert agreement(queries, references).score < 0.05


def test_directions_in_which_partners_differ_are_weighed_down() -> None:
    """Strong nuisance in a few directions hides a signal that the whitening brings out."""
    rng = np.random.default_rng(0)
    queries, references = views(0.9, places=120, dimension=64)
    directions = np.linalg.qr(rng.normal(size=(64, 3)))[0].T
    for rows in (queries, references):
        rows += (rng.normal(size=(120, 3)) * 4 @ directions).astype(np.float32)
    with_rounds = agreement(queries, references).score
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cvgl.quality.agreement.ROUNDS", 0)
        assert with_rounds > agreement(queries, references).score + 0.1


def test_sides_of_different_size_are_measured_by_the_smaller() -> None:
    queries, references = views(0.2, places=60)
    assert agreement(queries[:20], references).score > 0.9
    assert agreement(queries, references[:20]).score > 0.9


def test_the_error_shrinks_with_the_number_of_images_and_is_never_zero() -> None:
    few, many = (agreement(*views(0.1, places=places)) for places in (20, 200))
    assert min(few.score, many.score) > 0.95
    assert few.standard_error > many.standard_error > 0


def flight(noise: float, frames: int = 120, seed: int = 0) -> tuple[np.ndarray, np.ndarray, FrameSequences]:
    """A drone that wanders over a grid of tiles, most of which it never sees."""
    rng = np.random.default_rng(seed)
    side = 12
    positions = np.stack(np.divmod(np.arange(side * side), side), axis=1) * 50.0
    tiles = rng.normal(size=(side * side, 32))
    labels = [side * 4 + min(frame // 10, side - 1) for frame in range(frames)]
    queries = tiles[labels] + noise * rng.normal(size=(frames, 32))
    return queries.astype(np.float32), tiles.astype(np.float32), FrameSequences.of(["flight"] * frames, positions)


def test_a_flight_is_scored_by_how_well_a_course_explains_it() -> None:
    scores = [agreement(*flight(noise)).score for noise in (0.3, 1.5, 3.0, 9.0)]
    assert scores == sorted(scores, reverse=True)
    assert agreement(*flight(0.3)).standard_error > 0


def test_a_flight_without_anything_in_common_with_the_map_is_not_explained() -> None:
    queries, tiles, courses = flight(0.3)
    noise = np.random.default_rng(5).normal(size=queries.shape).astype(np.float32)
    assert agreement(noise, tiles, courses).score < 0.1 < agreement(queries, tiles, courses).score


@pytest.mark.parametrize("count", [2, 3])
def test_a_handful_of_images_has_a_score(count: int) -> None:
    assert 0 <= agreement(*views(0.1, places=count)).score <= 1


def test_descriptors_that_are_all_alike_agree_on_nothing_much() -> None:
    same = np.ones((30, 6), np.float32)
    assert agreement(same, same).score <= 1 / 30


def test_too_few_or_unusable_descriptors_are_refused() -> None:
    queries, references = views(1.0, places=5)
    with pytest.raises(DataError, match="two images"):
        agreement(queries[:1], references)
    queries[2, 3] = np.nan
    with pytest.raises(DataError):
        agreement(queries, references)
