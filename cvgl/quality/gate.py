"""The gate in front of the registry: a model only replaces another on evidence from the same evaluation rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from cvgl.errors import DataError
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


def decide(
    challenger: Sequence[MetricSummary],
    incumbent: Sequence[MetricSummary] | None,
    frozen: Sequence[MetricSummary],
    *,
    tolerance: float = 0.0,
    run: str = "RUN",
    champion_run: str | None = None,
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

    Raises:
        DataError: a figure is missing, or the sides were not measured on the same rows under the same protocol.
    """
    if champion_run is not None and run == champion_run:
        return GateDecision(verdict="unchanged", reason=f"{run} is the champion already")
    if not challenger and not frozen and not incumbent:
        return GateDecision(
            verdict="refused",
            reason=f"no labels, so nothing shows that the adapter helps; look at the report, then: cvgl promote {run}",
        )
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
        return GateDecision(verdict="refused", reason="; ".join(refusals), comparisons=tuple(comparisons))
    first = [pair for pair in comparisons if pair.against == comparisons[0].against]
    return GateDecision(verdict="promoted", reason=_sentence("against", first), comparisons=tuple(comparisons))


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
