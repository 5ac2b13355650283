"""Learning an adapter from unlabelled descriptors, as a Prefect task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prefect.artifacts import create_table_artifact

from cvgl.config import AdaptConfig, SelectConfig
from cvgl.lake import Lake, read_json
from cvgl.stages.adapt import AdaptOutcome
from cvgl.stages.adapt import adapt as run_stage
from cvgl.types import ArtifactRef
from tasks.artifacts import artifact_key
from tasks.progress import observed
from tasks.stage import stage_task


@stage_task("adapt", run_name="adapt {features.name}, {config.recipe} recipe, seed {config.seed}")
def adapt(features: ArtifactRef, config: AdaptConfig, lake: Lake, rules: SelectConfig | None = None) -> AdaptOutcome:
    """Runs the EM iterations that are missing; see `cvgl.stages.adapt`."""
    title = f"adapting {features.name} ({config.recipe}, seed {config.seed})"
    with observed(artifact_key("adapt", features.name, f"seed{config.seed}"), title) as progress:
        outcome = run_stage(features, config, lake, progress, rules=rules)
    history = read_json(outcome.ref.path / "adapter.json")["history"]
    create_table_artifact(
        [_row(iteration) for iteration in history],
        key=artifact_key("iterations", outcome.run),
        description=f"The training of {outcome.run}, one row an iteration; no labels were used",
    )
    return outcome


def _row(iteration: Mapping[str, Any]) -> dict[str, Any]:
    return {name: float(f"{value:.4g}") if isinstance(value, float) else value for name, value in iteration.items()}
