"""The gate's verdict on a version: what it goes by, and where that is kept.

Figures, interval and rows are `LAKE/gate/RUN/decision.json` and `rows.parquet`, artifacts `gate/` of the MLflow run, and in
short tags of the version. They are written before anything follows from them, so a process that dies writes the same again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
from pydantic import ValidationError

from cvgl.adaptation.record import AdapterRecord
from cvgl.adaptation.transforms import read_record
from cvgl.config import RegisterConfig
from cvgl.errors import CvglError, DamagedError, RegistryError
from cvgl.evaluation.paired_runs import Compared, compare
from cvgl.hashing import digest_json
from cvgl.lake import Lake, read_versioned, write_parquet, write_versioned
from cvgl.quality.gate import Champion, GateDecision, decide
from cvgl.quality.report import QualityReport
from cvgl.stages.held_out import contest
from cvgl.stages.quality import quality_path, read_quality
from cvgl.summary import MetricSummary
from cvgl.types import Representation
from tasks.registry import promotion, tracking
from tasks.registry.promotion import Version
from tasks.registry.store import Registry
from tasks.registry.tags import CHALLENGER, CHAMPION, EVIDENCE, JUDGED_AGAINST, REASON, ROLLED_BACK, RULES, VERDICT

logger = logging.getLogger("cvgl.registry")

EvaluateRun = Callable[[str], Sequence[MetricSummary]]
"""Evaluates a run on the rows that the challenger was evaluated on and gives its figures, all stages."""

GATE_VERSION = "3"
"""Raised whenever the same evidence under the same rules would get another verdict."""

DECISION_FILE, ROWS_FILE = "decision.json", "rows.parquet"
_RULES = {"policy", "tolerance", "grown_tolerance", "metres", "above_chance", "confidence", "resamples", "seed"}


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the gate goes by.

    Attributes:
        champion: what serves, as far as it could be asked; none where nothing does.
        rows: which rows were compared, with what both sides came to on each; none where they could not be.
        digest: of those rows.
        frozen: the challenger beside its own frozen descriptors; none without labels.
    """

    champion: Champion | None
    rows: pa.Table | None = None
    digest: str = ""
    frozen: Compared | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """A decision with what it went by."""

    decision: GateDecision
    evidence: Evidence


def gate_folder(lake: Lake, run: str) -> Path:
    """Where the gate's last judgement of a run is kept, with the rows that it used."""
    return lake.gate(run)


def read_decision(lake: Lake, run: str) -> GateDecision | None:
    """What the gate said of a run last; none where it was not asked.

    Raises:
        LakeError: the record is damaged.
    """
    if not run or not (gate_folder(lake, run) / DECISION_FILE).is_file():
        return None
    path = gate_folder(lake, run) / DECISION_FILE
    try:
        stored = read_versioned(path, "gate_decision")
        return GateDecision.model_validate(stored.get("decision"))
    except (DamagedError, ValidationError) as error:
        reason = error.what if isinstance(error, DamagedError) else error.errors()[0]["msg"]
        raise DamagedError(
            f"what the gate said is damaged: {reason}", where=path, fix="move it away and register the run again"
        ) from error


def judge(
    registry: Registry,
    version: Version,
    tracked: tracking.TrackedRun,
    record: AdapterRecord,
    config: RegisterConfig,
    summaries: Sequence[MetricSummary],
    evaluate_run: EvaluateRun,
) -> tuple[GateDecision, bool]:
    """The gate's decision, and whether it was made now (rather than found).

    Raises:
        DataError: a figure of the run is missing.
    """
    champion = promotion.version_by_alias(registry, version.model, CHAMPION)
    quality = _quality(registry.lake, version.run)
    parts = [summary.model_dump(mode="json") for summary in summaries]
    rules = config.model_dump(mode="json", include=_RULES)
    circumstances = {
        EVIDENCE: digest_json([*parts, *([] if quality is None else [quality.model_dump(mode="json")])]),
        JUDGED_AGAINST: champion.number if champion else "",
        RULES: digest_json([GATE_VERSION, rules]),
    }
    standing_decision = _standing_decision(version, champion, circumstances)
    if standing_decision is not None:
        return standing_decision, False
    if champion is not None and champion.number == version.number:
        # The alias had moved when the process died: finish what that decision had begun.
        return GateDecision(verdict="promoted", reason=version.tags[REASON]), True
    if VERDICT in version.tags:  # of an earlier evaluation; the new one is set when it has taken effect
        registry.client.delete_model_version_tag(version.model, version.number, VERDICT)
    promotion.set_alias(registry, version, CHALLENGER)
    ours = _of_stage(summaries, Representation.ADAPTED)
    evidence = _gather(registry, champion, record, config, ours, evaluate_run)
    decision = _decide(summaries, evidence, record, config, quality)
    logger.info("%s: %s", decision.verdict, decision.reason)
    folder = keep_decision(registry.lake, version, decision, evidence, config, champion)
    tracking.log_gate(registry, tracked, folder)
    # What is not comparable today may be tomorrow (a disk is back, a checkpoint found), so such a refusal does not stand.
    standing = {**circumstances, EVIDENCE: ""} if decision.obstacle else circumstances
    _tag(registry, version, {**standing, **_decision_tags(decision, evidence, config)})
    registry.client.update_model_version(version.model, version.number, _description(decision, summaries))
    return decision, True


