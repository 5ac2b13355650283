"""Registers a run: tracked, stored as a model version, judged by the gate and, on evidence, made the champion.

Every step looks first whether it has been done, so a registration that was killed continues where it stopped, and one
that was finished does nothing.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Literal

from cvgl.adaptation.record import AdapterRecord
from cvgl.adaptation.transforms import read_record
from cvgl.config import RegisterConfig
from cvgl.lake import Lake, read_versioned, write_versioned
from cvgl.masking import masked
from cvgl.quality.gate import GateDecision
from cvgl.summary import read_summaries
from cvgl.types import ArtifactRef, Progress, silent
from tasks.registry import model, promotion, references, tracking, verdict
from tasks.registry.golden import golden_descriptors
from tasks.registry.patience import RegistryUnreachableError
from tasks.registry.promotion import Version
from tasks.registry.store import Registry, model_page, registration, run_page
from tasks.registry.tags import DATASET, FEATURES, MODEL_ID, REASON, ROLLED_BACK, RUN, TENSORS, VERDICT
from tasks.registry.verdict import EvaluateRun

logger = logging.getLogger("cvgl.registry")

_STEPS = 5


@dataclass(frozen=True, slots=True)
class RegisterOutcome:
    """What registering a run came to.

    Attributes:
        run: the run of ours.
        mlflow_run: id of its MLflow run.
        experiment: id of the experiment that it is in.
        tracking_uri: MLflow's address.
        model: name of the registered model.
        version: this run's version of it.
        verdict: promoted, refused or unchanged.
        reason: one sentence for a person.
        decision: the gate's figures; without comparisons where nothing had to be judged.
        champion: the run that serves the dataset now; empty when none does.
        skipped: whether everything had been done before.
        positions: what was mended in the map that serves, whosever adapter it holds; empty where nothing was.
    """

    run: str
    mlflow_run: str
    experiment: str
    tracking_uri: str
    model: str
    version: str
    verdict: Literal["promoted", "refused", "unchanged"]
    reason: str
    decision: GateDecision
    champion: str
    skipped: bool
    positions: str = ""

    def page(self, server: str) -> str:
        """Where a running MLflow server's page shows the run."""
        return run_page(server, self.experiment, self.mlflow_run)

    def model_page(self, server: str) -> str:
        """Where it shows the model version."""
        return model_page(server, self.model, self.version)


def publish_report(run: str, lake: Lake, config: RegisterConfig) -> bool:
    """Puts a run's report into its MLflow run; gives whether there was something to do.

    The report tells what the gate said, so it is written, and published, after the registration.

    Raises:
        LakeError: there is no such adapter.
        RegistryError: the registry cannot be opened.
    """
    record = read_record(lake.adapter(run))
    name = promotion.model_name(config, str(record.dataset))
    with registration(lake, name, config.tracking_uri, patience=config.patience_s) as registry:
        tracked = tracking.find_or_create_run(registry, str(record.dataset), run)
        return tracking.log_report(registry, tracked, run)


def register(
    evaluation: ArtifactRef,
    config: RegisterConfig,
    lake: Lake,
    evaluate_run: EvaluateRun,
    progress: Progress = silent,
) -> RegisterOutcome:
    """Registers an evaluated run and lets the gate decide whether it becomes the champion.

    Args:
        evaluation: what `cvgl.evaluation.evaluate` gave; its name is the run.
        config: registry address, model name, the gate's policy.
        lake: where everything is.
        evaluate_run: called with the champion's run when there is another champion; describes for it what it lacks.
        progress: told after each step.

    Raises:
        LakeError: the adapter, its evaluation or its features are missing.
        RegistryError: the registry cannot be opened, stays silent for longer than the settings' patience, or does not give
            back what was put in.
        DataError: a figure of the run is missing. A champion that cannot be asked the same stays, with the reason.
    """
    record = read_record(lake.adapter(evaluation.name))
    name = promotion.model_name(config, str(record.dataset))
    with registration(lake, name, config.tracking_uri, patience=config.patience_s) as registry:
        progress(1, _STEPS, "registry open")
        promotion.recover(registry, name, str(record.dataset))
        tracked = tracking.find_or_create_run(registry, str(record.dataset), evaluation.name)
        try:
            return _register(registry, tracked, record, config, evaluate_run, progress)
        except RegistryUnreachableError:
            raise  # nobody is there to be told
        except Exception:
            # Its page should not show a run that goes on for ever. What a kill leaves running, the next attempt takes up.
            tracking.fail_run(registry, tracked)
            raise


