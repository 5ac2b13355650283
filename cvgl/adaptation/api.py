"""`learn`: descriptors in, adaptation out, for a recipe that is named; `cvgl.adapt` adds the choice of one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cvgl.adaptation.descriptors import checked

if TYPE_CHECKING:
    from cvgl.adaptation.recipes import OnIteration
    from cvgl.adaptation.sequences import FrameSequences
    from cvgl.adaptation.training import Draws
    from cvgl.adaptation.transforms import Adaptation
    from cvgl.config import AdaptConfig


def learn(
    query_features: Any,
    reference_features: Any,
    config: AdaptConfig,
    on_iteration: OnIteration | None = None,
    checkpoint: str | Path | None = None,
    draws: Draws | None = None,
    sequences: FrameSequences | None = None,
) -> Adaptation:
    """Checks two matrices of frozen descriptors and learns the configured recipe from them.

    Args:
        query_features: (M, d0), descriptors of the drone or ground view.
        reference_features: (N, d0), descriptors of the satellite view.
        config: all settings; the recipe is any but "auto".
        on_iteration: called with the metrics of every iteration.
        checkpoint: file of the training state; removed when the training is complete.
        draws: the query rows of each iteration; default: the recipe's own sample.
        sequences: image sequences of the queries, and positions of the references.

    Raises:
        ConfigError, DataError, LakeError, ModelError: see `cvgl.adapt`.
    """
    from cvgl.adaptation.recipes import TrainingInputs, train

    queries = checked(query_features, "query features")
    references = checked(reference_features, "reference features", queries.shape[1])
    path = None if checkpoint is None else Path(checkpoint)
    if sequences is not None:
        sequences.check(len(queries), len(references))
    adaptation = train(TrainingInputs(queries, references, config, on_iteration, path, draws, sequences))
    if path is not None:
        path.unlink(missing_ok=True)
    return adaptation
