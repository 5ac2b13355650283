from __future__ import annotations

from typing import Any

import pytest

from cvgl.errors import DataError
from cvgl.quality.gate import decide
from cvgl.summary import MetricSummary
from cvgl.types import Stage


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
