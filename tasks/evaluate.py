"""Measuring an adapter, as a Prefect task."""

from __future__ import annotations

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from cvgl.config import EvaluateConfig
from cvgl.evaluation.evaluate import EvaluateOutcome
from cvgl.evaluation.evaluate import evaluate as run_stage
from cvgl.lake import Lake
from cvgl.types import ArtifactRef
from tasks.artifacts import artifact_key, metrics_markdown, metrics_rows, prose
from tasks.progress import observed
from tasks.stage import stage_task


@stage_task("evaluate", run_name="evaluate {adapter.name}")
def evaluate(adapter: ArtifactRef, config: EvaluateConfig, lake: Lake) -> EvaluateOutcome:
    """Scores frozen, standardised and adapted descriptors; see `cvgl.evaluation.evaluate`."""
    with observed(artifact_key("evaluate", adapter.name), f"evaluating {adapter.name}") as progress:
        outcome = run_stage(adapter, config, lake, progress)
    if outcome.metrics:
        create_table_artifact(
            metrics_rows(outcome.metrics),
            key=artifact_key("metrics", adapter.name),
            description=f"Retrieval before and after adaptation, {adapter.name}",
        )
    create_markdown_artifact(
        f"# {prose(adapter.name)}\n\n{metrics_markdown(outcome.metrics)}\n",
        key=artifact_key("evaluation", adapter.name),
        description="Rates in percent; frozen, standardised by view, adapted; then with what inference adds",
    )
    return outcome
