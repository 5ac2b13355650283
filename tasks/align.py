"""Choosing the alignment of the views, as a Prefect task."""

from __future__ import annotations

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from cvgl.config import AlignConfig, ExtractConfig
from cvgl.lake import Lake
from cvgl.stages.alignment.record import candidate_rows
from cvgl.stages.alignment.stage import AlignOutcome
from cvgl.stages.alignment.stage import align as run_stage
from cvgl.types import ArtifactRef
from tasks.artifacts import artifact_key, code, prose
from tasks.progress import observed
from tasks.stage import stage_task


@stage_task("align", run_name="align {images.name} with {extract.backbone.name}")
def align(images: ArtifactRef, extract: ExtractConfig, config: AlignConfig, lake: Lake) -> AlignOutcome:
    """Tries candidates on a sample of the training images; see `cvgl.stages.alignment.stage`."""
    name = extract.backbone.name
    with observed(artifact_key("align", images.name, name), f"aligning the views of {images.name}") as progress:
        outcome = run_stage(images, extract, config, lake, progress)
    create_markdown_artifact(
        f"# How the views of {prose(images.name)} are aligned\n\n{prose(outcome.record.reason)}\n\n"
        f"Evidence: {code(outcome.ref.path)}\n",
        key=artifact_key("alignment", images.name, name),
        description=f"Chosen without labels for {images.name}",
    )
    if outcome.record.candidates:
        create_table_artifact(
            candidate_rows(outcome.record),
            key=artifact_key("candidates", images.name, name),
            description=f"Candidates for the alignment of {images.name}; no labels were used",
        )
    return outcome
