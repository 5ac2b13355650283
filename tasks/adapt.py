"""Learning an adapter from unlabelled descriptors, as a Prefect task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cvgl.config import AdaptConfig, SelectConfig
from cvgl.lake import Lake, read_json
from cvgl.stages.adapt import AdaptOutcome
from cvgl.stages.adapt import adapt as run_stage
from cvgl.types import ArtifactRef
from tasks.artifacts import artifact_key
from tasks.progress import LiveTable, observed
from tasks.stage import stage_task


@stage_task("adapt", run_name="adapt {features.name}, {config.recipe} recipe, seed {config.seed}")
def adapt(features: ArtifactRef, config: AdaptConfig, lake: Lake, rules: SelectConfig | None = None) -> AdaptOutcome:
    """Runs the EM iterations that are missing; see `cvgl.stages.adapt`."""
    named = (features.name, config.recipe, f"seed{config.seed}")
    table = LiveTable(
        artifact_key("iterations", *named),
        f"The training on {features.name} ({config.recipe}, seed {config.seed}), one row an iteration; no labels were used",
    )
    title = f"adapting {features.name} ({config.recipe}, seed {config.seed})"
    with observed(artifact_key("adapt", *named), title) as progress:
        outcome = run_stage(
            features,
            config,
            lake,
            progress,
            on_iteration=lambda metrics: table.add(_row(metrics.model_dump(mode="json"))),
            rules=rules,
        )
    table.end([_row(iteration) for iteration in read_json(outcome.ref.path / "adapter.json")["history"]])
    return outcome


def _row(iteration: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of an iteration, shortened, with the terms of the loss as columns of their own."""
    losses = {f"loss {name}": value for name, value in iteration["losses"].items()}
    flat = {**{name: value for name, value in iteration.items() if name != "losses"}, **losses}
    return {name: float(f"{value:.4g}") if isinstance(value, float) else value for name, value in flat.items()}
