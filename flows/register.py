"""The flow that registers a run and lets the gate decide which run serves."""

from __future__ import annotations

from cvgl.config import EvaluateConfig, RegisterConfig
from cvgl.lake import Lake
from cvgl.summary import MetricSummary
from flows.stage import DEFAULT_LAKE, EVALUATE, REGISTER, stage_flow
from tasks.champion import describe_for
from tasks.evaluate import evaluate
from tasks.find import find_adapter, find_evaluation
from tasks.judge import judge
from tasks.register import register as pass_gate
from tasks.registry.registration import RegisterOutcome


@stage_flow("register", run_name="register {run}")
def register(
    run: str,
    config: RegisterConfig = REGISTER,
    evaluation: EvaluateConfig = EVALUATE,
    lake: str = DEFAULT_LAKE,
) -> RegisterOutcome:
    """Stores an evaluated run in the registry, and promotes it if the gate agrees.

    It has to be better than the champion with confidence: by labels if there are some, else on images that neither has
    learned from.

    Args:
        run: name of the run.
        config: registry address, model name, policy of the gate.
        evaluation: how the champion is measured on the same rows, when there is one.
        lake: folder that holds everything.
    """
    root = Lake.at(lake)

    def measured(champion: str) -> list[MetricSummary]:
        describe_for(champion, run, root)  # with a frozen model of its own, it may lack what has come since
        return evaluate(find_adapter(root, champion), evaluation, root).metrics

    judge(find_adapter(root, run), root)
    return pass_gate(find_evaluation(root, run), config, root, evaluate_run=measured)
