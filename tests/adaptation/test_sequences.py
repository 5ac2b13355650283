"""Forward-backward against an enumeration of every course, and what a run of images can settle."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cvgl.adaptation import FrameSequences, hmm
from cvgl.adaptation.hmm import (
    BAUM_WELCH_ROUNDS,
    EMISSION_SCALE,
    INITIAL_P_MOVE,
    P_RESTART,
    TRANSITION_SIGMA,
    emission_likelihood,
    forward_backward,
    log_likelihood_gain,
    transition_matrix,
)
from cvgl.adaptation.map_cells import MAX_MAP_CELLS
from cvgl.errors import DataError

LINE = np.stack([100.0 * np.arange(5), np.zeros(5)], axis=1)


def grid(side: int, spacing: float = 100.0) -> NDArray[Any]:
    return np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2) * spacing


def transitions_of(moves: NDArray[Any], moving: float) -> NDArray[Any]:
    count = len(moves)
    return (1 - P_RESTART) * ((1 - moving) * np.eye(count) + moving * moves) + P_RESTART / count


def enumerate_courses(evidence: NDArray[Any], transitions: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Probability of every course, by multiplying out."""
    n, count = evidence.shape
    courses = np.array(list(itertools.product(range(count), repeat=n)))
    weights = np.array(
        [np.prod(evidence[np.arange(n), course]) * np.prod(transitions[course[:-1], course[1:]]) for course in courses]
    )
    return courses, weights / weights.sum()


@pytest.mark.parametrize("n", [1, 2, 5])
def test_posteriors_are_those_of_an_enumeration(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hmm, "BAUM_WELCH_ROUNDS", 1)
    rng = np.random.default_rng(n)
    similarities, moves, moving = rng.normal(size=(n, 4)), transition_matrix(rng.uniform(0, 300, (4, 2))), 0.35
    posterior = forward_backward(similarities, moves, moving)
    courses, probability = enumerate_courses(emission_likelihood(similarities), transitions_of(moves, moving))
    marginal = np.stack([[probability[courses[:, t] == state].sum() for state in range(4)] for t in range(n)])
    assert np.allclose(posterior.distribution, marginal)
    stays = (courses[:, 1:] == courses[:, :-1]).sum(axis=1)
    # Staying by a new start on the same reference is not counted; that happens once in 10,000 pictures.
    expected = 1 - (probability * stays).sum() / (n - 1) if n > 1 else moving
    assert posterior.p_move == pytest.approx(expected, abs=1e-3)


def test_forward_backward_estimates_p_move_in_three_rounds() -> None:
    rng = np.random.default_rng(0)
    similarities, moves = rng.normal(size=(5, 4)), transition_matrix(rng.uniform(0, 300, (4, 2)))
    standard = (similarities - similarities.mean(1, keepdims=True)) / similarities.std(1, keepdims=True)
    moving = INITIAL_P_MOVE
    for _ in range(BAUM_WELCH_ROUNDS):
        courses, probability = enumerate_courses(np.exp(EMISSION_SCALE * standard), transitions_of(moves, moving))
        moving = 1 - (probability * (courses[:, 1:] == courses[:, :-1]).sum(axis=1)).sum() / 4
    marginal = np.stack([[probability[courses[:, t] == state].sum() for state in range(4)] for t in range(5)])
    belief = forward_backward(similarities, moves)
    assert np.array_equal(belief.cell, marginal.argmax(axis=1))
    assert np.allclose(belief.probability, marginal.max(axis=1), atol=1e-3)
    assert belief.p_move == pytest.approx(moving, abs=1e-3)


@pytest.mark.parametrize("moving", [0.08, 0.25, 0.6])
@pytest.mark.parametrize("start", [0.05, INITIAL_P_MOVE])
def test_the_probability_of_moving_is_estimated(moving: float, start: Any) -> None:
    rng = np.random.default_rng(3)
    moves, course = (
        transition_matrix(grid(15)),
        [112],
    )  # one of 225 that stands out says e^(0.6 * 15): what is seen is not in doubt
    for _ in range(1000):
        course.append(course[-1] if rng.random() > moving else rng.choice(225, p=moves[course[-1]]))
    similarities = 0.1 * rng.normal(size=(len(course), 225))
    similarities[np.arange(len(course)), course] += 4
    belief = forward_backward(similarities, moves, start)
    assert belief.p_move == pytest.approx(moving, abs=0.05)
    assert (belief.cell == course).mean() > 0.95


