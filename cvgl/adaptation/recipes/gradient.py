"""Training by gradient descent with checkpoints, shared by the recipes of the paper and of its published trainer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from cvgl.adaptation import checkpoint as checkpoints
from cvgl.adaptation import training
from cvgl.adaptation.compute import training_device
from cvgl.adaptation.recipes.base import Learned, TrainingInputs
from cvgl.adaptation.record import ALGORITHM_VERSION
from cvgl.adaptation.training import GradientLearner, TrainingState
from cvgl.config import AdaptConfig
from cvgl.hashing import digest_json

if TYPE_CHECKING:
    from cvgl.adaptation.standardise import Standardised

MakeLearner = Callable[[int, AdaptConfig, torch.Generator], GradientLearner]
"""(d0, settings, source of the start) -> the maps before the first iteration."""


def learn(inputs: TrainingInputs, make: MakeLearner, statistics: Standardised) -> Learned:
    """Brings fresh or restored maps to the configured number of iterations.

    Args:
        inputs: rows and settings. A checkpoint does not record `draws`: use one file for one kind of draws only.
        make: the maps and their losses.
        statistics: applied to both views first.

    Raises:
        ConfigError: the settings do not fit the rows or this machine.
        LakeError: the checkpoint is damaged, or of another training.
        ModelError: the training diverged.
    """
    config, checkpoint, on_iteration = inputs.config, inputs.checkpoint, inputs.on_iteration
    device = training_device(config)
    generator = torch.Generator().manual_seed(config.seed)
    state = training.start(make(inputs.d0, config, generator), len(inputs.queries), generator, device)
    identity = "" if checkpoint is None else _identity(inputs)
    if checkpoint is not None and checkpoints.restore(state, checkpoint, identity) and on_iteration is not None:
        for metrics in state.history:
            on_iteration(metrics)

    def after_iteration(state: TrainingState) -> None:
        if on_iteration is not None:
            on_iteration(state.history[-1])
        # Not after the last: the finished adapter takes the checkpoint's place.
        if checkpoint is not None and state.iteration % config.checkpoint_every == 0:
            checkpoints.save(state, checkpoint, identity)

    training.run(state, inputs.queries, inputs.references, statistics, after_iteration, inputs.draws)
    return Learned(statistics, *state.learner.maps(), tuple(state.history))


def _identity(inputs: TrainingInputs) -> str:
    """Hash of the rows and settings that a checkpoint belongs to."""
    rows = [hashlib.sha256(values.data).hexdigest() + str(values.shape) for values in (inputs.queries, inputs.references)]
    return digest_json([*rows, inputs.config.identity(), ALGORITHM_VERSION])
