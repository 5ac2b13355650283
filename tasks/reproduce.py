"""Measuring an experiment and writing its page, as Prefect tasks."""

from __future__ import annotations

from collections.abc import Sequence

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from cvgl.experiments.counting import compose_counts, count
from cvgl.experiments.machine import describe_machine
from cvgl.experiments.material import training_view
from cvgl.experiments.page_writing import PageOutcome, write_page
from cvgl.experiments.pages import Finished, compose
from cvgl.experiments.planning import COUNTED, PagePlan
from cvgl.experiments.reproduce import ReproduceOutcome
from cvgl.experiments.reproduce import reproduce as measure_experiment
from cvgl.experiments.results import BackboneResult, Spread
from cvgl.experiments.settings import ReproduceConfig
from cvgl.experiments.sources import SourceConfig
from cvgl.experiments.worlds import draw_world
from cvgl.lake import Lake
from cvgl.stages.alignment.record import AlignmentRecord
from cvgl.types import ArtifactRef
from tasks.artifacts import artifact_key
from tasks.progress import observed
from tasks.stage import stage_task

__all__ = ["draw", "publish", "reproduce", "training_view"]


@stage_task("reproduce", run_name="{config.experiment} on {features.name}, {features.digest}")
def reproduce(
    features: ArtifactRef, config: ReproduceConfig, lake: Lake, choice: AlignmentRecord | None = None
) -> ReproduceOutcome:
    """Measures the configurations that are missing; see `cvgl.experiments.reproduce`."""
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


@stage_task("draw-world", run_name="{source.dataset}")
def draw(source: SourceConfig) -> None:
    """Draws the images of a built-in world that are missing; see `cvgl.experiments.worlds`."""
    with observed(artifact_key("world", source.dataset), f"drawing {source.dataset}") as progress:
        draw_world(source, progress)


@stage_task("publish", run_name="{plan.name}")
def publish(plan: PagePlan, finished: Sequence[Finished], lake: Lake, seconds: float) -> PageOutcome:
    """Writes the page of a table or figure; see `cvgl.experiments.page_writing`."""
    if plan.counted:
        counts = {need: count(source, lake, plan.split_seed) for need, source in zip(COUNTED, plan.counted, strict=True)}
        page = compose_counts(plan, counts)
    else:
        page = compose(plan, finished, str(lake.root))
    outcome = write_page(page, lake, describe_machine(), seconds)
    create_markdown_artifact(outcome.markdown.read_text(), key=artifact_key("page", plan.name), description=page.heading)
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
