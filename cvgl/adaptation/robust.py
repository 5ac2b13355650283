"""The recipe "robust": expectation-maximisation of a Gaussian model of the difference between the views, in closed form.

    start   each view standardised by its own mean and deviation; W = I
    E-step  pseudo-labels: pairs of mutual nearest neighbours under CSLS of the rows z W (`hubness.reciprocal_labels`), or,
            for pictures taken in a row over references of known position, the most probable course (`trajectory.believe`)
    M-step  C = shrunk covariance of z_q - z_r over the labelled pairs; W = C^-1/2 (`whitening.fit`)

A wrong label does not attract what it joins, as it does under InfoNCE. Differences of wrong pairs have the covariance of
differences between any two places, so they draw C towards the total covariance: they blunt the map, and do not bend it.
Every M-step starts anew from the labels alone, so errors are not carried over in weights.

Whether the labels carry anything is checked without labels: learned on one half of the queries, the map must not lower how
many pictures of the other half have a mutual neighbour. If it does, W stays the identity, which is the standardised baseline.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from cvgl.adaptation import hubness, standardise, whitening
from cvgl.adaptation.affine import Affine
from cvgl.adaptation.compute import computing, training_device
from cvgl.adaptation.descriptors import unit_rows
from cvgl.adaptation.pseudo_labels import NO_LABEL
from cvgl.adaptation.record import IterationMetrics, SelfCheck
from cvgl.adaptation.trajectory import believe, steps

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cvgl.adaptation.standardise import Standardised
    from cvgl.adaptation.trajectory import Trajectories
    from cvgl.adaptation.whitening import Whitening
    from cvgl.config import AdaptConfig
    from cvgl.types import Float32Array

OnIteration = Callable[[IterationMetrics], None]


class Learned(NamedTuple):
    """What the recipe comes to.

    Attributes:
        statistics: of each view.
        adapter: W, float32 (d0, d0).
        reverter: its inverse.
        history: one entry an iteration.
        check: whether the labels proved worth learning from; none where they came from trajectories.
    """

    statistics: Standardised
    adapter: Affine
    reverter: Affine
    history: tuple[IterationMetrics, ...]
    check: SelfCheck | None


class Labels(NamedTuple):
    """The E-step's result.

    Attributes:
        reference: int64 (M,), or `NO_LABEL`.
        weight: float64 (M,), how much each label is believed.
        similarity: float64 (M,), of the chosen reference, hubness-corrected.
        mutual: bool (M,), whether the reference prefers this query, too.
        group: int64 (M,), equal for queries that are one visit of one reference.
    """

    reference: NDArray[np.int64]
    weight: NDArray[np.float64]
    similarity: NDArray[np.float64]
    mutual: NDArray[np.bool_]
    group: NDArray[np.int64]


def learn(
    queries: Float32Array,
    references: Float32Array,
    config: AdaptConfig,
    on_iteration: OnIteration | None = None,
    trajectories: Trajectories | None = None,
) -> Learned:
    """Alternates the two steps. Deterministic but for the seed's choice of queries, where there are more than are asked for.

    Args:
        queries: float32 (M, d0), checked.
        references: float32 (N, d0), checked.
        config: iterations, hubness_neighbours, query_samples, seed and device are used.
        on_iteration: told the metrics of every iteration.
        trajectories: which queries were taken in a row; used when some were and references are not too many.
    """
    statistics = standardise.fit(queries, references)
    z_query, z_reference = statistics.transform_query(queries), statistics.transform_reference(references)
    chain = trajectories if trajectories is not None and trajectories.usable else None
    if chain is None and config.query_samples is not None and config.query_samples < len(z_query):
        drawn = np.random.default_rng(config.seed).permutation(len(z_query))[: config.query_samples]
        z_query = z_query[np.sort(drawn)]
    expectation = Reciprocal(config) if chain is None else Along(config, chain)
    found, history = _alternate(z_query, z_reference, expectation, config, on_iteration)
    check = _check(z_query, z_reference, expectation, config) if isinstance(expectation, Reciprocal) and history else None
    if check is not None and not check.passed:
        found = whitening.identity(queries.shape[1])
    nothing = np.zeros(queries.shape[1], np.float32)
    return Learned(statistics, Affine(found.weight, nothing), Affine(found.inverse, nothing), history, check)


class Reciprocal:
    """The E-step for pictures that are each on their own.

    Args:
        config: hubness_neighbours, precision and device are used.
    """

    def __init__(self, config: AdaptConfig) -> None:
        self._neighbours, self._precision, self._device = config.hubness_neighbours, config.precision, training_device(config)

    def labels(self, z_query: Float32Array, z_reference: Float32Array) -> Labels:
        """Pairs that prefer each other, from unit rows (M, d) and (N, d)."""
        with computing(self._device, self._precision):
            q, r = (torch.from_numpy(rows).to(self._device) for rows in (z_query, z_reference))
            found = hubness.reciprocal_labels(q, r, self._neighbours)
        similarity = found.similarity.double().cpu().numpy()
        rows = np.arange(len(z_query))
        return Labels(found.reference.cpu().numpy(), np.ones(len(rows)), similarity, found.mutual.cpu().numpy(), rows)


class Along:
    """The E-step for pictures taken in a row: the most probable course of each run.

    Args:
        config: as above.
        trajectories: usable ones.
    """

    def __init__(self, config: AdaptConfig, trajectories: Trajectories) -> None:
        self._neighbours, self._precision, self._device = config.hubness_neighbours, config.precision, training_device(config)
        self._runs, self._moves = trajectories.runs, steps(trajectories.positions)

    def labels(self, z_query: Float32Array, z_reference: Float32Array) -> Labels:
        """The reference that each picture's run passes, from unit rows (M, d) and (N, d)."""
        with computing(self._device, self._precision):
            q, r = (torch.from_numpy(rows).to(self._device) for rows in (z_query, z_reference))
            similarities = hubness.corrected(q, r, self._neighbours).double().cpu().numpy()
        reference, visit = np.empty(len(similarities), np.int64), np.empty(len(similarities), np.int64)
        weight, visits = np.empty(len(similarities)), 0
        for run in self._runs:
            belief = believe(similarities[run], self._moves)
            reference[run], weight[run] = belief.reference, belief.probability
            visit[run] = visits + np.concatenate([[0], np.cumsum(np.diff(belief.reference) != 0)])
            visits = int(visit[run[-1]]) + 1
        rows = np.arange(len(similarities))
        mutual = similarities.argmax(axis=0)[reference] == rows
        return Labels(reference, weight, similarities[rows, reference], mutual, visit)


