"""Mending what a process that died has left between a map and its registry, as a Prefect task at the start of a run."""

from __future__ import annotations

from prefect.artifacts import create_markdown_artifact

from cvgl.config import RegisterConfig
from cvgl.lake import Lake
from tasks.artifacts import artifact_key, prose
from tasks.registry.recovery import mend_at_start
from tasks.stage import stage_task


@stage_task("recover", run_name="look after the map of {dataset}")
def recover(dataset: str, config: RegisterConfig, lake: Lake) -> list[str]:
    """Gives what was mended; see `tasks.registry.recovery.mend_at_start`."""
    mended = mend_at_start(dataset, lake, config)
    if mended:
        create_markdown_artifact(
            "# Mended\n\n" + "".join(f"- {prose(line)}\n" for line in mended),
            key=artifact_key("recovery", dataset),
            description=f"What did not agree between the map of {dataset} and the registry",
        )
    return mended