def test_a_sequence_settles_what_single_images_leave_open() -> None:
    rng = np.random.default_rng(0)
    moves = transition_matrix(grid(8))
    course = np.repeat([0, 1, 2, 10, 18, 19, 20, 28], 8)
    similarities = rng.normal(size=(64, 64))
    similarities[np.arange(64), course] += 1.5
    belief = forward_backward(similarities, moves)
    single = (similarities.argmax(axis=1) == course).mean()
    assert single < 0.5
    assert (belief.cell == course).mean() > 0.85
    assert belief.probability[belief.cell == course].mean() > belief.probability[belief.cell != course].mean()


def test_a_cut_in_the_recording_is_survived() -> None:
    similarities = 0.1 * np.random.default_rng(0).normal(size=(40, 100))
    course = np.repeat([0, 99], 20)
    similarities[np.arange(40), course] += 5
    assert np.array_equal(forward_backward(similarities, transition_matrix(grid(10))).cell, course)


def test_moves_go_to_the_neighbours() -> None:
    moves = transition_matrix(LINE)
    assert np.allclose(moves.sum(axis=1), 1)
    assert not np.diag(moves).any()
    near, far = np.exp(-1 / TRANSITION_SIGMA**2 / 2), np.exp(-4 / TRANSITION_SIGMA**2 / 2)
    assert moves[2, 1] == moves[2, 3] == pytest.approx(near / (2 * near + 2 * far))
    assert moves[2, 0] == pytest.approx(far / (2 * near + 2 * far))
    assert np.allclose(transition_matrix(1e-3 * LINE), moves)  # in any unit
    assert np.allclose(transition_matrix(LINE + 1e6), moves)


def test_a_reference_far_from_all_is_left_for_any() -> None:
    moves = transition_matrix(np.concatenate([LINE, [[1e6, 0]]]))
    assert np.allclose(moves[5], [0.2, 0.2, 0.2, 0.2, 0.2, 0])
    assert np.allclose(moves.sum(axis=1), 1)
    assert moves[2, 5] == 0


@pytest.mark.parametrize("positions", [np.zeros((4, 2)), np.repeat(LINE[:3], 2, axis=0)], ids=["one point", "in pairs"])
def test_references_on_top_of_one_another_give_probabilities(positions: Any) -> None:
    moves = transition_matrix(positions)
    assert np.isfinite(moves).all()
    assert np.allclose(moves.sum(axis=1), 1)
    assert not np.diag(moves).any()
    belief = forward_backward(np.random.default_rng(0).normal(size=(6, len(positions))), moves)
    assert np.isfinite(belief.probability).all()


@pytest.mark.parametrize("similarities", [np.zeros((5, 9)), np.full((1, 9), -3.0), np.eye(9) * 50])
def test_posteriors_are_probabilities_for_any_similarities(similarities: NDArray[Any]) -> None:
    belief = forward_backward(similarities, transition_matrix(grid(3)))
    assert ((belief.probability > 0) & (belief.probability <= 1 + 1e-12)).all()
    assert 0 < belief.p_move < 1


def test_a_sequence_of_one_image_is_its_best_cell() -> None:
    similarities = np.random.default_rng(0).normal(size=(1, 25))
    belief = forward_backward(similarities, transition_matrix(grid(5)))
    scores = np.exp(EMISSION_SCALE * similarities[0] / similarities.std())
    assert belief.cell.tolist() == [similarities.argmax()]
    assert belief.probability[0] == pytest.approx(scores.max() / scores.sum())
    assert belief.p_move == INITIAL_P_MOVE  # one image says nothing of it