def beside_frozen(lake: Lake, record: AdapterRecord, config: RegisterConfig, summaries: Sequence[MetricSummary]) -> Judged:
    """What a run comes to beside its own frozen descriptors, whatever serves."""
    compared = (
        compare(lake, str(record.dataset), str(record.run), None, config)
        if _of_stage(summaries, Representation.ADAPTED)
        else None
    )
    evidence = _of_frozen(compared)
    return Judged(_decide(summaries, evidence, record, config, _quality(lake, str(record.run))), evidence)


def _decide(
    summaries: Sequence[MetricSummary],
    evidence: Evidence,
    record: AdapterRecord,
    config: RegisterConfig,
    quality: QualityReport | None,
) -> GateDecision:
    frozen = evidence.frozen
    return decide(
        _of_stage(summaries, Representation.ADAPTED),
        evidence.champion,
        _of_stage(summaries, Representation.FROZEN),
        rules=config,
        run=str(record.run),
        difference=frozen.difference if frozen else None,
        distance=frozen.distance if frozen else None,
        chance=frozen.chance if frozen else None,
        quality=quality,
    )


def _of_frozen(compared: Compared | None) -> Evidence:
    return Evidence(None) if compared is None else Evidence(None, compared.rows, compared.difference.rows, compared)


def _gather(
    registry: Registry,
    champion: Version | None,
    record: AdapterRecord,
    config: RegisterConfig,
    ours: Sequence[MetricSummary],
    evaluate_run: EvaluateRun,
) -> Evidence:
    """What can be said of challenger and champion on the same rows, and of the challenger beside the frozen model."""
    lake, dataset, run = registry.lake, str(record.dataset), str(record.run)
    to_frozen = compare(lake, dataset, run, None, config) if ours else None
    if champion is None:
        return _of_frozen(to_frozen)
    promotion.ensure_adapter(registry, champion)
    theirs = read_record(lake.adapter(champion.run))
    serving = Champion(champion.run, has_more_data=_has_more_data(record, theirs))
    try:
        figures = _of_stage(evaluate_run(champion.run), Representation.ADAPTED)
        if ours or figures:
            serving = replace(serving, figures=figures)
            compared = compare(lake, dataset, run, champion.run, config)
            serving = replace(serving, difference=compared.difference, distance=compared.distance)
            return Evidence(serving, compared.rows, compared.difference.rows, to_frozen)
        held = contest(lake, dataset, record, theirs)
    except RegistryError:
        raise
    except CvglError as error:
        return Evidence(replace(serving, incompatibility=str(error.what)), frozen=to_frozen)
    return Evidence(replace(serving, contest=held.contest), held.rows, held.digest, to_frozen)


def _has_more_data(record: AdapterRecord, champion: AdapterRecord) -> bool:
    """Whether the challenger has learned from more images, and of neither view from fewer."""
    ours, theirs = record.training, champion.training
    more = (ours.n_queries - theirs.n_queries, ours.n_references - theirs.n_references)
    return min(more) >= 0 and max(more) > 0


