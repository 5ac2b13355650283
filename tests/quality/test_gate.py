from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest

from cvgl.config import RegisterConfig
from cvgl.errors import DataError
from cvgl.quality.checks import Finding
from cvgl.quality.dependence import Dependence
from cvgl.quality.gate import Champion, GateDecision, decide
from cvgl.quality.paired_comparison import Contest
from cvgl.quality.prediction import Prediction
from cvgl.quality.report import DirectionQuality, Gain, QualityReport
from cvgl.quality.scores import score
from cvgl.quality.similarity import descriptor_pair
from cvgl.retrieval.bootstrap import Interval
from cvgl.retrieval.paired import Difference
from cvgl.retrieval.paired_distance import Chance, DistanceDifference
from cvgl.summary import MetricSummary
from cvgl.types import Representation
from tests.quality.views import pair

Bounds = tuple[float, float, float]  # value, low, high


def figures(*recalls: float, stage: Representation = Representation.ADAPTED, **changes: Any) -> list[MetricSummary]:
    """One summary a direction."""
    directions = ("drone_to_satellite", "satellite_to_drone")[: len(recalls)]
    common: dict[str, Any] = {
        "stage": stage,
        "protocol": "open-set",
        "protocol_hash": "h",
        "ap": 0.5,
        "n_queries": 100,
        "n_gallery": 100,
        "rows_digest": "rows",
    }
    return [
        MetricSummary(**common | {"direction": direction, "recall": {"1": recall, "5": 1.0}} | changes)
        for direction, recall in zip(directions, recalls, strict=True)
    ]


def frozen(*recalls: float, **changes: Any) -> list[MetricSummary]:
    return figures(*recalls, stage=Representation.FROZEN, **changes)


def test_the_first_adapter_that_helps_is_promoted() -> None:
    decision = decide(figures(0.4, 0.5), None, frozen(0.2, 0.3))
    assert decision.verdict == "promoted"
    assert "45.0%" in decision.reason
    assert "frozen" in decision.reason
    assert [c.difference for c in decision.comparisons] == pytest.approx([0.2, 0.2])


def test_the_first_adapter_that_hurts_is_refused() -> None:
    decision = decide(figures(0.2, 0.3), None, frozen(0.4, 0.3))
    assert decision.verdict == "refused"
    assert "worse than the frozen" in decision.reason


def serving(
    *recalls: float,
    low: float = 0.0,
    high: float = 0.0,
    has_more_data: bool = False,
    contest: Contest | None = None,
    **changes: Any,
) -> Champion:
    """A champion with its figures, and an interval of the challenger's lead over it."""
    value = (low + high) / 2
    return Champion(
        "r0",
        figures=figures(*recalls, **changes),
        difference=difference(value, low, high) if recalls else None,
        contest=contest,
        has_more_data=has_more_data,
    )


def difference(value: float, low: float, high: float) -> Difference:
    return Difference(
        against="champion",
        challenger=0.5 + value,
        incumbent=0.5,
        interval=Interval(value=value, low=low, high=high),
        level=0.95,
        resamples=10_000,
        seed=0,
        units="100 places",
        n_queries=200,
        rows="rows",
    )


def test_directions_are_averaged() -> None:
    assert decide(figures(0.2, 0.5), None, frozen(0.3, 0.3)).verdict == "promoted"


@pytest.mark.parametrize(
    ("low", "high", "has_more_data", "rules", "verdict", "expected_reason"),
    [
        (0.01, 0.05, False, {}, "promoted", "better than the champion r0 with confidence: R@1"),
        (0.0, 0.05, False, {}, "refused", "not better with confidence than the champion r0"),
        (0.0, 0.0, True, {}, "refused", "not better with confidence"),
        (-0.05, -0.01, False, {}, "refused", "^worse than the champion r0"),
        (-0.01, 0.05, True, {}, "refused", "not better with confidence"),
        (-0.01, 0.05, False, {"policy": "not-worse-when-grown"}, "refused", "not better with confidence"),
        (-0.01, 0.05, True, {"policy": "not-worse-when-grown"}, "promoted", "learned from more images and is not worse"),
        (-0.03, 0.05, True, {"policy": "not-worse-when-grown"}, "refused", r"needed above -2\.0%"),
        (-0.03, 0.05, True, {"policy": "not-worse-when-grown", "grown_tolerance": 0.04}, "promoted", r"more than 4\.0%"),
        (-0.05, -0.01, True, {"policy": "not-worse-when-grown"}, "refused", "^worse than"),
        (-0.01, 0.05, False, {"tolerance": 0.01}, "promoted", r"^not worse than the champion r0 by more than 1\.0%"),
        (-0.011, 0.05, False, {"tolerance": 0.01}, "refused", r"needed above -1\.0%"),
    ],
)
def test_only_what_the_policy_allows_replaces_the_champion(
    low: float, high: float, has_more_data: bool, rules: dict[str, Any], verdict: str, expected_reason: str
) -> None:
    champion = serving(0.5, 0.5, low=low, high=high, has_more_data=has_more_data)
    decision = decide(figures(0.6, 0.5), champion, frozen(0.2, 0.2), rules=RegisterConfig(**rules))
    assert decision.verdict == verdict
    assert re.search(expected_reason, decision.reason), decision.reason
    assert decision.difference == champion.difference
    assert [pair.against for pair in decision.comparisons] == ["champion", "champion", "frozen", "frozen"]


