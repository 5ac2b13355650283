"""The flow that measures an adapter."""

from __future__ import annotations

from cvgl.config import EvaluateConfig
from cvgl.evaluation.evaluate import EvaluateOutcome
from cvgl.lake import Lake
from flows.stage import DEFAULT_LAKE, EVALUATE, stage_flow
from tasks.evaluate import evaluate as measure
from tasks.find import find_adapter


@stage_flow("evaluate", run_name="evaluate {run}")
def evaluate(run: str, config: EvaluateConfig = EVALUATE, lake: str = DEFAULT_LAKE) -> EvaluateOutcome:
    """Scores frozen, standardised and adapted descriptors of a run on the labelled rows of its dataset.

    Args:
        run: name of the run.
        config: what is measured.
        lake: folder that holds everything.
    """
    root = Lake.at(lake)
    return measure(find_adapter(root, run), config, root)
