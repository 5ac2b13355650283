"""One MLflow run for each run of ours: parameters, figures of every iteration, evaluation, report, fingerprints.

A run of ours is recognised by its tag `cvgl.run`, so work that was killed continues in the same MLflow run. All figures
carry the run's start as their time: writing them twice writes the same rows.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cvgl.adaptation.record import AdapterRecord
from cvgl.hashing import digest_json, sha256_file
from cvgl.lake import TEMPORARY_PREFIX, Lake, read_versioned
from cvgl.summary import MetricSummary
from cvgl.types import Representation
from tasks.registry.store import Registry, experiment_id, run_page
from tasks.registry.tags import CONTENTS, DATASET, FIGURES, REPORT, RUN

logger = logging.getLogger("cvgl.registry")

# MLflow's limits on one request.
_METRICS_AT_ONCE = 1000
_PARAMETERS_AT_ONCE = 100
FIGURE_NAMES = {"R@1%": "recall_at_1_percent", "AP": "average_precision"}


@dataclass(frozen=True, slots=True)
class TrackedRun:
    """An MLflow run.

    Attributes:
        id: MLflow's id.
        experiment: id of its experiment.
        started: milliseconds since 1970.
        contents: digest over all that was logged, when it is complete; empty otherwise.
    """

    id: str
    experiment: str
    started: int
    contents: str

    def page(self, server: str) -> str:
        """Where a server's page shows this run."""
        return run_page(server, self.experiment, self.id)


def find_or_create_run(registry: Registry, dataset: str, run: str) -> TrackedRun:
    """The one MLflow run that belongs to a run of ours; created when there is none.

    A request to create one whose reply never came may still have been carried out, even after the next one. Such a second run
    holds nothing and goes into MLflow's bin.
    """
    return registry.patience(lambda: _find_or_create_run(registry, dataset, run), "looking for the run")


def _find_or_create_run(registry: Registry, dataset: str, run: str) -> TrackedRun:
    experiment = experiment_id(registry, f"cvgl-{dataset}")
    runs = registry.client.search_runs([experiment], f"tags.`cvgl.run` = '{run}'", order_by=["start_time ASC"])
    runs = sorted(runs, key=_is_empty)  # one that was asked for first may be made last
    tags = {RUN: run, DATASET: dataset}
    entity = runs[0] if runs else registry.client.create_run(experiment, run_name=run, tags=tags)
    for second in filter(_is_empty, runs[1:]):
        registry.client.delete_run(second.info.run_id)
        logger.warning("MLflow had a second run of %s, %s, which holds nothing; it was deleted", run, second.info.run_id)
    finished = entity.info.status == "FINISHED"
    return TrackedRun(
        id=str(entity.info.run_id),
        experiment=experiment,
        started=int(entity.info.start_time),
        contents=entity.data.tags.get(CONTENTS, "") if finished else "",
    )


def _is_empty(entity: Any) -> bool:
    """Whether nothing has been logged for an MLflow run."""
    return not entity.data.params and not entity.data.metrics


def contents_digest(record: AdapterRecord, lake: Lake) -> str:
    """Digest over everything that gets logged for a run: equal digests mean there is nothing to do."""
    run = str(record.run)
    return digest_json({"tensors": record.tensors_sha256, "files": _hashes(lake, lake.evaluation(run))})


