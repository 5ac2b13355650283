"""The recipe "robust": expectation-maximisation of a Gaussian model of the difference between the views, in closed form.

    start   each view standardised by its own mean and deviation; W = I
    E-step  pseudo-labels: pairs of mutual nearest neighbours under CSLS of the rows z W (`hubness.reciprocal_labels`), or,
            for images taken in a row over references of known position, the most probable course (`hmm.forward_backward`)
    M-step  C = shrunk covariance of z_q - z_r over the labelled pairs; W = C^-1/2 (`whitening.fit`)

A wrong label does not attract what it joins, as it does under InfoNCE. Differences of wrong pairs have the covariance of
differences between any two places, so they draw C towards the total covariance: they blunt the map, and do not bend it.
Every M-step starts anew from the labels alone, so errors are not carried over in weights.

Whether the labels carry anything is checked without labels: learned on one half of the queries, the map must not make the other
half worse, by the share that has a mutual neighbour, or by how well a course explains it. If it does, W stays the
identity, which is the standardised baseline.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import torch

from cvgl.adaptation import hubness, standardise, whitening
from cvgl.adaptation.affine import Affine
from cvgl.adaptation.compute import computing, training_device
from cvgl.adaptation.hmm import forward_backward, log_likelihood_gain, transition_matrix
from cvgl.adaptation.map_cells import map_cells_of
from cvgl.adaptation.pseudo_labels import NO_LABEL
from cvgl.adaptation.record import IterationMetrics, SelfCheck
from cvgl.adaptation.sequences import FrameSequences

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cvgl.adaptation.standardise import Standardised
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
        check: whether the labels proved worth learning from; none with fewer than four queries, or no iteration.
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
    """

    reference: NDArray[np.int64]
    weight: NDArray[np.float64]
    similarity: NDArray[np.float64]
    mutual: NDArray[np.bool_]


def learn(
    queries: Float32Array,
    references: Float32Array,
    config: AdaptConfig,
    on_iteration: OnIteration | None = None,
    sequences: FrameSequences | None = None,
) -> Learned:
    """Alternates the two steps. Deterministic but for the seed's choice of queries, where there are more than are asked for.

    Args:
        queries: float32 (M, d0), checked.
        references: float32 (N, d0), checked.
        config: iterations, hubness_neighbours, query_samples, seed and device are used.
        on_iteration: told the metrics of every iteration.
        sequences: which queries were taken in a row; used when some were and references are not too many.
    """
    statistics = standardise.fit(queries, references)
    z_query, z_reference = statistics.transform_query(queries), statistics.transform_reference(references)
    chain = sequences if sequences is not None and sequences.usable else None
    if chain is None and config.query_samples is not None and config.query_samples < len(z_query):
        drawn = np.random.default_rng(config.seed).permutation(len(z_query))[: config.query_samples]
        z_query = z_query[np.sort(drawn)]
    expectation: Expectation = Reciprocal(config) if chain is None else Along(config, chain)
    found, history = _alternate(z_query, z_reference, expectation, config, on_iteration)
    check = _check(z_query, z_reference, expectation, config) if history else None
    if check is not None and not check.passed:
        found = whitening.identity(queries.shape[1])
    nothing = np.zeros(queries.shape[1], np.float32)
    return Learned(statistics, Affine(found.weight, nothing), Affine(found.inverse, nothing), history, check)


class Expectation(Protocol):
    """An E-step, and what tells without labels how well a map does under it.

    Attributes:
        measure: what `scores` are, for the record.
        alike: how many consecutive queries err together.
    """

    measure: str
    alike: int

    def labels(self, z_query: Float32Array, z_reference: Float32Array) -> Labels:
        """Pseudo-labels from unit rows (M, d) and (N, d)."""
        ...

    def scores(self, z_query: Float32Array, z_reference: Float32Array) -> NDArray[np.float64]:
        """float64 (M,): how well each query finds its place, as far as that shows without labels; the mean is what counts."""
        ...

    def halves(self, n: int, seed: int) -> list[tuple[NDArray[np.int64], Expectation]]:
        """Two disjoint sets of query rows, with the E-step for each."""
        ...


