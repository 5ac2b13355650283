"""Judging an adapter without labels, as a Prefect task."""

from __future__ import annotations

from prefect.artifacts import create_markdown_artifact

from cvgl.lake import Lake
from cvgl.quality.gate import quality_figures
from cvgl.stages.quality import JudgeOutcome
from cvgl.stages.quality import judge as run_stage
from cvgl.types import ArtifactRef
from tasks.artifacts import artifact_key, prose
from tasks.progress import observed
from tasks.stage import stage_task


@stage_task("judge", run_name="judge {adapter.name}")
def judge(adapter: ArtifactRef, lake: Lake) -> JudgeOutcome:
    """Makes the quality report; see `cvgl.stages.quality`."""
    with observed(artifact_key("judge", adapter.name), f"judging {adapter.name} without labels") as progress:
        outcome = run_stage(adapter, lake, progress)
    report = outcome.record.report
    rows = "".join(f"| {prose(name)} | {prose(figure)} |\n" for name, figure in quality_figures(report).items())
    create_markdown_artifact(
        f"# {report.verdict}\n\n{prose(report.reason)}\n\n| without labels | |\n|---|---|\n{rows}",
        key=artifact_key("judgement", adapter.name),
        description=f"{report.verdict}: {adapter.name}, judged without labels",
    )
    return outcome
