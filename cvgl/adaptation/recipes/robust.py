"""The recipe "robust": expectation-maximisation of a Gaussian model of the difference between the views, in closed form.

    start   each view standardised by its own mean and standard deviation; W = I
    E-step  pseudo-labels of the rows z W: mutual nearest neighbours under CSLS (`hubness.reciprocal_labels`), or, for image
            sequences over references of known position, the posterior of a hidden Markov chain (`hmm.forward_backward`)
    M-step  C = shrunk covariance of z_q - z_r over the labelled pairs; W = C^-1/2 (`whitening.fit`)

A wrong label does not attract its pair, as it does under InfoNCE. Differences of wrong pairs have the covariance of differences
between any two places, so they draw C towards the total covariance: they weaken the map, and do not distort it. Every M-step
starts from the labels alone, so errors do not accumulate in weights.

A self-check tells without labels whether the pseudo-labels are worth learning from: the map learned on one half of the
queries must not lower the score of the other half (the share with a mutual neighbour, or the likelihood gain of the chain). If
it does, W stays the identity, which is the standardised baseline.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cvgl.adaptation import standardise, whitening
from cvgl.adaptation.affine import Affine
from cvgl.adaptation.halves import halves, standard_error
from cvgl.adaptation.labelling import EStep, Labels, e_step
from cvgl.adaptation.pseudo_labels import NO_LABEL
from cvgl.adaptation.recipes.base import Learned, Learner, OnIteration, TrainingInputs
from cvgl.adaptation.record import IterationMetrics, SelfCheck
from cvgl.config import Recipe

if TYPE_CHECKING:
    from cvgl.adaptation.sequences import FrameSequences
    from cvgl.adaptation.whitening import Whitening
    from cvgl.config import AdaptConfig
    from cvgl.types import Float32Array

MIN_QUERIES = 4
"""Of the self-check: below, a half would be a single query."""


def learn(inputs: TrainingInputs) -> Learned:
    """Alternates the two steps. Deterministic but for the seed's sample of queries, where `query_samples` asks for one.

    Args:
        inputs: of the settings, iterations, hubness_neighbours, query_samples, seed, precision and device are used;
            sequences if they are usable.
    """
    config = inputs.config
    statistics = standardise.fit(inputs.queries, inputs.references)
    z_query = statistics.transform_query(inputs.queries)
    z_reference = statistics.transform_reference(inputs.references)
    sequences = inputs.sequences if inputs.sequences is not None and inputs.sequences.usable else None
    if sequences is None and config.query_samples is not None and config.query_samples < len(z_query):
        drawn = np.random.default_rng(config.seed).permutation(len(z_query))[: config.query_samples]
        z_query = z_query[np.sort(drawn)]
    learned, history = _alternate(z_query, z_reference, e_step(config, sequences), config, inputs.on_iteration)
    check = _self_check(z_query, z_reference, sequences, config) if history else None
    if check is not None and not check.passed:
        learned = whitening.identity(inputs.d0)
    no_bias = np.zeros(inputs.d0, np.float32)
    return Learned(statistics, Affine(learned.weight, no_bias), Affine(learned.inverse, no_bias), history, check)


def _alternate(
    z_query: Float32Array,
    z_reference: Float32Array,
    step: EStep,
    config: AdaptConfig,
    on_iteration: OnIteration | None = None,
) -> tuple[Whitening, tuple[IterationMetrics, ...]]:
    learned, history = whitening.identity(z_query.shape[1]), []
    previous: Labels | None = None
    for iteration in range(1, config.iterations + 1):
        labels = step.labels(learned.unit_rows(z_query), learned.unit_rows(z_reference))
        pairs = np.flatnonzero(labels.reference != NO_LABEL)
        if len(pairs):
            references = labels.reference[pairs]
            # Pairs of one reference show one place: less evidence than as many pairs of different places.
            learned = whitening.fit(z_query[pairs] - z_reference[references], labels.weight[pairs], groups=references)
        history.append(_metrics(iteration, labels, previous, learned, len(z_reference)))
        if on_iteration is not None:
            on_iteration(history[-1])
        previous = labels
    return learned, tuple(history)


def _self_check(
    z_query: Float32Array, z_reference: Float32Array, sequences: FrameSequences | None, config: AdaptConfig
) -> SelfCheck | None:
    """Learns on each half of the queries and scores the other."""
    if len(z_query) < MIN_QUERIES:
        return None
    first, last = halves(len(z_query), sequences, np.random.default_rng(config.seed))
    before, after = [], []
    for training, held_out in ((first, last), (last, first)):
        learned, _ = _alternate(z_query[training.rows], z_reference, e_step(config, training.sequences), config)
        step, rows = e_step(config, held_out.sequences), z_query[held_out.rows]
        before.append(step.scores(rows, z_reference))
        after.append(step.scores(learned.unit_rows(rows), learned.unit_rows(z_reference)))
    gain = np.concatenate(after) - np.concatenate(before)
    # Halves may differ by chance: a loss is more than one standard error of the paired difference.
    error = standard_error(gain, step.block_length)
    return SelfCheck(
        measure=step.measure,
        before=float(np.concatenate(before).mean()),
        after=float(np.concatenate(after).mean()),
        standard_error=error,
        passed=bool(gain.mean() >= -error),
    )


def _metrics(
    iteration: int, labels: Labels, previous: Labels | None, learned: Whitening, n_references: int
) -> IterationMetrics:
    labelled = labels.reference != NO_LABEL
    changed = None if previous is None else float((previous.reference != labels.reference).mean())
    return IterationMetrics(
        iteration=iteration,
        losses={"shrinkage": learned.shrinkage},
        labelled_share=float(labelled.mean()),
        mutual_share=float((labels.mutual & labelled).mean()),
        chosen_share=len(np.unique(labels.reference[labelled])) / n_references,
        mean_top_similarity=float(labels.similarity.mean()),
        changed_share=changed,
    )


LEARNERS = {Recipe.ROBUST: Learner(learn, keeps_banks=True, uses_sequences=True)}
