"""What a run of the pipeline came to: the object that `--json` prints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from cvgl.ingestion.summaries import Remark, ViewSummary
from cvgl.lake import Lake
from cvgl.summary import MetricSummary

if TYPE_CHECKING:
    from cvgl.evaluation.evaluate import EvaluateOutcome
    from cvgl.reporting.report import ReportOutcome
    from cvgl.stages.adapt import AdaptOutcome
    from cvgl.stages.alignment.stage import AlignOutcome
    from cvgl.stages.extraction.stage import ExtractOutcome
    from cvgl.stages.ingest import IngestOutcome
    from tasks.registry.registration import RegisterOutcome

Verdict = Literal["promoted", "refused", "unchanged"]


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What each stage of a run came to; `align` is none where the views were taken as they are."""

    ingest: IngestOutcome
    align: AlignOutcome | None
    extract: ExtractOutcome
    adapt: AdaptOutcome
    evaluate: EvaluateOutcome
    register: RegisterOutcome
    report: ReportOutcome

    @property
    def skipped(self) -> tuple[str, ...]:
        """Stages that found their work done."""
        return tuple(stage.name for stage in fields(self) if getattr(getattr(self, stage.name), "skipped", False))


class RunOutcome(BaseModel):
    """One run, for programs. All rates are fractions in [0, 1].

    Attributes:
        run: name of the adapter, its evaluation and its report.
        lake: folder that holds everything.
        report: the HTML page.
        mlflow_run: id in MLflow, under `tracking_uri`.
        verdict: what the gate decided; none where nothing was to be decided.
        reason: why.
        positions: what was mended in the map that serves, whosever adapter it holds; empty where nothing was.
        metrics: figures by descriptors, direction and protocol; empty without labels.
        alignment: how the views were aligned before they were described, and why; empty where that was not chosen.
        images: how many were ingested and quarantined.
        views: for each view of the source, how many images have a position, from what, and in which CRS.
        passed_over: what of the source was not looked at.
        seconds: by stage.
        skipped: stages that found their work done.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str
    lake: str
    report: str | None = None
    mlflow_run: str | None = None
    tracking_uri: str | None = None
    verdict: Verdict | None = None
    reason: str = ""
    positions: str = ""
    metrics: tuple[MetricSummary, ...] = ()
    alignment: str = ""
    images: dict[str, int] = Field(default_factory=dict)
    views: tuple[ViewSummary, ...] = ()
    passed_over: tuple[Remark, ...] = ()
    seconds: dict[str, float] = Field(default_factory=dict)
    skipped: tuple[str, ...] = ()

    @classmethod
    def of(cls, lake: str, stages: Outcomes, seconds: Mapping[str, float]) -> Self:
        """Gathers what the stages came to."""
        images = stages.ingest
        return cls(
            run=stages.adapt.run,
            lake=str(Lake.at(lake).root),
            report=str(stages.report.ref.path),
            mlflow_run=stages.register.mlflow_run,
            tracking_uri=stages.register.tracking_uri,
            verdict=stages.register.verdict,
            reason=stages.register.reason,
            positions=stages.register.positions,
            metrics=tuple(stages.evaluate.metrics),
            alignment="" if stages.align is None else stages.align.record.reason,
            images={"ingested": images.total, "new": images.new, "quarantined": images.quarantined},
            views=images.summaries,
            passed_over=images.passed_over,
            seconds=dict(seconds),
            skipped=stages.skipped,
        )

    def as_json(self) -> dict[str, Any]:
        """JSON-able values."""
        return self.model_dump(mode="json")