def test_a_long_sequence_over_many_cells_does_not_underflow() -> None:
    rng = np.random.default_rng(0)
    similarities = rng.normal(size=(600, 400))
    similarities[np.arange(600), np.arange(600) // 2] += 60
    belief = forward_backward(similarities, transition_matrix(grid(20)))
    assert np.isfinite(belief.probability).all()


def test_the_likelihood_gain_is_that_of_an_enumeration() -> None:
    """The chain rule: an image's gain is what its scores add to the probability of all scores so far, over chance."""
    rng = np.random.default_rng(1)
    similarities, moves = rng.normal(size=(5, 4)), transition_matrix(rng.uniform(0, 300, (4, 2)))
    scores, transitions = emission_likelihood(similarities), transitions_of(moves, INITIAL_P_MOVE)

    def total(n: int) -> float:
        courses = np.array(list(itertools.product(range(4), repeat=n)))
        steps_taken = np.prod(transitions[courses[:, :-1], courses[:, 1:]], axis=1)
        return float((np.prod(scores[np.arange(n), courses], axis=1) * steps_taken).sum() / 4)

    gains = [np.log(total(n) / total(n - 1) / scores[n - 1].mean()) for n in range(2, 6)]
    assert np.allclose(log_likelihood_gain(similarities, moves), [0, *gains])


def test_scores_that_know_the_place_gain_and_scores_that_do_not_lose() -> None:
    rng = np.random.default_rng(0)
    moves, course = transition_matrix(grid(6)), np.repeat([0, 1, 2, 8, 14, 15], 10)
    lost = rng.normal(size=(60, 36))
    informed = lost.copy()
    informed[np.arange(60), course] += 3
    assert log_likelihood_gain(informed, moves).mean() > 0.3
    assert log_likelihood_gain(lost, moves).mean() < 0.1
    assert log_likelihood_gain(lost[:1], moves).tolist() == [0]
    assert np.allclose(log_likelihood_gain(np.zeros((9, 36)), moves), 0)


def runs_of(sequences: FrameSequences) -> list[list[int]]:
    return [run.tolist() for run in sequences.rows]


def test_names_become_sequences() -> None:
    frames = FrameSequences.of(["b", "a", None, "b", None, "a", "b"], LINE)
    assert runs_of(frames) == [[0, 3, 6], [1, 5], [2], [4]]
    assert np.array_equal(frames.positions, LINE)
    frames.check(7, 5)


def test_what_a_table_has_for_missing_names_is_no_sequence() -> None:
    assert runs_of(FrameSequences.of([float("nan"), np.nan, np.nan, 7, 7], LINE)) == [[0], [1], [2], [3, 4]]


@pytest.mark.parametrize("positions", [np.zeros(4), np.zeros((4, 3)), [[0.0, np.nan]], [[np.inf, 0.0]]])
def test_positions_that_are_no_pairs_of_numbers_are_refused(positions: Any) -> None:
    with pytest.raises(DataError, match="positions"):
        FrameSequences.of(["a", "a"], positions)


def test_sequences_of_other_rows_are_refused() -> None:
    frames = FrameSequences.of(["a", "a", None], LINE)
    with pytest.raises(DataError, match="3 rows"):
        frames.check(4, 5)
    with pytest.raises(DataError, match="6 references"):
        frames.check(3, 6)
    twice = FrameSequences((np.array([0, 1]), np.array([1])), LINE)
    with pytest.raises(DataError, match="each once"):
        twice.check(3, 5)
    FrameSequences.of([], LINE).check(0, 5)


def test_the_digest_follows_order_sequences_and_positions() -> None:
    digests = {
        FrameSequences.of(names, positions).digest()
        for names, positions in (
            (["a", "a", "a"], LINE),
            (["a", "a", None], LINE),
            (["a", None, None], LINE),
            (["a", "a", "a"], LINE + 1),
            (["a", "a", "a"], LINE[:4]),
        )
    }
    digests |= {FrameSequences((np.array([2, 1, 0]),), LINE).digest()}
    assert len(digests) == 6
    assert FrameSequences.of(["x", "x", "x"], LINE.tolist()).digest() in digests  # names are of no account


@pytest.mark.parametrize(
    ("names", "positions", "usable"),
    [
        (["a", "a"], LINE, True),
        ([None, None], LINE, False),
        (["a", "b"], LINE, False),
        (["a", "a"], LINE[:1], False),
        (["a", "a", None, None], LINE, True),
        (["a", "a", None, None, None], LINE, False),  # most images are on their own: time can say little
        (["a", "a"], np.zeros((MAX_MAP_CELLS + 1, 2)), False),
    ],
)
def test_sequences_are_usable_where_most_images_are_in_them(names: list[Any], positions: Any, usable: Any) -> None:
    assert FrameSequences.of(names, positions).usable is usable
