"""Hidden Markov chain of an image sequence: forward-backward with an estimated probability of moving.

A flight or walk is a chain whose hidden state is the map cell that is shown and whose emissions are the similarities to all
cells. Between two images it stays in its cell, moves to a nearby one, or (rarely) restarts anywhere. Cell positions are the
map's own data and the order of images comes from the camera: neither is a label.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float64Array = NDArray[np.float64]
    Step = Callable[[Float64Array], Float64Array]

EMISSION_SCALE = 0.6
"""Log-likelihood, in nats, of a similarity one standard deviation above its image's mean. Below 1, since consecutive images
show the same ground from nearly the same viewpoint, and their errors are correlated."""

P_RESTART = 1e-4  # probability of continuing in any other cell: a cut, a gap in the recording
TRANSITION_SIGMA = 0.8  # standard deviation of a move, in distances between neighbouring cells
INITIAL_P_MOVE = 0.3  # probability of leaving a cell, before its first estimate
BAUM_WELCH_ROUNDS = 3  # estimates of it
P_MOVE_BOUNDS = 0.01, 0.9


class CellPosterior(NamedTuple):
    """Posterior over map cells of each of n images, given their whole sequence.

    Attributes:
        cell: int64 (n,), the most probable one.
        probability: float64 (n,), of `cell`.
        p_move: estimated probability of leaving a cell between two images.
        distribution: float64 (n, P), of every cell; rows add up to 1.
    """

    cell: NDArray[np.int64]
    probability: Float64Array
    p_move: float
    distribution: Float64Array


def transition_matrix(positions: Float64Array) -> Float64Array:
    """Probabilities (P, P) of the next cell of a chain that leaves its own: Gaussian in distance, zero on the diagonal.

    Args:
        positions: float64 (P, 2), in any unit.
    """
    distances = np.hypot(*(positions[:, None] - positions[None]).transpose(2, 0, 1))
    np.fill_diagonal(distances, np.inf)
    spacing = float(np.median(distances.min(axis=1)))
    if spacing == 0:  # most cells share a position with another: every other cell is as near as any
        spacing = max(float(distances[np.isfinite(distances)].mean()), 1.0)
    weights = np.exp(-np.square(distances / spacing / TRANSITION_SIGMA) / 2)
    totals = weights.sum(axis=1, keepdims=True)
    # A cell far from all others is left for any of them.
    uniform = np.isfinite(distances) / (len(positions) - 1)
    return np.asarray(np.where(totals > 0, weights / np.where(totals > 0, totals, 1), uniform))


def emission_likelihood(similarities: Float64Array) -> Float64Array:
    """Likelihood (n, P) of each image in each cell, up to a factor per row; uniform where all similarities are equal."""
    std = similarities.std(axis=1, keepdims=True)
    scores = EMISSION_SCALE * (similarities - similarities.mean(axis=1, keepdims=True)) / np.where(std > 0, std, 1)
    return np.asarray(np.exp(scores - scores.max(axis=1, keepdims=True)))


def log_likelihood_gain(similarities: Float64Array, transitions: Float64Array, p_move: float = INITIAL_P_MOVE) -> Float64Array:
    """Log-likelihood ratio of the chain against independent images: a measure of similarities that needs no label.

    The likelihood of an image's similarities given those before it, over that under a uniform cell. Similarities that
    recognise the ground agree from image to image.

    Args:
        similarities: float64 (n, P), of the images of one sequence to each cell, in the order of capture.
        transitions: float64 (P, P), of `transition_matrix`.
        p_move: probability of leaving a cell between two images.

    Returns:
        float64 (n,), in nats; 0 for the first image.
    """
    likelihood = emission_likelihood(similarities)
    forward, _ = _dense_steps(transitions, p_move)
    _, evidence = _filtered(likelihood, forward)
    gains = np.log(evidence[:, 0]) - np.log(likelihood.mean(axis=1))
    gains[0] = 0
    return np.asarray(gains)


def forward_backward(similarities: Float64Array, transitions: Float64Array, p_move: float = INITIAL_P_MOVE) -> CellPosterior:
    """Posterior of one sequence, with the probability of moving estimated from the sequence itself (Baum-Welch).

    Args:
        similarities: float64 (n, P), of each image to each cell, hubness-corrected, in the order of capture.
        transitions: float64 (P, P), of `transition_matrix`.
        p_move: start of its estimate.
    """
    likelihood = emission_likelihood(similarities)
    for _ in range(BAUM_WELCH_ROUNDS):
        posterior, stays = _smoothed(likelihood, *_dense_steps(transitions, p_move), 1 - p_move)
        if len(likelihood) > 1:
            p_move = float(_estimated_p_move(stays, len(likelihood))[0])
    cell = posterior.argmax(axis=1)
    return CellPosterior(cell, posterior[np.arange(len(cell)), cell], p_move, posterior)


def batched_posteriors(likelihood: Float64Array, transitions: Float64Array, p_move: float = INITIAL_P_MOVE) -> Float64Array:
    """Posteriors of B sequences of one length at once, each with its own estimate of the probability of moving.

    The model of `forward_backward`; all sequences advance by one product with the shared transition matrix.

    Args:
        likelihood: float64 (B, L, P), of `emission_likelihood`.
        transitions: float64 (P, P).
        p_move: start of the estimates.

    Returns:
        float64 (B, L, P); rows add up to 1.
    """
    length = likelihood.shape[1]
    probability = np.full((len(likelihood), 1), p_move)
    for _ in range(BAUM_WELCH_ROUNDS):
        posterior, stays = _smoothed(likelihood, *_mixed_steps(transitions, probability), 1 - probability)
        if length > 1:
            probability = _estimated_p_move(stays, length)
    return posterior


def _dense_steps(transitions: Float64Array, p_move: float) -> tuple[Step, Step]:
    """One image ahead and back for one sequence: stay, move or restart in one matrix."""
    moving = (1 - p_move) * np.eye(len(transitions)) + p_move * transitions
    matrix = (1 - P_RESTART) * moving + P_RESTART / len(transitions)
    return (lambda state: np.asarray(state @ matrix)), (lambda state: np.asarray(matrix @ state))


def _mixed_steps(transitions: Float64Array, p_move: Float64Array) -> tuple[Step, Step]:
    """The same for B sequences whose matrices differ in `p_move` (B, 1) alone, which are therefore never built."""

    def step(state: Float64Array, matrix: Float64Array) -> Float64Array:
        moving = (1 - p_move) * state + p_move * (state @ matrix)
        uniform = state.sum(axis=1, keepdims=True) / state.shape[1]
        return np.asarray((1 - P_RESTART) * moving + P_RESTART * uniform)

    return (lambda state: step(state, transitions)), (lambda state: step(state, transitions.T))


def _filtered(likelihood: Float64Array, forward: Step) -> tuple[Float64Array, Float64Array]:
    """Forward pass over (..., L, P): states given the images so far, and each image's evidence (..., L, 1)."""
    states, evidence = np.empty_like(likelihood), np.empty((*likelihood.shape[:-1], 1))
    for t in range(likelihood.shape[-2]):
        prior = forward(states[..., t - 1, :]) if t else 1.0
        joint = likelihood[..., t, :] * prior
        evidence[..., t, :] = joint.sum(axis=-1, keepdims=True)
        states[..., t, :] = joint / evidence[..., t, :]
    return states, evidence


def _smoothed(
    likelihood: Float64Array, forward: Step, backward: Step, p_stay: float | Float64Array
) -> tuple[Float64Array, Float64Array]:
    """Posterior (..., L, P) and the expected number (..., 1) of times that the chain stayed."""
    states, _ = _filtered(likelihood, forward)
    message, stays = np.ones_like(states[..., 0, :]), np.zeros((*likelihood.shape[:-2], 1))
    for t in range(likelihood.shape[-2] - 2, -1, -1):
        ahead = likelihood[..., t + 1, :] * message
        message = backward(ahead)
        joint = states[..., t, :] * message
        stays += (states[..., t, :] * ahead).sum(axis=-1, keepdims=True) * p_stay / joint.sum(axis=-1, keepdims=True)
        message /= message.sum(axis=-1, keepdims=True)
        states[..., t, :] *= message
    return states / states.sum(axis=-1, keepdims=True), stays


def _estimated_p_move(stays: Float64Array, length: int) -> Float64Array:
    return np.asarray(np.clip(1 - stays / (length - 1), *P_MOVE_BOUNDS))
