"""Measuring an experiment, as a Prefect task."""

from __future__ import annotations

from prefect.artifacts import create_table_artifact

from cvgl.lake import Lake
from cvgl.reproduction.material import training_view
from cvgl.reproduction.reproduce import ReproduceOutcome
from cvgl.reproduction.reproduce import reproduce as measure_experiment
from cvgl.reproduction.results import BackboneResult, Spread
from cvgl.reproduction.settings import ReproduceConfig
from cvgl.stages.align_record import AlignmentRecord
from cvgl.types import ArtifactRef
from tasks.artifacts import artifact_key
from tasks.progress import observed
from tasks.stage import stage_task

__all__ = ["reproduce", "training_view"]


@stage_task("reproduce", run_name="{config.experiment} on {features.name}, {features.digest}")
def reproduce(
    features: ArtifactRef, config: ReproduceConfig, lake: Lake, choice: AlignmentRecord | None = None
) -> ReproduceOutcome:
    """Measures the configurations that are missing; see `cvgl.reproduction.reproduce`."""
    key = artifact_key("reproduce", config.experiment, features.name, features.digest)
    with observed(key, f"{config.experiment} on {features.name}") as progress:
        outcome = measure_experiment(features, config, lake, progress, choice)
    create_table_artifact(
        _rows(outcome.result),
        key=artifact_key("results", config.experiment, features.name, features.digest),
        description=f"{outcome.result.source} with {outcome.result.backbone.name}, "
        f"alignment {outcome.result.aligned}; rates in percent, means over seeds",
    )
    return outcome


def _rows(result: BackboneResult) -> list[dict[str, str]]:
    return [
        {
            "configuration": configuration.name,
            "direction": direction.direction,
            **{f"R@{depth}": _percent(spread) for depth, spread in direction.recall.items()},
            "AP": _percent(direction.ap),
            **{f"within {radius} m": _percent(spread) for radius, spread in direction.within_m.items()},
            "protocol": direction.protocol,
        }
        for configuration in result.configurations
        for direction in configuration.directions
    ]


def _percent(spread: Spread) -> str:
    deviation = "" if spread.deviation is None else f" +- {100 * spread.deviation:.1f}"
    return f"{100 * spread.mean:.1f}{deviation}"