def test_tolerance_allows_a_little_less_than_the_frozen_descriptors_and_no_more() -> None:
    rules = RegisterConfig(tolerance=0.01)
    assert decide(figures(0.48, 0.5), None, frozen(0.5, 0.5), rules=rules).verdict == "promoted"
    assert decide(figures(0.46, 0.5), None, frozen(0.5, 0.5), rules=rules).verdict == "refused"


def test_beating_a_bad_champion_is_not_enough() -> None:
    assert decide(figures(0.3), serving(0.1, low=0.1, high=0.3), frozen(0.4)).verdict == "refused"


def test_the_champion_against_itself_changes_nothing() -> None:
    assert decide(figures(0.3), serving(0.3), frozen(0.4), run="r0").verdict == "unchanged"


def test_without_labels_a_person_has_to_decide() -> None:
    decision = decide([], None, [], run="world-paper-1")
    assert decision.verdict == "refused"
    assert "cvgl promote world-paper-1" in decision.reason


@pytest.mark.parametrize(
    "change",
    [{"protocol_hash": "other"}, {"n_queries": 99}, {"n_gallery": 99}, {"rows_digest": "other"}, {"protocol": "flights"}],
)
def test_figures_of_other_rows_are_not_compared(change: dict[str, Any]) -> None:
    stays = decide(figures(0.4, 0.5), serving(0.3, 0.3, low=0.1, high=0.3, **change), frozen(0.2, 0.2), run="r1")
    assert (stays.verdict, stays.difference) == ("refused", None)
    assert re.search("^not comparable because .*; the champion r0 stays; if you know better: cvgl promote r1$", stays.reason)
    assert stays.obstacle in stays.reason
    with pytest.raises(DataError, match="evaluate"):
        decide(figures(0.4, 0.5), None, frozen(0.2, 0.2, **change))


@pytest.mark.parametrize(
    ("challenger", "champion", "baseline"),
    [
        (figures(0.4), None, frozen(0.2, 0.2)),
        (figures(0.4), Champion("r0", figures(0.4)), frozen(0.2)),
        ([], None, frozen(0.2)),
        (figures(0.4), None, []),
        ([], serving(0.2), []),
        (figures(0.4, recall={"5": 1.0}), None, frozen(0.2)),
        (figures(0.4), None, frozen(float("nan"))),
        (figures(0.4) * 2, None, frozen(0.4)),
    ],
)
def test_a_missing_figure_is_an_error_and_not_a_verdict(
    challenger: list[MetricSummary], champion: Champion | None, baseline: list[MetricSummary]
) -> None:
    with pytest.raises(DataError):
        decide(challenger, champion, baseline)


def quality(verdict: str = "accepted", related: Any = True) -> Any:
    strength = 9.0 if related else 0.4
    prediction = Prediction(value=0.6, low=0.5, high=0.7, level=0.9)
    scores = score(descriptor_pair(*pair(places=20)))
    return QualityReport(
        verdict=verdict,
        reason="because",
        seen=False,
        relatedness=Dependence(test="pairs", strength=strength, threshold=3.5, related=related),
        findings=(Finding(kind="duplicates", severity="flagged", reason="copies"),),
        gain=Gain(measure="halves", frozen=0.3, adapted=0.5, difference=0.2, standard_error=0.01),
        directions=(
            DirectionQuality(
                direction="query_to_reference",
                frozen=scores,
                adapted=scores,
                predicted_frozen=prediction,
                predicted=prediction,
                predicted_within={"50": prediction},
            ),
        ),
    )


