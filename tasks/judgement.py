"""Holding judgements made without labels against labels, as a Prefect task."""

from __future__ import annotations

from collections.abc import Sequence

from prefect.artifacts import create_table_artifact

from cvgl.experiments.judgement import JudgementOutcome, reproduce_judgement
from cvgl.lake import Lake
from cvgl.types import ArtifactRef
from tasks.artifacts import artifact_key
from tasks.progress import observed
from tasks.stage import stage_task


@stage_task("judgement", run_name="judgement without labels")
def judgement(features: Sequence[tuple[ArtifactRef, str, str]], seeds: Sequence[int], lake: Lake) -> JudgementOutcome:
    """Measures choices, predictions and refusals; see `cvgl.experiments.judgement`."""
    with observed(artifact_key("reproduce", "judgement"), "judging without labels") as progress:
        outcome = reproduce_judgement(features, lake, seeds, progress)
    create_table_artifact(
        [
            {"where": choice.where, "seed": choice.seed, "chosen": choice.chosen, "worst, points": f"{100 * choice.worst:+.1f}"}
            for choice in outcome.result.choices
        ],
        key=artifact_key("judgement", "choices"),
        description="The recipe auto against the better of frozen and standardised",
    )
    return outcome
