"""Named ways to learn an adapter. A recipe sees two matrices of descriptors and settings: there is no place for a label."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

import cvgl
from cvgl.adaptation import checkpoint as checkpoints
from cvgl.adaptation import em, standardise
from cvgl.adaptation.record import ALGORITHM_VERSION, AdapterRecord, IterationMetrics, TrainingRows
from cvgl.adaptation.standardise import Standardised
from cvgl.adaptation.transforms import Adaptation, tensor_bytes
from cvgl.config import Recipe
from cvgl.hashing import digest_json, sha256_bytes

if TYPE_CHECKING:
    from cvgl.config import AdaptConfig
    from cvgl.types import Float32Array

OnIteration = Callable[[IterationMetrics], None]


def learn(
    queries: Float32Array,
    references: Float32Array,
    config: AdaptConfig,
    on_iteration: OnIteration | None,
    checkpoint: Path | None,
) -> Adaptation:
    """Algorithm 1 of Li et al. 2024 with Eq. 5-8 and the settings of Section IV-B, on descriptors as the recipe prepares them.

    Args:
        queries: float32 (M_0, d0), checked.
        references: float32 (N, d0), checked.
        config: the settings.
        on_iteration: told about every iteration, those restored from a checkpoint included.
        checkpoint: where to keep the state between iterations; removed by `finish`.
    """
    state = em.start(len(queries), queries.shape[1], config)
    identity = "" if checkpoint is None else _identity(queries, references, config)
    if checkpoint is not None and checkpoints.restore(state, checkpoint, identity) and on_iteration is not None:
        for metrics in state.history:
            on_iteration(metrics)

    def after_iteration(state: em.TrainingState) -> None:
        if on_iteration is not None:
            on_iteration(state.history[-1])
        # Not after the last: the finished adapter takes the checkpoint's place.
        if checkpoint is not None and state.iteration % config.checkpoint_every == 0:
            checkpoints.save(state, checkpoint, identity)

    statistics = _statistics(queries, references, config.recipe)
    em.run(state, queries, references, statistics, config, after_iteration)
    training = TrainingRows(n_queries=len(queries), n_references=len(references))
    return _finish(state, statistics, training, config)


def _identity(queries: Float32Array, references: Float32Array, config: AdaptConfig) -> str:
    rows = [hashlib.sha256(values.data).hexdigest() + str(values.shape) for values in (queries, references)]
    # How often the state is saved does not change it.
    settings = config.model_dump(mode="json", exclude={"checkpoint_every"})
    return digest_json([*rows, settings, ALGORITHM_VERSION])


def _statistics(queries: Float32Array, references: Float32Array, recipe: Recipe) -> Standardised:
    if recipe is Recipe.PAPER:
        return standardise.identity(queries.shape[1])
    return standardise.fit(queries, references, scale=recipe is Recipe.PAPER_STANDARDISED)


def _finish(state: em.TrainingState, statistics: Standardised, training: TrainingRows, config: AdaptConfig) -> Adaptation:
    adapter = state.adapter.weight.detach().numpy().copy()
    reverter = state.reverter.weight.detach().numpy().copy()
    record = AdapterRecord(
        d0=adapter.shape[0],
        d=adapter.shape[1],
        config=config,
        training=training,
        history=tuple(state.history),
        versions={"cvgl": cvgl.__version__, "torch": torch.__version__, "numpy": np.__version__},
        tensors_sha256=sha256_bytes(tensor_bytes(adapter, reverter, statistics)),
    )
    return Adaptation(adapter=adapter, reverter=reverter, statistics=statistics, record=record)
