"""Frozen descriptors, as a Prefect task."""

from __future__ import annotations

from prefect.artifacts import create_markdown_artifact

from cvgl.config import ExtractConfig
from cvgl.lake import Lake
from cvgl.stages.extraction.stage import ExtractOutcome
from cvgl.stages.extraction.stage import extract as run_stage
from cvgl.types import ArtifactRef
from tasks.artifacts import artifact_key, code, prose
from tasks.progress import observed
from tasks.stage import stage_task


@stage_task("extract", run_name="extract {images.name} with {config.backbone.name}")
def extract(images: ArtifactRef, config: ExtractConfig, lake: Lake) -> ExtractOutcome:
    """Computes the descriptors that are missing; see `cvgl.stages.extraction.stage`."""
    title = f"describing {images.name} with {config.backbone.name}"
    with observed(artifact_key("extract", images.name, config.backbone.name), title) as progress:
        outcome = run_stage(images, config, lake, progress)
    show(outcome, config)
    return outcome


def show(outcome: ExtractOutcome, config: ExtractConfig, how: str = "") -> None:
    """What has been described, on the run's page; `how` goes into the heading."""
    create_markdown_artifact(
        f"# {prose(config.backbone.name)} on {prose(outcome.ref.name)}{prose(how) and ' ' + prose(how)}\n\n"
        "| embedded | known | failed | dimension | pictures/s |\n|---:|---:|---:|---:|---:|\n"
        f"| {outcome.embedded} | {outcome.known} | {outcome.failed} | {outcome.dimension} "
        f"| {outcome.images_per_second:.1f} |\n\n"
        f"Model fingerprint `{outcome.ref.digest}`, descriptors in {code(outcome.ref.path)}.\n",
        key=artifact_key("features", outcome.ref.name, config.backbone.name),
        description=f"Frozen descriptors of {outcome.ref.name}",
    )
