"""Named ways to learn an adapter. A recipe sees two matrices of descriptors and settings: there is no place for a label."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

import cvgl
from cvgl.adaptation import checkpoint as checkpoints
from cvgl.adaptation import correction, robust, standardise, training
from cvgl.adaptation.affine import Affine
from cvgl.adaptation.compute import training_device
from cvgl.adaptation.paper import PaperLearner
from cvgl.adaptation.record import ALGORITHM_VERSION, AdapterRecord, BankRows, IterationMetrics, SelfCheck, TrainingRows
from cvgl.adaptation.released import ReleasedLearner
from cvgl.adaptation.standardise import Standardised
from cvgl.adaptation.training import Draws, Learner, TrainingState
from cvgl.adaptation.transforms import Adaptation, tensor_bytes
from cvgl.config import UNTRAINED, Recipe
from cvgl.errors import ConfigError, DataError
from cvgl.hashing import digest_json, sha256_bytes

if TYPE_CHECKING:
    from cvgl.adaptation.sequences import FrameSequences
    from cvgl.config import AdaptConfig
    from cvgl.types import Float32Array

OnIteration = Callable[[IterationMetrics], None]


def learn(
    queries: Float32Array,
    references: Float32Array,
    config: AdaptConfig,
    on_iteration: OnIteration | None,
    checkpoint: Path | None,
    draws: Draws | None = None,
    sequences: FrameSequences | None = None,
) -> Adaptation:
    """Learns an adapter as the recipe says, on descriptors as the recipe prepares them.

    Args:
        queries: float32 (M_0, d0), checked.
        references: float32 (N, d0), checked.
        config: the settings.
        on_iteration: told about every iteration, those restored from a checkpoint included.
        checkpoint: where to keep the state between iterations; for the caller to remove.
        draws: which query rows each iteration takes; default: the recipe's own uniform sample. A checkpoint does not know
            the draws that it was made with: give one file only to one kind of draws. `robust`, which takes seconds, keeps none.
        sequences: which queries were taken in a row, for `robust`; the others take every image on its own.

    Raises:
        ConfigError: the settings do not fit the rows or this machine.
        DataError: a view has a single row, and the recipe normalises over the rows of a view.
        LakeError: the checkpoint is damaged, or of another training.
        ModelError: the training diverged.
    """
    rows = TrainingRows(n_queries=len(queries), n_references=len(references))
    if config.recipe is Recipe.AUTO:
        raise ConfigError(
            "the recipe 'auto' is a choice among the others, which needs a judgement of each",
            where="AdaptConfig.recipe",
            fix="call cvgl.adapt, run `cvgl run` or `cvgl adapt --recipe auto`, or name a recipe",
        )
    if config.recipe in UNTRAINED:
        nothing = Affine(np.eye(queries.shape[1], dtype=np.float32), np.zeros(queries.shape[1], np.float32))
        learned = _finish(nothing, nothing, _statistics(queries, references, config.recipe), (), rows, config)
        return _with_banks(learned, queries, references)
    if config.recipe is Recipe.ROBUST:
        if sequences is not None:
            rows = rows.model_copy(update={"trajectories_digest": sequences.digest()})
        found = robust.learn(queries, references, config, on_iteration, sequences)
        learned = _finish(found.adapter, found.reverter, found.statistics, found.history, rows, config, found.check)
        return _with_banks(learned, queries, references)
    if config.recipe is Recipe.RELEASED:
        _refuse_single_rows(len(queries), len(references), config)
    device = training_device(config)
    generator = torch.Generator().manual_seed(config.seed)
    state = training.start(_learner(queries.shape[1], config, generator), len(queries), generator, device)
    identity = "" if checkpoint is None else _identity(queries, references, config)
    if checkpoint is not None and checkpoints.restore(state, checkpoint, identity) and on_iteration is not None:
        for metrics in state.history:
            on_iteration(metrics)

    def after_iteration(state: TrainingState) -> None:
        if on_iteration is not None:
            on_iteration(state.history[-1])
        # Not after the last: the finished adapter takes the checkpoint's place.
        if checkpoint is not None and state.iteration % config.checkpoint_every == 0:
            checkpoints.save(state, checkpoint, identity)

    statistics = _statistics(queries, references, config.recipe)
    training.run(state, queries, references, statistics, after_iteration, draws)
    return _finish(*state.learner.maps(), statistics, tuple(state.history), rows, config)


def _learner(d0: int, config: AdaptConfig, generator: torch.Generator) -> Learner:
    if config.residual and config.dimension not in (None, d0):
        raise ConfigError(
            f"residual adds the adapter's output to its input, and {config.dimension} dimensions do not add to {d0}",
            where="AdaptConfig.dimension",
            fix="leave the dimension out",
        )
    learner = ReleasedLearner if config.recipe is Recipe.RELEASED else PaperLearner
    return learner(d0, config, generator)


def _refuse_single_rows(n_queries: int, n_references: int, config: AdaptConfig) -> None:
    if config.query_samples == 1:
        raise ConfigError(
            "the recipe 'released' normalises over the drawn queries, which a single one does not allow",
            where="AdaptConfig.query_samples",
            fix="draw at least 2",
        )
    if min(n_queries, n_references) < 2:
        raise DataError(
            f"the recipe 'released' normalises over the rows of a view: {n_queries} query and {n_references} reference rows",
            fix="give at least 2 of each, or use a recipe of the paper's",
        )


def _identity(queries: Float32Array, references: Float32Array, config: AdaptConfig) -> str:
    rows = [hashlib.sha256(values.data).hexdigest() + str(values.shape) for values in (queries, references)]
    return digest_json([*rows, config.identity(), ALGORITHM_VERSION])


def _statistics(queries: Float32Array, references: Float32Array, recipe: Recipe) -> Standardised:
    if recipe in (Recipe.PAPER, Recipe.RELEASED, Recipe.FROZEN):
        return standardise.identity(queries.shape[1])
    if recipe is Recipe.STANDARDISED_JOINTLY:
        return standardise.fit_jointly(queries, references)
    return standardise.fit(queries, references, scale=recipe in (Recipe.PAPER_STANDARDISED, Recipe.STANDARDISED))


def _finish(
    adapter: Affine,
    reverter: Affine,
    statistics: Standardised,
    history: tuple[IterationMetrics, ...],
    rows: TrainingRows,
    config: AdaptConfig,
    check: SelfCheck | None = None,
) -> Adaptation:
    record = AdapterRecord(
        d0=adapter.weight.shape[0],
        d=adapter.weight.shape[1],
        config=config,
        training=rows,
        history=history,
        check=check,
        versions={"cvgl": cvgl.__version__, "torch": torch.__version__, "numpy": np.__version__},
        tensors_sha256=sha256_bytes(tensor_bytes(adapter, reverter, statistics)),
    )
    return Adaptation(
        adapter=adapter.weight,
        bias=adapter.bias,
        reverter=reverter.weight,
        reverter_bias=reverter.bias,
        statistics=statistics,
        record=record,
    )


def _with_banks(learned: Adaptation, queries: Float32Array, references: Float32Array) -> Adaptation:
    """The same adaptation with a sample of its training rows, against which hubness can be corrected later."""
    seed = learned.record.config.seed
    banks = correction.Banks(
        query=correction.sample(queries, learned.transform_query, seed),
        reference=correction.sample(references, learned.transform_reference, seed),
    )
    kept = replace(learned, banks=banks)
    changes = {
        "banks": BankRows(n_queries=len(banks.query), n_references=len(banks.reference)),
        "tensors_sha256": sha256_bytes(kept.tensor_bytes()),
    }
    return replace(kept, record=learned.record.model_copy(update=changes))