def _register(
    registry: Registry,
    tracked: tracking.TrackedRun,
    record: AdapterRecord,
    config: RegisterConfig,
    evaluate_run: EvaluateRun,
    progress: Progress,
) -> RegisterOutcome:
    lake, run = registry.lake, str(record.run)
    summaries = read_summaries(lake.evaluation(run))
    contents = tracking.contents_digest(record, lake)
    logged = tracked.contents == contents
    golden = golden_descriptors(lake, record)
    if not logged:
        tracking.log_run(registry, tracked, record, summaries)
    progress(2, _STEPS, "run recorded")
    model_id = model.log_adapter(registry, tracked.id, record, lake.adapter(run), golden)
    if not logged:
        tracking.log_figures(registry, tracked, contents, summaries, model_id)
        tracking.finish_run(registry, tracked, contents)
    version = _ensure_version(registry, promotion.model_name(config, str(record.dataset)), tracked, record, model_id)
    progress(3, _STEPS, f"{version.model} version {version.number}")
    decision, judged = verdict.judge(registry, version, tracked, record, config, summaries, evaluate_run)
    progress(4, _STEPS, decision.verdict)
    if judged and decision.verdict == "promoted":
        model.rescore(registry, version.address, lake.adapter(run), golden)
        promotion.make_champion(registry, version, str(record.dataset))
    if judged:
        # Last, so that a verdict is only ever found when it has taken effect.
        promotion.tag(registry, version, {VERDICT: decision.verdict})
    champion = promotion.reconcile(registry, version.model, str(record.dataset))

    def figures(serving: str) -> verdict.Judged | None:
        """This run's, where it is the one that serves: no other one has been measured by the positions of today."""
        return verdict.beside_frozen(lake, record, config, summaries) if serving == run else None

    mended = references.bring_in(registry, version.model, str(record.dataset), config, figures=figures)
    if mended is not None and champion is not None and champion.run == run:
        decision, judged = mended, True
    _record_decision(registry, version, decision, judged)
    progress(_STEPS, _STEPS, "done")
    return RegisterOutcome(
        run=run,
        mlflow_run=tracked.id,
        experiment=tracked.experiment,
        tracking_uri=masked(registry.uri),
        model=version.model,
        version=version.number,
        verdict=decision.verdict,
        reason=decision.reason,
        decision=decision,
        champion=champion.run if champion else "",
        skipped=logged and not judged and mended is None,
        positions=mended.reason if mended is not None else "",
    )


def _record_decision(registry: Registry, version: Version, decision: GateDecision, judged: bool) -> None:
    """Leaves the gate's last judgement in the lake, for the report; a run that only looks again changes nothing of it."""
    lasting = decision if judged or ROLLED_BACK in version.tags else None
    record_values: dict[str, Any] = {
        "run": version.run,
        "model": version.model,
        "version": version.number,
        "verdict": lasting.verdict if lasting else version.tags.get(VERDICT, decision.verdict),
        "reason": lasting.reason if lasting else version.tags.get(REASON, decision.reason),
    }
    path = registry.lake.registration(version.run)
    before = read_versioned(path, "registration") if path.is_file() else {}
    record_values["compared"] = list(lasting.evidence) if lasting else before.get("compared", [])
    if before != record_values:
        write_versioned(path, "registration", record_values)


def _ensure_version(
    registry: Registry, name: str, tracked: tracking.TrackedRun, record: AdapterRecord, model_id: str
) -> Version:
    """This run's version of the registered model; made when there is none. It points to a complete logged model."""
    return registry.patience(lambda: _find_or_create_version(registry, name, tracked, record, model_id), "storing the version")


def _find_or_create_version(
    registry: Registry, name: str, tracked: tracking.TrackedRun, record: AdapterRecord, model_id: str
) -> Version:
    source = f"models:/{model_id}"
    versions = promotion.versions_of_run(registry, name, str(record.run))
    if versions and versions[0].tags.get(MODEL_ID) == model_id:
        for second in versions[1:]:
            registry.client.delete_model_version(name, second.number)
            logger.warning(
                "version %s of %s held the same as version %s; it was deleted", second.number, name, versions[0].number
            )
        return versions[0]
    if not registry.client.search_registered_models(f"name = '{name}'"):
        registry.client.create_registered_model(
            name,
            tags={DATASET: str(record.dataset)},
            description=f"Maps frozen descriptors of {record.dataset} to adapted ones. "
            "Load it with `models:/" + name + '@champion`; `params={"side": "reference"}` is for satellite tiles.',
        )
    tags = {
        RUN: str(record.run),
        DATASET: str(record.dataset),
        FEATURES: str(record.feature_set_id),
        MODEL_ID: model_id,
        TENSORS: record.tensors_sha256,
    }
    # A server takes such a source only with the model's id beside it.
    made = registry.client.create_model_version(name, source, run_id=tracked.id, tags=tags, model_id=model_id)
    return Version(model=name, number=str(made.version), tags=tags)