def keep_decision(
    lake: Lake,
    version: Version,
    decision: GateDecision,
    evidence: Evidence,
    config: RegisterConfig,
    champion: Version | None = None,
) -> Path:
    """Writes what the gate went by into the lake; gives the folder.

    Args:
        lake: where to.
        version: which was judged.
        decision: what was said.
        evidence: what it goes by.
        config: the rules.
        champion: what served; none where nothing did, or where nothing was compared with it.
    """
    folder = gate_folder(lake, version.run)
    if evidence.rows is None:
        (folder / ROWS_FILE).unlink(missing_ok=True)
    else:
        write_parquet(folder / ROWS_FILE, evidence.rows, {"rows": evidence.digest}, kind="gate_rows")
    record_values = {
        "run": version.run,
        "model": version.model,
        "version": version.number,
        "champion": champion.run if champion else None,
        "champion_version": champion.number if champion else None,
        "grown": evidence.champion.has_more_data if evidence.champion else None,
        "gate": GATE_VERSION,
        "rules": config.model_dump(mode="json", include=_RULES),
        "rows": {"digest": evidence.digest, "count": evidence.rows.num_rows} if evidence.rows is not None else None,
        "decision": decision.model_dump(mode="json"),
    }
    write_versioned(folder / DECISION_FILE, "gate_decision", record_values)
    return folder


def _tag(registry: Registry, version: Version, tags: dict[str, str]) -> None:
    """Sets the tags of a judgement, and removes those of an earlier one that say something else."""
    for name in version.tags:
        if name.startswith("gate.") and name not in tags:
            registry.client.delete_model_version_tag(version.model, version.number, name)
    promotion.tag(registry, version, tags)


def _quality(lake: Lake, run: str) -> QualityReport | None:
    """What is said of a run without labels; none where it was not judged."""
    return read_quality(lake, run).report if quality_path(lake, run).is_file() else None


def _standing_decision(version: Version, champion: Version | None, circumstances: dict[str, str]) -> GateDecision | None:
    """What was decided before and still holds; None when the gate has to look (again)."""
    if ROLLED_BACK in version.tags:
        reason = f"version {version.number} was rolled back by hand; bring it back with: cvgl promote {version.run}"
        return GateDecision(verdict="refused", reason=reason)
    verdict = version.tags.get(VERDICT)
    if champion is not None and champion.number == version.number:
        reason = f"{version.run} is the champion already (version {version.number})"
        return GateDecision(verdict="unchanged", reason=reason) if verdict or REASON not in version.tags else None
    if verdict is None or version.tags.get(EVIDENCE) != circumstances[EVIDENCE]:
        return None
    if verdict == "promoted" and champion is not None:
        return GateDecision(
            verdict="unchanged",
            reason=f"{version.run} was champion before {champion.run}; bring it back with: cvgl promote {version.run}",
        )
    same = all(version.tags.get(key) == value for key, value in circumstances.items())
    if verdict == "refused" and same:
        return GateDecision(verdict="refused", reason=version.tags[REASON])
    return None


def _of_stage(summaries: Sequence[MetricSummary], stage: Representation) -> list[MetricSummary]:
    return [summary for summary in summaries if summary.stage is stage]


def _decision_tags(decision: GateDecision, evidence: Evidence, config: RegisterConfig) -> dict[str, str]:
    figures = {
        f"gate.{pair.against}.{pair.direction}.{pair.protocol}": f"{pair.challenger:.4f} against {pair.incumbent:.4f}"
        for pair in decision.comparisons
    }
    if difference := decision.difference:
        value, low, high = difference.interval.value, difference.interval.low, difference.interval.high
        figures[f"gate.{difference.against}.difference"] = f"{value:+.4f} [{low:+.4f}, {high:+.4f}] at {difference.level:g}"
    for apart in decision.distances:
        figures[f"gate.{apart.against}.distance"] = str(apart)
    if decision.chance is not None:
        figures["gate.chance"] = str(decision.chance)
    if fought := decision.contest:
        figures["gate.champion.credit"] = f"{fought.difference:+.4f} +- {fought.standard_error:.4f}, {fought.measure}"
    if evidence.digest:
        figures["gate.rows"] = evidence.digest
    figures |= {f"quality.{name}": figure for name, figure in decision.quality.items()}
    return {REASON: decision.reason, "gate.policy": str(config.policy), **figures}


def _description(decision: GateDecision, summaries: Sequence[MetricSummary]) -> str:
    return f"**{decision.verdict}**: {decision.reason}\n\n{tracking.summary_markdown(summaries)}\n"
