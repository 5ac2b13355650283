"""The gate in front of the registry: a model only replaces another on evidence from the same rows.

Where the places of queries are known, the evidence is a paired difference of R@1 with its interval; where none is, a contest on
images that neither has learned from. Both are made elsewhere; nothing here reads a label.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from cvgl.config import GatePolicy, RegisterConfig
from cvgl.errors import DataError
from cvgl.quality.decision import Comparison, GateDecision, Incumbent, Mended
from cvgl.quality.paired_comparison import Contest
from cvgl.quality.report import QualityReport
from cvgl.retrieval.comparison import comparable
from cvgl.retrieval.paired import Difference
from cvgl.retrieval.paired_distance import Chance, DistanceDifference
from cvgl.summary import MetricSummary

__all__ = ["Champion", "Comparison", "GateDecision", "Mended", "decide", "margin", "quality_figures"]

_ROUNDING = 1e-12  # a difference of equal means is not always 0


@dataclass(frozen=True, slots=True)
class Champion:
    """What serves, as far as it could be asked the same as the challenger.

    Attributes:
        run: its name.
        figures: on the current evaluation rows; empty without labels.
        difference: challenger minus champion, query by query; none where it could not be made.
        distance: how far off both are; none where no true position is known.
        contest: the same without labels.
        has_more_data: the challenger has learned from more images.
        incompatibility: why it could not be compared with the challenger; empty where it could.
    """

    run: str
    figures: Sequence[MetricSummary] = ()
    difference: Difference | None = None
    distance: DistanceDifference | None = None
    contest: Contest | None = None
    has_more_data: bool = False
    incompatibility: str = ""


def decide(
    challenger: Sequence[MetricSummary],
    champion: Champion | None,
    frozen: Sequence[MetricSummary],
    *,
    rules: RegisterConfig | None = None,
    run: str = "RUN",
    difference: Difference | None = None,
    distance: DistanceDifference | None = None,
    chance: Chance | None = None,
    quality: QualityReport | None = None,
) -> GateDecision:
    """Decides whether an adapter becomes the champion.

    R@1, averaged over directions (and protocols), must not lie below that of the frozen descriptors, by more than the
    tolerance: an adapter that hurts is refused. Against a champion it has to be better with confidence, as the policy has it.
    Where errors in metres are known, it must not be farther off than either with confidence, nor farther off at all where R@1
    is no better; what is neither better in R@1 nor nearer than the frozen descriptors shows nothing, and they stay. And R@1 has
    to lie above that of random answers.

    Args:
        challenger: the new adapter's figures.
        champion: what serves; None where nothing does.
        frozen: the figures of the descriptors without any adapter.
        rules: policy, tolerances.
        run: the challenger's run, for the message and to recognise the champion.
        difference: to the frozen descriptors, to be told where nothing serves; no condition.
        distance: to the frozen descriptors.
        chance: the challenger beside random answers.
        quality: what is said of the challenger without labels. It decides where there are no labels; where there are, it says
            no only to views that have nothing to do with one another, where labels find no more than chance either.

    Raises:
        DataError: a figure is missing, or challenger and frozen descriptors were not measured on the same rows under the same
            protocol. A champion that was not is no error: it stays, and the decision says what is not comparable.
    """
    rules = rules or RegisterConfig()
    if champion is not None and run == champion.run:
        return GateDecision(verdict="unchanged", reason=f"{run} is the champion already")
    label_free_figures = {} if quality is None else quality_figures(quality)
    if not challenger and not frozen and not (champion and champion.figures):
        return _without_labels(quality, run, champion).model_copy(update={"quality": label_free_figures})
    if quality is not None and quality.is_unrelated and not any(map(_above_chance, challenger)):
        return GateDecision(verdict="refused", reason=quality.reason, quality=label_free_figures)
    base = _compare(challenger, frozen)
    comparisons: list[Comparison] = []
    obstacle = ""
    if champion is not None:
        differs = _incompatibility(challenger, champion.figures)
        obstacle = (differs or champion.incompatibility) if champion.figures else (champion.incompatibility or differs)
        comparisons = [] if obstacle else _pairs(challenger, champion.figures, "champion")
        difference = champion.difference
    distances = [] if champion is None or obstacle or champion.distance is None else [champion.distance]
    distances += [] if distance is None else [distance]
    refusals = _refusals(champion, obstacle, rules, run)
    if _mean_difference(base) < -rules.tolerance - _ROUNDING:
        refusals.append(_sentence("worse than", base))
    if rules.metres:
        leads = {"champion": _mean_difference(comparisons) if comparisons else 0.0, "frozen": _mean_difference(base)}
        refusals += filter(None, (_farther(farther, leads[farther.against], rules) for farther in distances))
    if rules.above_chance and chance is not None and not chance.is_beaten:
        refusals.append(f"no better than chance: {chance}")
    reason = "; ".join(refusals) or (_promotion(champion, rules) if champion is not None else _sentence("against", base))
    return GateDecision(
        verdict="refused" if refusals else "promoted",
        reason=reason,
        comparisons=(*comparisons, *base),
        quality=label_free_figures,
        difference=None if obstacle else difference,
        distances=tuple(distances),
        chance=chance,
        obstacle=obstacle,
    )


def _farther(distance: DistanceDifference, lead: float, rules: RegisterConfig) -> str:
    """Why errors in metres speak against a challenger; empty where they do not.

    Args:
        distance: to one incumbent.
        lead: the challenger's R@1 minus that incumbent's.
        rules: a tolerance in R@1 is for what need show no gain.
    """
    whose = "the frozen descriptors" if distance.against == "frozen" else "the champion"
    if distance.is_farther_with_confidence:
        return f"farther off than {whose} with confidence: {distance}"
    if lead > _ROUNDING:
        return ""
    if distance.is_farther:
        return f"not better in R@1 ({lead:+.1%}) and farther off than {whose}: {distance}"
    if distance.against == "frozen" and rules.tolerance == 0 and not distance.is_nearer:
        return f"nothing shows that it helps: R@1 {lead:+.1%} to {whose}, and no nearer: {distance}"
    return ""


def margin(champion: Champion, rules: RegisterConfig) -> float:
    """R@1 by which the interval of the difference may reach below zero; 0: the challenger has to be better."""
    if rules.policy is GatePolicy.NON_INFERIORITY and champion.has_more_data:
        return max(rules.tolerance, rules.grown_tolerance)
    return rules.tolerance


def _refusals(champion: Champion | None, obstacle: str, rules: RegisterConfig, run: str) -> list[str]:
    if champion is None:
        return []
    if obstacle:
        return [_not_comparable(champion, obstacle, run)]
    if champion.difference is None:
        raise DataError(
            "nothing shows how sure the difference to the champion is",
            where="gate",
            fix="evaluate the run again: cvgl evaluate RUN",
        )
    allowed = margin(champion, rules)
    if champion.difference.passes_margin(allowed):
        return []
    worse = "worse than" if champion.difference.interval.below_zero else "not better with confidence than"
    least = f", needed above {-allowed:.1%}" if allowed else ""
    return [f"{worse} the champion {champion.run}: {champion.difference}{least}"]


def _promotion(champion: Champion, rules: RegisterConfig) -> str:
    allowed, lead = margin(champion, rules), champion.difference
    if lead is None or lead.interval.above_zero:
        return f"better than the champion {champion.run} with confidence: {lead}"
    more_data = "has learned from more images and is " if champion.has_more_data else ""
    return f"{more_data}not worse than the champion {champion.run} by more than {allowed:.1%} with confidence: {lead}"


def _not_comparable(champion: Champion, obstacle: str, run: str) -> str:
    stays = f"the champion {champion.run} stays; if you know better: cvgl promote {run}"
    return f"not comparable because {obstacle.removeprefix('not comparable because ')}; {stays}"


def _without_labels(quality: QualityReport | None, run: str, champion: Champion | None) -> GateDecision:
    """Only what is better than the frozen model with confidence takes over, and than the champion where there is one."""
    by_hand = f"; look at the report, then, if you know better: cvgl promote {run}"
    if quality is None:
        return GateDecision(verdict="refused", reason=f"no labels, so nothing shows that the adapter helps{by_hand}")
    if quality.verdict != "accepted":
        return GateDecision(verdict="refused", reason=f"no labels, and judged without them: {quality.reason}{by_hand}")
    if champion is None:
        return GateDecision(verdict="promoted", reason=f"no labels, and judged without them: {quality.reason}")
    contest = champion.contest
    if contest is None:
        obstacle = champion.incompatibility or "no images were found that neither has learned from"
        reason = f"no labels; {_not_comparable(champion, obstacle, run)}"
        return GateDecision(verdict="refused", reason=reason, obstacle=obstacle)
    if contest.is_won:
        reason = f"no labels; better than the champion {champion.run} without them, with confidence: {contest}"
        return GateDecision(verdict="promoted", reason=reason, contest=contest)
    reason = f"no labels; not better than the champion {champion.run} without them, with confidence: {contest}{by_hand}"
    return GateDecision(verdict="refused", reason=reason, contest=contest)


def quality_figures(quality: QualityReport) -> dict[str, str]:
    """What is said without labels, in short, for tags and tables."""
    figures: dict[str, str] = {"verdict": quality.verdict}
    if quality.relatedness is not None:
        dependence = quality.relatedness
        figures["relatedness"] = f"{dependence.strength:.1f}, needed {dependence.threshold:.1f}"
    if quality.gain is not None:
        gain = quality.gain
        figures[f"gain_{gain.measure}"] = f"{gain.difference:+.4f} +- {gain.standard_error:.4f}"
    for scores in quality.directions:
        share, was = scores.predicted, scores.predicted_frozen
        figures[f"predicted_recall_at_1.{scores.direction}"] = (
            f"{share.value:.4f} [{share.low:.4f}, {share.high:.4f}], frozen {was.value:.4f}"
        )
        for radius, near in scores.predicted_within.items():
            figures[f"predicted_within_{radius}m.{scores.direction}"] = f"{near.value:.4f} [{near.low:.4f}, {near.high:.4f}]"
    for finding in quality.findings:
        figures[f"finding.{finding.kind.replace(' ', '_')}"] = finding.reason
    return figures


def _above_chance(summary: MetricSummary) -> bool:
    """Whether labels find clearly more right answers than a draw from the gallery would: by two of its deviations, and one."""
    chance = summary.n_queries / max(1, summary.n_gallery)
    return _recall_at_1(summary) * summary.n_queries > chance + 2 * math.sqrt(chance) + 1


def _compare(challenger: Sequence[MetricSummary], frozen: Sequence[MetricSummary]) -> list[Comparison]:
    """Pairs the figures of both stages of one run; both must answer the same questions."""
    obstacle = _incompatibility(challenger, frozen)
    if obstacle:
        raise DataError(
            f"challenger and frozen were not measured alike: {obstacle}",
            where="gate",
            fix="evaluate the run again: cvgl evaluate RUN",
        )
    return _pairs(challenger, frozen, "frozen")


def _incompatibility(challenger: Sequence[MetricSummary], incumbent: Sequence[MetricSummary]) -> str:
    """Why two sides did not answer the same questions; empty where they did."""
    ours, theirs = _by_question(challenger), _by_question(incumbent)
    if not ours or set(ours) != set(theirs):
        differing = sorted({f"{direction} under {protocol}" for direction, protocol in set(ours) ^ set(theirs)})
        return f"they did not answer the same questions: {', '.join(differing) or 'neither has figures'}"
    for question in sorted(ours):
        own, other = ours[question], theirs[question]
        comparability = comparable(own, other, "R@1")
        if comparability.verdict != "comparable":
            return comparability.reason
        if own.protocol_hash != other.protocol_hash:
            return f"the rules of {own.protocol} have changed ({own.protocol_hash} and {other.protocol_hash})"
    return ""


def _pairs(challenger: Sequence[MetricSummary], incumbent: Sequence[MetricSummary], against: Incumbent) -> list[Comparison]:
    ours, theirs = _by_question(challenger), _by_question(incumbent)
    return [
        Comparison(
            against=against,
            direction=ours[question].direction,
            protocol=ours[question].protocol,
            challenger=_recall_at_1(ours[question]),
            incumbent=_recall_at_1(theirs[question]),
            n_queries=ours[question].n_queries,
        )
        for question in sorted(ours)
    ]


def _by_question(summaries: Sequence[MetricSummary]) -> dict[tuple[str, str], MetricSummary]:
    questions = {(summary.direction, summary.protocol): summary for summary in summaries}
    if len(questions) != len(summaries):
        raise DataError(
            "one side of the comparison holds several figures for one direction and protocol",
            where="gate",
            fix="pass the figures of one stage of one run",
        )
    return questions


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
    directions = len({pair.direction for pair in pairs})
    over = "" if directions == 1 else f", mean over {directions} directions"
    return f"R@1 {ours:.1%} {relation} the frozen descriptors' {theirs:.1%}{over}"
