"""Named ways to learn an adapter, a module for each family.

A new recipe is a module with a `LEARNERS` table, listed below, and an entry in `cvgl.config.recipes`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

import cvgl
from cvgl.adaptation import correction
from cvgl.adaptation.recipes import paper, released, robust, untrained
from cvgl.adaptation.recipes.base import Learned, Learner, OnIteration, TrainingInputs
from cvgl.adaptation.record import AdapterRecord, BankRows, TrainingRows
from cvgl.adaptation.transforms import Adaptation, tensor_bytes
from cvgl.config import Recipe
from cvgl.errors import ConfigError
from cvgl.hashing import sha256_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cvgl.config import AdaptConfig
    from cvgl.types import Float32Array

__all__ = ["LEARNERS", "Learned", "Learner", "OnIteration", "TrainingInputs", "train"]

LEARNERS: Mapping[Recipe, Learner] = {**untrained.LEARNERS, **paper.LEARNERS, **released.LEARNERS, **robust.LEARNERS}
"""All recipes but 'auto', which chooses among them."""


def train(inputs: TrainingInputs) -> Adaptation:
    """Learns an adapter by the configured recipe.

    Raises:
        ConfigError: the settings do not fit the rows or this machine, or the recipe is 'auto'.
        DataError: a view has a single row, and the recipe normalises over the rows of a view.
        LakeError: the checkpoint is damaged, or of another training.
        ModelError: the training diverged.
    """
    config = inputs.config
    learner = LEARNERS.get(config.recipe)
    if learner is None:
        raise ConfigError(
            f"the recipe '{config.recipe}' is a choice among the others, which have to be compared first",
            where="AdaptConfig.recipe",
            fix="call cvgl.adapt, run `cvgl run` or `cvgl adapt --recipe auto`, or name a recipe",
        )
    adaptation = _adaptation(learner.learn(inputs), _training_rows(inputs, learner), config)
    return _with_banks(adaptation, inputs.queries, inputs.references) if learner.keeps_banks else adaptation


def _training_rows(inputs: TrainingInputs, learner: Learner) -> TrainingRows:
    sequences = inputs.sequences if learner.uses_sequences else None
    return TrainingRows(
        n_queries=len(inputs.queries),
        n_references=len(inputs.references),
        trajectories_digest=None if sequences is None else sequences.digest(),
    )


def _adaptation(learned: Learned, rows: TrainingRows, config: AdaptConfig) -> Adaptation:
    adapter, reverter = learned.adapter, learned.reverter
    record = AdapterRecord(
        d0=adapter.weight.shape[0],
        d=adapter.weight.shape[1],
        config=config,
        training=rows,
        history=learned.history,
        check=learned.check,
        versions={"cvgl": cvgl.__version__, "torch": torch.__version__, "numpy": np.__version__},
        tensors_sha256=sha256_bytes(tensor_bytes(adapter, reverter, learned.statistics)),
    )
    return Adaptation(
        adapter=adapter.weight,
        bias=adapter.bias,
        reverter=reverter.weight,
        reverter_bias=reverter.bias,
        statistics=learned.statistics,
        record=record,
    )


def _with_banks(adaptation: Adaptation, queries: Float32Array, references: Float32Array) -> Adaptation:
    """The same adaptation with a sample of its training rows, for hubness correction at query time."""
    seed = adaptation.record.config.seed
    banks = correction.Banks(
        query=correction.sample(queries, adaptation.transform_query, seed),
        reference=correction.sample(references, adaptation.transform_reference, seed),
    )
    extended = replace(adaptation, banks=banks)
    changes = {
        "banks": BankRows(n_queries=len(banks.query), n_references=len(banks.reference)),
        "tensors_sha256": sha256_bytes(extended.tensor_bytes()),
    }
    return replace(extended, record=adaptation.record.model_copy(update=changes))