def _alternate(
    z_query: Float32Array,
    z_reference: Float32Array,
    expectation: Reciprocal | Along,
    config: AdaptConfig,
    on_iteration: OnIteration | None = None,
) -> tuple[Whitening, tuple[IterationMetrics, ...]]:
    found, history = whitening.identity(z_query.shape[1]), []
    previous: Labels | None = None
    for iteration in range(1, config.iterations + 1):
        labels = expectation.labels(_through(found, z_query), _through(found, z_reference))
        pairs = np.flatnonzero(labels.reference != NO_LABEL)
        if len(pairs):
            differences = z_query[pairs] - z_reference[labels.reference[pairs]]
            found = whitening.fit(differences, labels.weight[pairs], labels.group[pairs])
        history.append(_measure(iteration, labels, previous, found, len(z_reference)))
        if on_iteration is not None:
            on_iteration(history[-1])
        previous = labels
    return found, tuple(history)


def _through(found: Whitening, rows: Float32Array) -> Float32Array:
    return unit_rows(rows @ found.weight)


def _check(z_query: Float32Array, z_reference: Float32Array, expectation: Reciprocal, config: AdaptConfig) -> SelfCheck | None:
    """Learns on each half of the queries and looks at the other. None where a half would be a single query."""
    if len(z_query) < 4:
        return None
    shuffled = np.random.default_rng(config.seed).permutation(len(z_query))
    halves = np.sort(shuffled[: len(shuffled) // 2]), np.sort(shuffled[len(shuffled) // 2 :])
    before, after = [], []
    for learned_on, held_out in (halves, halves[::-1]):
        found, _ = _alternate(z_query[learned_on], z_reference, expectation, config)
        before.append(expectation.labels(z_query[held_out], z_reference).mutual)
        after.append(expectation.labels(_through(found, z_query[held_out]), _through(found, z_reference)).mutual)
    gain = np.concatenate(after).astype(float) - np.concatenate(before)
    # Halves may differ by chance: what counts as a loss is more than one standard error of the paired difference.
    error = float(gain.std(ddof=1) / np.sqrt(len(gain)))
    shares = float(np.concatenate(before).mean()), float(np.concatenate(after).mean())
    return SelfCheck(mutual_before=shares[0], mutual_after=shares[1], standard_error=error, passed=bool(gain.mean() >= -error))


def _measure(iteration: int, labels: Labels, previous: Labels | None, found: Whitening, n_references: int) -> IterationMetrics:
    labelled = labels.reference != NO_LABEL
    changed = None if previous is None else float((previous.reference != labels.reference).mean())
    return IterationMetrics(
        iteration=iteration,
        losses={"shrinkage": found.shrinkage},
        labelled_share=float(labelled.mean()),
        mutual_share=float((labels.mutual & labelled).mean()),
        chosen_share=len(np.unique(labels.reference[labelled])) / n_references,
        mean_top_similarity=float(labels.similarity.mean()),
        changed_share=changed,
    )