def test_without_labels_what_is_better_with_confidence_takes_an_empty_place() -> None:
    decision = decide([], None, [], quality=quality(), run="r1")
    assert decision.verdict == "promoted"
    assert "without them: because" in decision.reason
    assert decision.quality["predicted_recall_at_1.query_to_reference"] == "0.6000 [0.5000, 0.7000], frozen 0.6000"
    assert decision.quality["finding.duplicates"] == "copies"


@pytest.mark.parametrize("verdict", ["uncertain", "refused"])
def test_without_labels_and_without_confidence_the_frozen_model_stays(verdict: str) -> None:
    decision = decide([], None, [], quality=quality(verdict), run="r1")
    assert decision.verdict == "refused"
    assert "because" in decision.reason
    assert "cvgl promote r1" in decision.reason


def contest(difference: float, error: float = 0.02) -> Contest:
    return Contest(
        measure="halves",
        challenger=0.4 + difference,
        champion=0.4,
        difference=difference,
        standard_error=error,
        confidence=1.282,
        n_queries=100,
        n_references=50,
    )


@pytest.mark.parametrize(
    ("comparison", "verdict", "expected_reason"),
    [
        (
            contest(0.03),
            "promoted",
            "no labels; better than the champion r0 without them, with confidence: 0.430",
        ),
        (contest(0.025), "refused", "not better than the champion r0 without them"),
        (contest(0.0, error=0.0), "refused", "not better than the champion r0"),
        (contest(-0.2), "refused", "not better than the champion r0"),
        (
            None,
            "refused",
            "no labels; not comparable because no images were found that neither has learned from; the champion",
        ),
    ],
)
def test_without_labels_only_what_is_better_on_unseen_images_replaces_the_champion(
    comparison: Any, verdict: str, expected_reason: str
) -> None:
    decision = decide([], serving(contest=comparison), [], quality=quality(), run="r1")
    assert decision.verdict == verdict
    assert expected_reason in decision.reason
    assert decision.contest == comparison
    assert decide([], serving(contest=comparison), [], quality=quality("uncertain"), run="r1").verdict == "refused"
    assert decide([], serving(contest=comparison), [], run="r1").verdict == "refused"


def test_without_labels_what_could_not_be_asked_is_told() -> None:
    champion = Champion("r0", incompatibility="not comparable because 3 images are left")
    decision = decide([], champion, [], quality=quality(), run="r1")
    assert decision.reason.startswith("no labels; not comparable because 3 images are left; the champion r0 stays")
    assert decision.obstacle == champion.incompatibility


def test_unrelated_views_are_refused_where_labels_find_no_more_than_chance() -> None:
    lost, better = figures(0.02), figures(0.5)
    before = frozen(0.01)
    assert decide(lost, None, before, quality=quality("refused", related=False)).verdict == "refused"
    assert decide(better, None, before, quality=quality("refused", related=False)).verdict == "promoted"
    assert decide(lost, None, before, quality=quality()).verdict == "promoted"


def errors(
    growth: tuple[float, float, float] = (0.0, 0.0, 0.0),
    within: tuple[float, float, float] = (0.0, 0.0, 0.0),
    against: str = "frozen",
) -> DistanceDifference:
    """Each triple is a value with its bounds: of the growth of the median error, and of the share within the radius."""
    return DistanceDifference(
        against=against,
        radius_m=100.0,
        challenger_m=294.0,
        incumbent_m=257.0,
        growth=Interval(value=growth[0], low=growth[1], high=growth[2]),
        challenger_within=0.2 + within[0],
        incumbent_within=0.2,
        within=Interval(value=within[0], low=within[1], high=within[2]),
        level=0.95,
        resamples=2000,
        seed=0,
        units="61 places",
        n_queries=61,
    )


FARTHER, NEARER, EQUAL = (0.13, -0.2, 0.4), (-0.13, -0.4, 0.2), (0.0, -0.2, 0.2)
SURELY_FARTHER, SURELY_NEARER = (0.5, 0.2, 0.8), (-0.5, -0.8, -0.2)
FEWER, MORE = (-0.02, -0.05, 0.01), (0.02, -0.01, 0.05)
SURELY_FEWER, SURELY_MORE = (-0.1, -0.2, -0.01), (0.1, 0.01, 0.2)


