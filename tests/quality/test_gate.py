from __future__ import annotations

from typing import Any

import pytest

from cvgl.errors import DataError
from cvgl.quality.checks import Finding
from cvgl.quality.gate import decide
from cvgl.quality.prediction import Prediction
from cvgl.quality.relatedness import Relatedness
from cvgl.quality.report import DirectionQuality, Gain, QualityReport
from cvgl.quality.scores import score
from cvgl.quality.similarity import views_of
from cvgl.summary import MetricSummary
from cvgl.types import Stage
from tests.quality.views import pair


def figures(*recalls: float, stage: Stage = Stage.ADAPTED, **changes: Any) -> list[MetricSummary]:
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
    return figures(*recalls, stage=Stage.FROZEN, **changes)


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


def test_directions_are_averaged() -> None:
    assert decide(figures(0.2, 0.5), None, frozen(0.3, 0.3)).verdict == "promoted"


def test_a_challenger_has_to_match_the_champion() -> None:
    champion = figures(0.5, 0.5)
    assert decide(figures(0.6, 0.5), champion, frozen(0.2, 0.2)).verdict == "promoted"
    assert decide(figures(0.5, 0.5), champion, frozen(0.2, 0.2)).verdict == "promoted"
    decision = decide(figures(0.4, 0.5), champion, frozen(0.2, 0.2))
    assert decision.verdict == "refused"
    assert "champion" in decision.reason


def test_tolerance_allows_a_little_less_and_no_more() -> None:
    champion = figures(0.5, 0.5)
    assert decide(figures(0.48, 0.5), champion, frozen(0.2, 0.2), tolerance=0.01).verdict == "promoted"
    assert decide(figures(0.46, 0.5), champion, frozen(0.2, 0.2), tolerance=0.01).verdict == "refused"


def test_beating_a_bad_champion_is_not_enough() -> None:
    assert decide(figures(0.3), figures(0.1), frozen(0.4)).verdict == "refused"


def test_the_champion_against_itself_changes_nothing() -> None:
    decision = decide(figures(0.3), figures(0.3), frozen(0.4), run="a", champion_run="a")
    assert decision.verdict == "unchanged"


def test_without_labels_a_person_has_to_decide() -> None:
    decision = decide([], None, [], run="world-paper-1")
    assert decision.verdict == "refused"
    assert "cvgl promote world-paper-1" in decision.reason


@pytest.mark.parametrize(
    "change",
    [{"protocol_hash": "other"}, {"n_queries": 99}, {"n_gallery": 99}, {"rows_digest": "other"}, {"protocol": "flights"}],
)
def test_figures_of_other_rows_are_not_compared(change: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="evaluate"):
        decide(figures(0.4, 0.5), figures(0.3, 0.3, **change), frozen(0.2, 0.2))
    with pytest.raises(DataError, match="evaluate"):
        decide(figures(0.4, 0.5), None, frozen(0.2, 0.2, **change))


@pytest.mark.parametrize(
    ("challenger", "champion", "baseline"),
    [
        (figures(0.4), None, frozen(0.2, 0.2)),
        (figures(0.4, 0.4), figures(0.4), frozen(0.2, 0.2)),
        ([], None, frozen(0.2)),
        (figures(0.4), None, []),
        ([], figures(0.2), []),
        (figures(0.4, recall={"5": 1.0}), None, frozen(0.2)),
        (figures(0.4), None, frozen(float("nan"))),
        (figures(0.4) * 2, None, frozen(0.4)),
    ],
)
def test_a_missing_figure_is_an_error_and_not_a_verdict(
    challenger: list[MetricSummary], champion: list[MetricSummary] | None, baseline: list[MetricSummary]
) -> None:
    with pytest.raises(DataError):
        decide(challenger, champion, baseline)


def quality(verdict="accepted", related=True):
    strength = 9.0 if related else 0.4
    prediction = Prediction(value=0.6, low=0.5, high=0.7, level=0.9)
    scores = score(views_of(*pair(places=20)))
    return QualityReport(
        verdict=verdict,
        reason="because",
        seen=False,
        relatedness=Relatedness(test="pairs", strength=strength, threshold=3.5, related=related),
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


def test_without_labels_what_is_better_with_confidence_takes_an_empty_place():
    decision = decide([], None, [], quality=quality(), run="r1")
    assert decision.verdict == "promoted"
    assert "without them: because" in decision.reason
    assert decision.quality["predicted_recall_at_1.query_to_reference"] == "0.6000 [0.5000, 0.7000], frozen 0.6000"
    assert decision.quality["finding.duplicates"] == "copies"


@pytest.mark.parametrize("verdict", ["uncertain", "refused"])
def test_without_labels_and_without_confidence_the_frozen_model_stays(verdict):
    decision = decide([], None, [], quality=quality(verdict), run="r1")
    assert decision.verdict == "refused"
    assert "because" in decision.reason
    assert "cvgl promote r1" in decision.reason


def test_without_labels_a_champion_is_not_replaced():
    assert decide([], [], [], quality=quality(), run="r1", champion_run="r0").verdict == "refused"


def test_unrelated_views_are_refused_where_labels_find_no_more_than_chance():
    lost, found = figures(0.02), figures(0.5)
    before = frozen(0.01)
    assert decide(lost, None, before, quality=quality("refused", related=False)).verdict == "refused"
    assert decide(found, None, before, quality=quality("refused", related=False)).verdict == "promoted"
    assert decide(lost, None, before, quality=quality()).verdict == "promoted"
