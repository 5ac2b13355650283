"""The gate in front of the registry: a model only replaces another on evidence from the same evaluation rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from cvgl.errors import DataError
from cvgl.quality.report import QualityReport
from cvgl.summary import MetricSummary

Incumbent = Literal["champion", "frozen"]


class Comparison(BaseModel):
    """R@1 of both sides in one direction under one protocol."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    against: Incumbent
    direction: str
    protocol: str
    challenger: float
    incumbent: float
    n_queries: int

    @property
    def difference(self) -> float:
        return self.challenger - self.incumbent


class GateDecision(BaseModel):
    """What the gate decided and from which figures.

    Attributes:
        verdict: promoted (the challenger takes over), refused, or unchanged (the challenger is the champion already).
        reason: one sentence for a person.
        comparisons: the figures compared, the champion's first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    verdict: Literal["promoted", "refused", "unchanged"]
    reason: str
    comparisons: tuple[Comparison, ...] = ()
    quality: dict[str, str] = Field(default_factory=dict, description="what is said without labels, by a short name")


def decide(
    challenger: Sequence[MetricSummary],
    incumbent: Sequence[MetricSummary] | None,
    frozen: Sequence[MetricSummary],
    *,
    tolerance: float = 0.0,
    run: str = "RUN",
    champion_run: str | None = None,
    quality: QualityReport | None = None,
) -> GateDecision:
    """Decides whether an adapter becomes the champion.

    R@1, averaged over directions (and protocols), must not lie more than `tolerance` below the champion's, nor below that
    of the frozen descriptors, which are the incumbent while there is no champion: an adapter that hurts is refused.

    Args:
        challenger: the new adapter's figures.
        incumbent: the champion's figures on the current evaluation rows; None when there is no champion yet.
        frozen: the figures of the descriptors without any adapter.
        tolerance: how far below an incumbent is still good enough, in R@1 (fraction).
        run: the challenger's run, for the message and to recognise the champion.
        champion_run: the champion's run.
        quality: what is said of the challenger without labels. It decides where there are no labels; where there are, it says
            no only to views that have nothing to do with one another, where labels find no more than chance either.

    Raises:
        DataError: a figure is missing, or the sides were not measured on the same rows under the same protocol.
    """
    if champion_run is not None and run == champion_run:
        return GateDecision(verdict="unchanged", reason=f"{run} is the champion already")
    said = {} if quality is None else quality_figures(quality)
    if not challenger and not frozen and not incumbent:
        return _without_labels(quality, run, champion_run).model_copy(update={"quality": said})
    if quality is not None and quality.is_hopeless and not any(map(_above_chance, challenger)):
        return GateDecision(verdict="refused", reason=quality.reason, quality=said)
    comparisons: list[Comparison] = []
    refusals: list[str] = []
    rivals: list[tuple[Incumbent, Sequence[MetricSummary] | None]] = [("champion", incumbent), ("frozen", frozen)]
    for against, figures in rivals:
        if figures is None:
            continue
        pairs = _compare(challenger, figures, against)
        comparisons += pairs
        if _mean_difference(pairs) < -tolerance - 1e-12:
            refusals.append(_sentence("worse than", pairs))
    if refusals:
        reason = "; ".join(refusals)
        return GateDecision(verdict="refused", reason=reason, comparisons=tuple(comparisons), quality=said)
    first = [pair for pair in comparisons if pair.against == comparisons[0].against]
    reason = _sentence("against", first)
    return GateDecision(verdict="promoted", reason=reason, comparisons=tuple(comparisons), quality=said)


def _without_labels(quality: QualityReport | None, run: str, champion_run: str | None) -> GateDecision:
    """Only what is better than the frozen model with confidence takes over, and only where nothing serves yet.

    Two adapters are each judged against the frozen model here, not against one another.
    """
    by_hand = f"; look at the report, then, if you know better: cvgl promote {run}"
    if quality is None:
        return GateDecision(verdict="refused", reason=f"no labels, so nothing shows that the adapter helps{by_hand}")
    if quality.verdict != "accepted":
        return GateDecision(verdict="refused", reason=f"no labels, and judged without them: {quality.reason}{by_hand}")
    if champion_run is not None:
        reason = f"no labels to compare with the champion {champion_run} by; {quality.reason}{by_hand}"
        return GateDecision(verdict="refused", reason=reason)
    return GateDecision(verdict="promoted", reason=f"no labels, and judged without them: {quality.reason}")


def quality_figures(quality: QualityReport) -> dict[str, str]:
    """What is said without labels, in short, for tags and tables."""
    figures: dict[str, str] = {"verdict": quality.verdict}
    if quality.relatedness is not None:
        found = quality.relatedness
        figures["relatedness"] = f"{found.strength:.1f}, needed {found.threshold:.1f}"
    if quality.gain is not None:
        gain = quality.gain
        figures[f"gain_{gain.measure}"] = f"{gain.difference:+.4f} +- {gain.standard_error:.4f}"
    for one in quality.directions:
        share, was = one.predicted, one.predicted_frozen
        figures[f"predicted_recall_at_1.{one.direction}"] = (
            f"{share.value:.4f} [{share.low:.4f}, {share.high:.4f}], frozen {was.value:.4f}"
        )
        for radius, near in one.predicted_within.items():
            figures[f"predicted_within_{radius}m.{one.direction}"] = f"{near.value:.4f} [{near.low:.4f}, {near.high:.4f}]"
    for finding in quality.findings:
        figures[f"finding.{finding.kind.replace(' ', '_')}"] = finding.reason
    return figures


def _above_chance(summary: MetricSummary) -> bool:
    """Whether labels find clearly more right answers than a draw from the gallery would: by two of its deviations, and one."""
    chance = summary.n_queries / max(1, summary.n_gallery)
    return _recall_at_1(summary) * summary.n_queries > chance + 2 * math.sqrt(chance) + 1


def _compare(challenger: Sequence[MetricSummary], incumbent: Sequence[MetricSummary], against: Incumbent) -> list[Comparison]:
    """Pairs the figures of both sides; both must answer the same questions."""
    ours, theirs = _by_question(challenger), _by_question(incumbent)
    if not ours or set(ours) != set(theirs):
        differing = sorted({f"{direction} under {protocol}" for direction, protocol in set(ours) ^ set(theirs)})
        detail = ", ".join(differing) or "neither has figures"
        raise DataError(
            f"challenger and {against} were not measured on the same questions: {detail}",
            where="gate",
            fix="evaluate both runs again with the same protocols",
        )
    return [_pair(ours[question], theirs[question], against) for question in sorted(ours)]


def _by_question(summaries: Sequence[MetricSummary]) -> dict[tuple[str, str], MetricSummary]:
    questions = {(summary.direction, summary.protocol): summary for summary in summaries}
    if len(questions) != len(summaries):
        raise DataError(
            "one side of the comparison holds several figures for one direction and protocol",
            where="gate",
            fix="pass the figures of one stage of one run",
        )
    return questions


def _pair(ours: MetricSummary, theirs: MetricSummary, against: Incumbent) -> Comparison:
    for field in ("protocol_hash", "n_queries", "n_gallery", "rows_digest"):
        if getattr(ours, field) != getattr(theirs, field):
            raise DataError(
                f"challenger and {against} were measured on different rows: {field} is {getattr(ours, field)} "
                f"and {getattr(theirs, field)}",
                where=f"gate, {ours.direction} under {ours.protocol}",
                fix="evaluate the champion again on the current rows: cvgl evaluate RUN",
            )
    return Comparison(
        against=against,
        direction=ours.direction,
        protocol=ours.protocol,
        challenger=_recall_at_1(ours),
        incumbent=_recall_at_1(theirs),
        n_queries=ours.n_queries,
    )


def _recall_at_1(summary: MetricSummary) -> float:
    value = summary.recall.get("1", math.nan)
    if not math.isfinite(value):
        raise DataError(
            f"R@1 is missing from the {summary.stage} figures",
            where=f"gate, {summary.direction} under {summary.protocol}",
            fix="evaluate the run again: cvgl evaluate RUN",
        )
    return value


def _mean_difference(pairs: Sequence[Comparison]) -> float:
    return sum(pair.difference for pair in pairs) / len(pairs)


def _sentence(relation: str, pairs: Sequence[Comparison]) -> str:
    ours = sum(pair.challenger for pair in pairs) / len(pairs)
    theirs = sum(pair.incumbent for pair in pairs) / len(pairs)
    whose = "the champion's" if pairs[0].against == "champion" else "the frozen descriptors'"
    directions = len({pair.direction for pair in pairs})
    over = "" if directions == 1 else f", mean over {directions} directions"
    return f"R@1 {ours:.1%} {relation} {whose} {theirs:.1%}{over}"
