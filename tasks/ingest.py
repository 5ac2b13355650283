"""Taking images in, as a Prefect task."""

from __future__ import annotations

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from cvgl.config import IngestConfig
from cvgl.ingestion.summaries import summary_lines
from cvgl.lake import Lake, parquet_files, read_parquet
from cvgl.stages.ingest import IngestOutcome
from cvgl.stages.ingest import ingest as run_stage
from tasks.artifacts import artifact_key, prose
from tasks.progress import observed
from tasks.sources import remember
from tasks.stage import stage_task

QUARANTINE_ROWS = 200  # of a table artifact: more is for `cvgl query`


@stage_task("ingest", run_name="ingest {config.dataset}")
def ingest(config: IngestConfig, lake: Lake) -> IngestOutcome:
    """Reads the source's new images into the lake; see `cvgl.stages.ingest`."""
    with observed(artifact_key("ingest", config.dataset), f"reading images of {config.dataset}") as progress:
        outcome = run_stage(config, lake, progress)
    remember(config, lake)
    _publish(outcome, config.dataset, lake)
    return outcome


def _publish(outcome: IngestOutcome, dataset: str, lake: Lake) -> None:
    create_markdown_artifact(
        f"# {prose(dataset)}\n\n| new | known | quarantined | in the lake |\n|---:|---:|---:|---:|\n"
        f"| {outcome.new} | {outcome.known} | {outcome.quarantined} | {outcome.total} |\n"
        + "".join(f"\n**Look at this:** {prose(warning)}\n" for warning in outcome.warnings)
        + "".join(f"\n- {prose(line)}" for line in summary_lines(outcome.summaries, outcome.passed_over)),
        key=artifact_key("images", dataset),
        description=f"What was taken in for {dataset}",
    )
    refused = [
        row for file in parquet_files(lake.quarantine(dataset)) for row in read_parquet(file, kind="quarantine").to_pylist()
    ]
    if refused:
        create_table_artifact(
            refused[:QUARANTINE_ROWS],
            key=artifact_key("quarantine", dataset),
            description=f"{len(refused)} entries were left out; this shows at most {QUARANTINE_ROWS}",
        )