def _finished(folder: Path) -> list[Path]:
    """The finished files of a folder."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(TEMPORARY_PREFIX))


def _hashes(lake: Lake, folder: Path) -> dict[str, str]:
    return {str(path.relative_to(lake.root)): sha256_file(path) for path in _finished(folder)}


def log_run(registry: Registry, tracked: TrackedRun, record: AdapterRecord, summaries: Sequence[MetricSummary]) -> None:
    """Logs parameters, the training's metrics, fingerprints and files of a run. Doing it again changes nothing.

    Args:
        registry: where to.
        tracked: the MLflow run.
        record: what adapter.json says.
        summaries: the evaluation's figures, all stages.
    """
    registry.client.update_run(tracked.id, status="RUNNING")
    _log_parameters(registry, tracked, record)
    _log_metrics(registry, tracked, _history(record), tracked.started)
    _log_inputs(registry, tracked, record)
    _log_files(registry, tracked, "evaluation", registry.lake.evaluation(str(record.run)))
    registry.client.log_dict(
        tracked.id, {"metrics": [summary.model_dump(mode="json") for summary in summaries]}, "evaluation/metrics.json"
    )
    registry.client.set_tag(tracked.id, "mlflow.note.content", summary_markdown(summaries))


def log_figures(
    registry: Registry, tracked: TrackedRun, contents: str, summaries: Sequence[MetricSummary], model_id: str
) -> None:
    """Logs the evaluation's figures; the adapted ones belong to the model too, so that its page shows them.

    MLflow shows the figure with the latest time, so those of a later evaluation are written one millisecond later. Which
    evaluation is being written is noted first: after a kill the same rows are written again, not others.
    """
    generation, _, noted = registry.client.get_run(tracked.id).data.tags.get(FIGURES, "-1:").partition(":")
    moment = int(generation) + (noted != contents)
    registry.client.set_tag(tracked.id, FIGURES, f"{moment}:{contents}")
    for summary in summaries:
        rows = [(figure_name(summary, name), 0, value) for name, value in summary.measures().items()]
        owner = model_id if summary.stage is Representation.ADAPTED else None
        _log_metrics(registry, tracked, rows, tracked.started + moment, owner)


def finish_run(registry: Registry, tracked: TrackedRun, contents: str) -> None:
    """Marks a run as completely logged; the mark is set last."""
    registry.client.set_tag(tracked.id, CONTENTS, contents)
    registry.client.set_terminated(tracked.id, "FINISHED")


def fail_run(registry: Registry, tracked: TrackedRun) -> None:
    """Marks a run as failed; the next attempt takes it up again."""
    registry.client.set_terminated(tracked.id, "FAILED")


def _log_parameters(registry: Registry, tracked: TrackedRun, record: AdapterRecord) -> None:
    from mlflow.entities import Param

    values = {
        "dataset": record.dataset,
        "query_view": record.query_view,
        "features": record.feature_set_id,
        "d0": record.d0,
        "d": record.d,
        **_flat("adapt", record.config.model_dump(mode="json")),
        **_flat("training", record.training.model_dump(mode="json")),
        **_flat("extract", _extraction(registry.lake, record)),
        **_flat("versions", {"algorithm": record.algorithm, **record.versions}),
    }
    # A parameter is written once and for all in MLflow, and a version of the backbone's identity may be read later.
    logged = registry.client.get_run(tracked.id).data.params
    fresh = [Param(name, str(value)[:6000]) for name, value in values.items() if name not in logged]
    for start in range(0, len(fresh), _PARAMETERS_AT_ONCE):
        registry.client.log_batch(tracked.id, params=fresh[start : start + _PARAMETERS_AT_ONCE])


def _extraction(lake: Lake, record: AdapterRecord) -> dict[str, Any]:
    """The settings of the frozen model, where its features are still in the lake."""
    path = lake.features(str(record.feature_set_id), str(record.dataset)).parent / "model.json"
    model = read_versioned(path, "model") if path.is_file() else {}
    return {name: value for name, value in model.items() if name in ("extract", "identity")}


def _flat(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        key = prefix if name == prefix else f"{prefix}.{name}"
        flat |= _flat(key, value) if isinstance(value, Mapping) else {key: value}
    return flat


def _history(record: AdapterRecord) -> Iterator[tuple[str, int, float]]:
    for metrics in record.history:
        for name, value in metrics.scalars().items():
            yield f"training/{name}", metrics.iteration, value


def figure_name(summary: MetricSummary, measure: str) -> str:
    """A name that MLflow accepts: ``adapted/drone_to_satellite/university1652-951/recall_at_1``."""
    plain = FIGURE_NAMES.get(measure, measure.replace("R@", "recall_at_"))
    return re.sub(r"[^\w\-./ ]", "_", f"{summary.stage}/{summary.direction}/{summary.protocol}/{plain}")


def _log_metrics(
    registry: Registry, tracked: TrackedRun, rows: Iterable[tuple[str, int, float]], moment: int, model_id: str | None = None
) -> None:
    from mlflow.entities import Metric

    metrics = [Metric(name, float(value), moment, step, model_id=model_id) for name, step, value in rows]
    for start in range(0, len(metrics), _METRICS_AT_ONCE):
        registry.client.log_batch(tracked.id, metrics=metrics[start : start + _METRICS_AT_ONCE])


def _log_inputs(registry: Registry, tracked: TrackedRun, record: AdapterRecord) -> None:
    """The rows that the adapter has learned from, in the form that MLflow's page shows as datasets used."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    rows = record.training
    source = {"features": record.feature_set_id, "dataset": record.dataset}
    inputs = [
        DatasetInput(
            Dataset(
                name=f"{record.dataset}-{side}",
                digest=str(digest)[:36],
                source_type="cvgl",
                source=digest_json(source),
                profile=f'{{"num_rows": {count}}}',
            ),
            tags=[InputTag("mlflow.data.context", "adaptation"), InputTag("features", str(record.feature_set_id))],
        )
        for side, digest, count in (
            ("queries", rows.query_ids_digest, rows.n_queries),
            ("references", rows.reference_ids_digest, rows.n_references),
        )
    ]
    registry.client.log_inputs(tracked.id, inputs)


def log_report(registry: Registry, tracked: TrackedRun, run: str) -> bool:
    """Logs the page and figures of a run, unless the same ones are there; gives whether there was something to do."""
    folder = registry.lake.report(run)
    digest = digest_json(_hashes(registry.lake, folder))
    if registry.client.get_run(tracked.id).data.tags.get(REPORT) == digest:
        return False
    _log_files(registry, tracked, "report", folder)
    registry.client.set_tag(tracked.id, REPORT, digest)  # last: where it stands, all files do
    return True


def log_gate(registry: Registry, tracked: TrackedRun, folder: Path) -> None:
    """Logs what the gate went by (`tasks.registry.verdict`), in place of what it went by before."""
    _log_files(registry, tracked, "gate", folder)


def _log_files(registry: Registry, tracked: TrackedRun, name: str, folder: Path) -> None:
    for path in _finished(folder):
        target = Path(name) / path.relative_to(folder).parent
        registry.client.log_artifact(tracked.id, str(path), target.as_posix())


def summary_markdown(summaries: Sequence[MetricSummary]) -> str:
    """The figures as a Markdown table, for pages that show one."""
    lines = ["| direction | protocol (hash) | stage | R@1 | R@5 | R@10 | AP | median |", "|---|---|---|--:|--:|--:|--:|--:|"]
    for summary in summaries:
        rates = " | ".join(_percent(summary.recall.get(depth)) for depth in ("1", "5", "10"))
        metres = "" if summary.median_m is None else f"{summary.median_m:.1f} m"
        rules = f"{summary.protocol} ({summary.protocol_hash})"
        lines.append(f"| {summary.direction} | {rules} | {summary.stage} | {rates} | {_percent(summary.ap)} | {metres} |")
    return "\n".join(lines)


def _percent(rate: float | None) -> str:
    return "" if rate is None else f"{100 * rate:.1f} %"
