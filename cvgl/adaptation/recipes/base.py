"""The interface of a recipe: training inputs in, two affine maps and the statistics before them out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cvgl.adaptation.affine import Affine
from cvgl.adaptation.record import IterationMetrics, SelfCheck

if TYPE_CHECKING:
    from cvgl.adaptation.sequences import FrameSequences
    from cvgl.adaptation.standardise import Standardised
    from cvgl.adaptation.training import Draws
    from cvgl.config import AdaptConfig
    from cvgl.types import Float32Array

OnIteration = Callable[[IterationMetrics], None]


@dataclass(frozen=True, slots=True)
class TrainingInputs:
    """Input of a recipe: two matrices of descriptors, and settings. There is no field for a label.

    Attributes:
        queries: float32 (M_0, d0), checked.
        references: float32 (N, d0), checked.
        config: the settings, recipe included.
        on_iteration: called with the metrics of every iteration, those restored from a checkpoint included.
        checkpoint: file of the state between iterations; for the caller to remove.
        draws: the query rows of each iteration; default: the recipe's own uniform sample.
        sequences: image sequences, for recipes that use them.
    """

    queries: Float32Array
    references: Float32Array
    config: AdaptConfig
    on_iteration: OnIteration | None = None
    checkpoint: Path | None = None
    draws: Draws | None = None
    sequences: FrameSequences | None = None

    @property
    def d0(self) -> int:
        """Dimension of the frozen descriptors."""
        return int(self.queries.shape[1])


class Learned(NamedTuple):
    """The outcome of a recipe.

    Attributes:
        statistics: of each view, applied before the adapter.
        adapter: (d0, d).
        reverter: (d, d0).
        history: one entry per iteration.
        check: self-check on held-out queries, of recipes that have one.
    """

    statistics: Standardised
    adapter: Affine
    reverter: Affine
    history: tuple[IterationMetrics, ...] = ()
    check: SelfCheck | None = None


class Learner(NamedTuple):
    """A recipe as `cvgl.adaptation.recipes.LEARNERS` lists it.

    Attributes:
        learn: the algorithm.
        keeps_banks: a sample of training rows is stored with the adapter, for the hubness correction of
            `cvgl.adaptation.correction`.
        uses_sequences: the order of images matters, and is part of the adapter's record.
    """

    learn: Callable[[TrainingInputs], Learned]
    keeps_banks: bool = False
    uses_sequences: bool = False


def identity_map(d0: int) -> Affine:
    """The map that changes nothing, (d0, d0)."""
    return Affine(np.eye(d0, dtype=np.float32), np.zeros(d0, np.float32))
