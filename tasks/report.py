"""The HTML report of a run, as a Prefect task."""

from __future__ import annotations

from collections.abc import Mapping

from prefect.artifacts import create_image_artifact, create_link_artifact

from cvgl.lake import Lake
from cvgl.reporting.report import ReportOutcome
from cvgl.reporting.report import report as run_stage
from cvgl.types import ArtifactRef
from tasks.artifacts import artifact_key, inline_image
from tasks.progress import observed
from tasks.stage import stage_task


@stage_task("report", run_name="report {evaluation.name}")
def report(evaluation: ArtifactRef, lake: Lake, links: Mapping[str, str] | None = None) -> ReportOutcome:
    """Writes the page, and shows its address and figures on the task run; see `cvgl.reporting.report`."""
    run = evaluation.name
    with observed(artifact_key("report", run), f"drawing the report of {run}") as progress:
        outcome = run_stage(evaluation, lake, links or {}, progress)
    create_link_artifact(
        outcome.ref.path.as_uri(),
        f"Report of {run}",
        key=artifact_key("report-page", run),
        description="One self-contained HTML page; MLflow shows it too, among the artifacts of the run",
    )
    for figure in sorted(outcome.ref.path.parent.glob("**/*.png")):
        image = inline_image(figure)
        if image is not None:
            create_image_artifact(image, key=artifact_key("figure", figure.stem, run), description=figure.stem)
    return outcome
