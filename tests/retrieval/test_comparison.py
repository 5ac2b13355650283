from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cvgl.errors import DataError
from cvgl.retrieval import Evaluation, comparable, convert, evaluate, protocols
from cvgl.retrieval.protocols import PROTOCOLS, Protocol
from cvgl.summary import MetricSummary
from cvgl.types import Representation

TRAPEZOID, STANDARD = "university1652-951", "university1652-951-standard"


def asked(protocol: str | Protocol, *, per_place: int = 1, gallery: int = 25, seed: int = 0) -> Evaluation:
    rng = np.random.default_rng(seed)
    reference = np.repeat(np.arange(gallery), per_place)
    return evaluate(
        rng.standard_normal((40, 8)), np.arange(40) % 30, rng.standard_normal((len(reference), 8)), reference, protocol
    )


def summary(**changes: Any) -> MetricSummary:
    protocol = protocols.get(changes.pop("protocol", TRAPEZOID))
    values: dict[str, Any] = {
        "stage": Representation.FROZEN,
        "direction": "drone_to_satellite",
        "protocol": protocol.name,
        "protocol_hash": protocol.hash,
        "recall": {"1": 0.4, "5": 0.6, "10": 0.7, "1%": 0.7},
        "ap": 0.5,
        "n_queries": 10,
        "n_gallery": 20,
        "most_right": 1,
        "rows_digest": "rows",
    }
    return MetricSummary(**(values | changes))


@pytest.mark.parametrize(("requested", "wanted"), [(TRAPEZOID, "standard"), (STANDARD, "trapezoid")])
def test_a_converted_evaluation_is_the_one_measured_under_the_other_rule(requested: str, wanted: Any) -> None:
    """Queries 25 to 29 have no match: AP 0 of both kinds."""
    measured = asked({"standard": STANDARD, "trapezoid": TRAPEZOID}[wanted])
    converted = convert(asked(requested), wanted)
    assert isinstance(converted, Evaluation)
    assert converted.ap == pytest.approx(measured.ap, abs=1e-12)
    assert (converted.protocol, converted.protocol_hash) == (measured.protocol, measured.protocol_hash)
    np.testing.assert_allclose(converted.per_query.average_precision, measured.per_query.average_precision, atol=1e-12)
    assert convert(measured, wanted) is measured
    assert converted.recall == measured.recall


def test_summaries_convert_by_the_published_formula() -> None:
    converted = convert(summary(), "standard")
    assert (converted.protocol, converted.ap) == (STANDARD, pytest.approx(2 * 0.5 - 0.4))
    back = convert(converted, "trapezoid")
    assert (back.protocol, back.ap) == (TRAPEZOID, pytest.approx(0.5))
    assert comparable(summary(), back, "AP").verdict == "comparable"


def test_a_protocol_without_a_named_counterpart_gets_a_name_of_its_own() -> None:
    converted = convert(summary(protocol="released"), "standard")
    assert converted.protocol == "released-standard"
    assert converted.protocol_hash not in {protocol.hash for protocol in PROTOCOLS.values()}
    assert convert(converted, "trapezoid").protocol == "released"
    assert comparable(summary(protocol="released"), converted, "AP").verdict == "convertible"


def test_several_right_answers_do_not_convert() -> None:
    several = asked(TRAPEZOID, per_place=2)
    with pytest.raises(DataError, match="not comparable because queries have up to 2 right answers"):
        convert(several, "standard")
    with pytest.raises(DataError, match="not recorded"):
        convert(summary(most_right=None), "standard")
    with pytest.raises(DataError, match="does not know the rules"):
        convert(summary().model_copy(update={"protocol_hash": "0"}), "standard")
    answer = comparable(several, asked(STANDARD, per_place=2), "AP")
    assert answer.verdict == "not comparable"
    assert str(answer).startswith("AP: not comparable because one average precision is trapezoid and the other standard, and")
    assert comparable(several, asked(STANDARD, per_place=2), "R@1").verdict == "comparable"


@pytest.mark.parametrize(
    ("change", "measure", "verdict", "reason"),
    [
        ({}, "AP", "comparable", ""),
        ({"stage": Representation.ADAPTED, "recall": {"1": 0.1}, "ap": 0.9}, "AP", "comparable", ""),
        ({"protocol": STANDARD}, "R@1", "comparable", ""),
        ({"protocol": STANDARD}, "R@1%", "comparable", ""),
        ({"protocol": STANDARD}, "AP", "convertible", "trapezoid and the other standard"),
        ({"protocol": STANDARD, "most_right": 54}, "AP", "convertible", ""),  # what is converted is the first one
        ({"protocol": "released"}, "R@1%", "not comparable", "'round' and 'floor'"),
        ({"protocol": "released"}, "AP", "comparable", ""),
        ({"protocol": "open-set"}, "AP", "convertible", ""),
        ({"n_gallery": 15, "protocol": "university1652-701"}, "R@1", "not comparable", "20 and 15 images were ranked"),
        ({"n_queries": 9}, "R@1", "not comparable", "10 and 9 were counted"),
        ({"rows_digest": "others"}, "R@1", "not comparable", "rows rows and others"),
        ({"rows_digest": ""}, "R@1", "not comparable", "nothing shows"),
        ({"direction": "satellite_to_drone"}, "R@1", "not comparable", "one is drone_to_satellite"),
        ({"protocol_hash": "0123"}, "R@1", "not comparable", "does not know the rules of protocol 'university1652-951' (0123)"),
    ],
)
def test_what_may_stand_side_by_side(change: dict[str, Any], measure: str, verdict: str, reason: str) -> None:
    answer = comparable(summary(), summary(**change), measure)
    assert answer.verdict == verdict
    assert reason in answer.reason
    assert (answer.reason == "") == (verdict == "comparable")


def test_figures_of_the_library_carry_what_is_needed() -> None:
    assert comparable(asked(TRAPEZOID), asked(STANDARD, seed=1), "AP").verdict == "convertible"
    assert comparable(asked(TRAPEZOID), asked(TRAPEZOID, gallery=24)).verdict == "not comparable"
    own = Protocol(name="own", description="")
    assert comparable(asked(own), asked(own, seed=2), "AP").verdict == "comparable"
    assert comparable(asked(own), asked(STANDARD), "AP").verdict == "not comparable"
    assert comparable(asked(TRAPEZOID), summary(n_queries=40, n_gallery=25)).reason.startswith("nothing shows")


def test_a_rule_that_makes_no_difference_is_no_obstacle() -> None:
    """Every gallery image shows a place with a query, so dropping distractors drops nothing."""
    assert comparable(asked("university1652-701"), asked(TRAPEZOID), "AP").verdict == "comparable"


def test_an_unknown_measure_lists_the_known_ones() -> None:
    with pytest.raises(DataError, match="R@10"):
        comparable(summary(), summary(), "mAP")