class Reciprocal:
    """The E-step for images that are each on their own: `scores` are 1 for queries with a mutual nearest neighbour.

    Args:
        config: hubness_neighbours, precision and device are used.
    """

    measure = "mutual_share"
    alike = 1

    def __init__(self, config: AdaptConfig) -> None:
        self._neighbours, self._precision, self._device = config.hubness_neighbours, config.precision, training_device(config)

    def labels(self, z_query: Float32Array, z_reference: Float32Array) -> Labels:
        """Pairs that prefer each other, from unit rows (M, d) and (N, d)."""
        with computing(self._device, self._precision):
            q, r = (torch.from_numpy(rows).to(self._device) for rows in (z_query, z_reference))
            found = hubness.reciprocal_labels(q, r, self._neighbours)
        similarity = found.similarity.double().cpu().numpy()
        return Labels(found.reference.cpu().numpy(), np.ones(len(z_query)), similarity, found.mutual.cpu().numpy())

    def scores(self, z_query: Float32Array, z_reference: Float32Array) -> NDArray[np.float64]:
        return self.labels(z_query, z_reference).mutual.astype(np.float64)

    def halves(self, n: int, seed: int) -> list[tuple[NDArray[np.int64], Expectation]]:
        shuffled = np.random.default_rng(seed).permutation(n)
        return [(np.sort(half), self) for half in (shuffled[: n // 2], shuffled[n // 2 :])]


class Along:
    """The E-step for images taken in a row: the most probable course of each run. `scores` are `hmm.log_likelihood_gain`.

    Args:
        config: as above.
        sequences: usable ones.
    """

    measure = "course_gain"
    alike = 25

    def __init__(self, config: AdaptConfig, sequences: FrameSequences) -> None:
        self._config, self._sequences, self._device = config, sequences, training_device(config)
        self._places = map_cells_of(sequences.positions)
        self._moves = transition_matrix(self._places.centres)

    def labels(self, z_query: Float32Array, z_reference: Float32Array) -> Labels:
        """The place that each picture's run passes, by the look most similar to it, from unit rows (M, d) and (N, d)."""
        similarities = self._similarities(z_query, z_reference, corrected=True)
        of_places, place, weight = (
            self._places.max_similarity(similarities),
            np.empty(len(similarities), np.int64),
            np.empty(len(similarities)),
        )
        for run in self._sequences.rows:
            belief = forward_backward(of_places[run], self._moves)
            place[run], weight[run] = belief.cell, belief.probability
        rows, reference = np.arange(len(similarities)), self._places.best_reference(similarities, place)
        mutual = similarities.argmax(axis=0)[reference] == rows
        return Labels(reference, weight, similarities[rows, reference], mutual)

    def scores(self, z_query: Float32Array, z_reference: Float32Array) -> NDArray[np.float64]:
        similarities = self._places.max_similarity(self._similarities(z_query, z_reference, corrected=False))
        gains = np.empty(len(similarities))
        for run in self._sequences.rows:
            gains[run] = log_likelihood_gain(similarities[run], self._moves)
        return gains

    def halves(self, n: int, seed: int) -> list[tuple[NDArray[np.int64], Expectation]]:
        """The first and the second half of every run."""
        runs = self._sequences.rows
        parts = [run[: len(run) // 2] for run in runs], [run[len(run) // 2 :] for run in runs]
        return [self._part([run for run in half if len(run)]) for half in parts]

    def _part(self, runs: list[NDArray[np.int64]]) -> tuple[NDArray[np.int64], Expectation]:
        rows, ends = np.concatenate(runs), np.cumsum([len(run) for run in runs])
        own = tuple(np.split(np.arange(len(rows)), ends[:-1]))
        return rows, Along(self._config, FrameSequences(own, self._sequences.positions))

    def _similarities(self, z_query: Float32Array, z_reference: Float32Array, *, corrected: bool) -> NDArray[np.float64]:
        with computing(self._device, self._config.precision):
            q, r = (torch.from_numpy(rows).to(self._device) for rows in (z_query, z_reference))
            found = hubness.corrected(q, r, self._config.hubness_neighbours) if corrected else q @ r.T
            return np.asarray(found.double().cpu().numpy())


def _alternate(
    z_query: Float32Array,
    z_reference: Float32Array,
    expectation: Expectation,
    config: AdaptConfig,
    on_iteration: OnIteration | None = None,
) -> tuple[Whitening, tuple[IterationMetrics, ...]]:
    found, history = whitening.identity(z_query.shape[1]), []
    previous: Labels | None = None
    for iteration in range(1, config.iterations + 1):
        labels = expectation.labels(found.unit_rows(z_query), found.unit_rows(z_reference))
        pairs = np.flatnonzero(labels.reference != NO_LABEL)
        if len(pairs):
            references = labels.reference[pairs]
            # Pairs of one reference show one place, and say less than as many pairs of different places.
            found = whitening.fit(z_query[pairs] - z_reference[references], labels.weight[pairs], groups=references)
        history.append(_measure(iteration, labels, previous, found, len(z_reference)))
        if on_iteration is not None:
            on_iteration(history[-1])
        previous = labels
    return found, tuple(history)


def _check(z_query: Float32Array, z_reference: Float32Array, expectation: Expectation, config: AdaptConfig) -> SelfCheck | None:
    """Learns on each half of the queries and looks at the other. None where a half would be a single query."""
    if len(z_query) < 4:
        return None
    halves = expectation.halves(len(z_query), config.seed)
    before, after = [], []
    for (learned_on, expected), (held_out, judged) in (halves, halves[::-1]):
        found, _ = _alternate(z_query[learned_on], z_reference, expected, config)
        before.append(judged.scores(z_query[held_out], z_reference))
        after.append(judged.scores(found.unit_rows(z_query[held_out]), found.unit_rows(z_reference)))
    gain = np.concatenate(after) - np.concatenate(before)
    blocks = [part.mean() for part in np.array_split(gain, max(2, len(gain) // expectation.alike))]
    # Halves may differ by chance: what counts as a loss is more than one standard error of the paired difference.
    error = float(np.std(blocks, ddof=1) / np.sqrt(len(blocks)))
    return SelfCheck(
        measure=expectation.measure,
        before=float(np.concatenate(before).mean()),
        after=float(np.concatenate(after).mean()),
        standard_error=error,
        passed=bool(gain.mean() >= -error),
    )


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