@pytest.mark.parametrize(
    ("recall", "growth", "within", "verdict"),
    [
        (0.066, FARTHER, EQUAL, "refused"),  # the issue's: as many right ones, the others farther off
        (0.066, EQUAL, EQUAL, "refused"),  # nothing shows that it helps
        (0.066, FARTHER, MORE, "refused"),  # neither
        (0.066, EQUAL, FEWER, "refused"),
        (0.066, NEARER, EQUAL, "promoted"),
        (0.066, EQUAL, MORE, "promoted"),
        (0.1, FARTHER, FEWER, "promoted"),  # more right ones, and no confidence that the others are farther off
        (0.1, SURELY_FARTHER, EQUAL, "refused"),
        (0.1, EQUAL, SURELY_FEWER, "refused"),
        (0.1, SURELY_FARTHER, SURELY_MORE, "promoted"),  # one says so, the other the opposite
        (0.1, SURELY_NEARER, SURELY_FEWER, "promoted"),
    ],
)
def test_errors_in_metres_decide_beside_the_frozen_descriptors(
    recall: float, growth: Bounds, within: Bounds, verdict: str
) -> None:
    apart = errors(growth, within)
    decision = decide(figures(recall), None, frozen(0.066), distance=apart)
    assert (decision.verdict, decision.distances) == (verdict, (apart,))
    assert ("294 m against 257 m" in decision.reason) == (verdict == "refused")
    ignored = decide(figures(recall), None, frozen(0.066), distance=apart, rules=RegisterConfig(metres=False))
    assert ignored.verdict == "promoted"


def test_a_tolerance_in_recall_needs_no_gain_in_metres_but_no_loss_either() -> None:
    rules = RegisterConfig(tolerance=0.02)
    assert decide(figures(0.49), None, frozen(0.5), distance=errors(), rules=rules).verdict == "promoted"
    assert decide(figures(0.49), None, frozen(0.5), distance=errors(FARTHER), rules=rules).verdict == "refused"


@pytest.mark.parametrize(
    ("recall", "growth", "within", "rules", "verdict"),
    [
        (0.6, FARTHER, FEWER, {}, "promoted"),
        (0.6, SURELY_FARTHER, EQUAL, {}, "refused"),
        (0.6, EQUAL, SURELY_FEWER, {}, "refused"),
        (0.6, EQUAL, SURELY_FEWER, {"metres": False}, "promoted"),
        (0.5, FARTHER, EQUAL, {"tolerance": 0.1}, "refused"),
        (0.5, EQUAL, EQUAL, {"tolerance": 0.1}, "promoted"),
    ],
)
def test_errors_in_metres_decide_beside_the_champion(
    recall: float, growth: Bounds, within: Bounds, rules: Any, verdict: str
) -> None:
    low = 0.01 if recall > 0.5 else -0.05
    champion = serving(0.5, low=low, high=0.2)
    champion = dataclasses.replace(champion, distance=errors(growth, within, against="champion"))
    decision = decide(figures(recall), champion, frozen(0.2), distance=errors(SURELY_NEARER), rules=RegisterConfig(**rules))
    assert decision.verdict == verdict
    assert [entry.against for entry in decision.distances] == ["champion", "frozen"]


def chance(low: float, level: float = 0.01) -> Chance:
    recall = Interval(value=0.05, low=low, high=0.2)
    return Chance(recall=recall, chance=level, level=0.95, resamples=10_000, seed=0, units="61 places", n_queries=61)


def test_what_is_no_better_than_chance_is_not_promoted_unless_the_policy_says_so() -> None:
    beaten, not_beaten = chance(0.02), chance(0.01)
    assert decide(figures(0.05), None, frozen(0.0), chance=beaten).verdict == "promoted"
    decision = decide(figures(0.05), None, frozen(0.0), chance=not_beaten)
    assert (decision.verdict, decision.chance) == ("refused", not_beaten)
    assert decision.reason.startswith("no better than chance: R@1 5.0% [1.0%, 20.0%]")
    rules = RegisterConfig(above_chance=False)
    assert decide(figures(0.05), None, frozen(0.0), chance=not_beaten, rules=rules).verdict == "promoted"


def test_a_decision_that_was_stored_before_there_were_metres_is_read() -> None:
    stored = decide(figures(0.4), None, frozen(0.2)).model_dump(mode="json")
    for name in ("distances", "chance", "positions"):
        del stored[name]
    assert GateDecision.model_validate(stored).distances == ()
