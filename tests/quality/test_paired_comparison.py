"""Two adapters against one another without labels."""

from __future__ import annotations

import numpy as np
import pytest

from cvgl.adaptation.descriptors import unit_rows
from cvgl.adaptation.sequences import FrameSequences
from cvgl.errors import DataError
from cvgl.quality.paired_comparison import Contest, Mapped, fight
from tests.adaptation.synthetic import Array
from tests.quality.views import centred


def blurred(rows: Array, noise: float, seed: int = 9) -> Array:
    return unit_rows((rows + noise * np.random.default_rng(seed).normal(size=rows.shape)).astype(np.float32))


def test_the_one_that_knows_the_places_better_wins_and_the_other_does_not() -> None:
    queries, references = centred(places=120, noise=0.5)
    better, worse = Mapped(queries, references), Mapped(blurred(queries, 0.25), references)
    won = fight(better, worse)
    assert won.contest.is_won
    assert (won.contest.measure, won.contest.n_queries, won.contest.n_references) == ("halves", 120, 120)
    assert won.contest.difference == pytest.approx(float((won.challenger - won.champion).mean()))
    lost = fight(worse, better).contest
    assert not lost.is_won
    assert lost.difference == pytest.approx(-won.contest.difference)


def test_spaces_of_other_dimensions_compare() -> None:
    small, large = centred(places=100, dimension=24, noise=0.9), centred(places=100, dimension=96, noise=0.9)
    assert fight(Mapped(*large), Mapped(*small)).contest.is_won


def test_an_adapter_does_not_beat_itself() -> None:
    queries, references = centred()
    comparison = fight(Mapped(queries, references), Mapped(queries.copy(), references.copy())).contest
    assert (comparison.difference, comparison.standard_error, comparison.is_won) == (0.0, 0.0, False)


def test_equals_seldom_win() -> None:
    wins = 0
    for seed in range(40):
        queries, references = centred(places=60, noise=0.6, seed=seed)
        sides = [Mapped(blurred(queries, 0.1, 100 + seed + 50 * number), references) for number in range(2)]
        wins += fight(sides[0], sides[1]).contest.is_won
    assert wins <= 9  # one-sided 90 % allows 4; chance alone passes 9 once in 200


def test_images_in_a_row_are_compared_along_their_course() -> None:
    queries, references = centred(places=60, noise=0.5)
    positions = np.stack([np.arange(60) * 50.0, np.zeros(60)], axis=1)
    along = FrameSequences((np.arange(30), np.arange(30, 60)), positions)
    comparison = fight(Mapped(queries, references), Mapped(blurred(queries, 0.4), references), along).contest
    assert (comparison.measure, comparison.confidence, comparison.is_won) == ("course", 1.645, True)


@pytest.mark.parametrize(("ours", "theirs"), [(19, 19), (40, 41)])
def test_too_few_or_other_images_are_an_error(ours: int, theirs: int) -> None:
    queries, references = centred()
    with pytest.raises(DataError, match="the same 20 images"):
        fight(Mapped(queries[:ours], references), Mapped(queries[:theirs], references))


def test_what_is_needed_is_said() -> None:
    comparison = Contest(
        measure="course",
        challenger=1.0,
        champion=0.5,
        difference=0.5,
        standard_error=0.4,
        confidence=1.645,
        n_queries=30,
        n_references=20,
    )
    assert not comparison.is_won
    assert str(comparison).startswith("1.000 against 0.500 nats an image, +0.500 +- 0.400, needed 1.645 standard errors, on 30")
