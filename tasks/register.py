"""Registering a run and asking the gate, as a Prefect task."""

from __future__ import annotations

from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact

from cvgl.config import RegisterConfig
from cvgl.lake import Lake
from cvgl.types import ArtifactRef
from tasks.artifacts import artifact_key, code, prose
from tasks.progress import observed
from tasks.registry.registration import RegisterOutcome
from tasks.registry.registration import publish_report as run_publication
from tasks.registry.registration import register as run_registration
from tasks.registry.verdict import EvaluateRun
from tasks.servers.pages import running_pages
from tasks.stage import stage_task


@stage_task("register", run_name="register {evaluation.name}")
def register(evaluation: ArtifactRef, config: RegisterConfig, lake: Lake, evaluate_run: EvaluateRun) -> RegisterOutcome:
    """Registers an evaluated run and lets the gate decide; see `tasks.registry.registration.register`."""
    with observed(artifact_key("register", evaluation.name), f"registering {evaluation.name}") as progress:
        outcome = run_registration(evaluation, config, lake, evaluate_run, progress)
    _show(outcome, lake)
    return outcome


@stage_task("publish-report", run_name="publish the report of {run}")
def publish_report(run: str, config: RegisterConfig, lake: Lake) -> bool:
    """Puts the report into the MLflow run; see `tasks.registry.registration.publish_report`."""
    return run_publication(run, lake, config)


def _show(outcome: RegisterOutcome, lake: Lake) -> None:
    """What the gate saw and said, and the way to MLflow's page, on the task run's own page."""
    server = mlflow_page(outcome, lake)
    links = f"[MLflow run]({outcome.page(server)}), [model]({outcome.model_page(server)})" if server else "`cvgl ui` shows them"
    create_markdown_artifact(
        f"# {outcome.verdict}\n\n{prose(outcome.reason)}\n\n"
        f"- model: {code(outcome.model)} version {outcome.version}\n"
        f"- champion now: {code(outcome.champion or 'none')}\n"
        f"{_compared(outcome)}"
        f"- run and model in MLflow: {links}\n",
        key=artifact_key("gate", outcome.run),
        description=f"{outcome.verdict}: {outcome.model} version {outcome.version}",
    )
    if outcome.decision.quality:
        create_table_artifact(
            [{"without labels": name, "figure": figure} for name, figure in outcome.decision.quality.items()],
            key=artifact_key("quality", outcome.run),
            description=f"What is said of {outcome.run} without labels",
        )
    if outcome.decision.comparisons:
        create_table_artifact(
            comparison_rows(outcome),
            key=artifact_key("gate-figures", outcome.run),
            description="R@1 that the gate compared",
        )
    if server:
        create_link_artifact(
            outcome.page(server),
            f"MLflow run of {outcome.run}",
            key=artifact_key("mlflow-run", outcome.run),
            description="Parameters, metrics of every iteration, figures and the report, in MLflow",
        )


def _compared(outcome: RegisterOutcome) -> str:
    """What challenger and champion came to on the same rows, as lines of a list."""
    mended = [outcome.positions] if outcome.positions and outcome.positions != outcome.reason else []
    return "".join(f"- {prose(line)}\n" for line in (*outcome.decision.evidence, *mended))


def mlflow_page(outcome: RegisterOutcome, lake: Lake) -> str | None:
    """The address of the MLflow server that shows this registry, where one is known."""
    if outcome.tracking_uri.startswith(("http://", "https://")):
        return outcome.tracking_uri
    pages = running_pages(lake)
    return pages.mlflow_url if pages is not None else None


def comparison_rows(outcome: RegisterOutcome) -> list[dict[str, str | int]]:
    """The figures that the gate compared, one row each."""
    return [
        {
            "direction": pair.direction,
            "protocol": pair.protocol,
            "against": pair.against,
            "challenger R@1": f"{pair.challenger:.1%}",
            "incumbent R@1": f"{pair.incumbent:.1%}",
            "difference": f"{pair.difference:+.1%}",
            "queries": pair.n_queries,
        }
        for pair in outcome.decision.comparisons
    ]
