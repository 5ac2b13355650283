"""Whether two figures may stand side by side, and average precision of one kind turned into the other where that is exact."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar, overload

import numpy as np

from cvgl.errors import DataError
from cvgl.retrieval.protocols import PROTOCOLS, Protocol
from cvgl.summary import MetricSummary

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cvgl.retrieval.evaluation import Evaluation

    Figures: TypeAlias = Evaluation | MetricSummary

Values = TypeVar("Values", float, "NDArray[np.float64]")
AveragePrecision = Literal["trapezoid", "standard"]
Verdict = Literal["comparable", "convertible", "not comparable"]

MEASURES = ("R@1", "R@5", "R@10", "R@1%", "AP")


@dataclass(frozen=True, slots=True)
class Comparability:
    """What may be done with one measure of two evaluations.

    Attributes:
        measure: which.
        verdict: ``comparable``: the numbers mean the same. ``convertible``: they do after `convert`. ``not comparable``.
        reason: why not, or what has to be converted; empty when comparable.
    """

    measure: str
    verdict: Verdict
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.measure}: {self.verdict}" + (f" because {self.reason}" if self.reason else "")


def comparable(a: Figures, b: Figures, measure: str = "R@1") -> Comparability:
    """Says whether a measure of two evaluations may be compared, and if not, why.

    Only what decides the number counts: two names for the same rules are no obstacle, and neither is a rule that made no
    difference to these rows (dropping distractors where there are none).

    Args:
        a: figures of the library (`Evaluation`) or of the lake (`MetricSummary`).
        b: the other ones.
        measure: one of MEASURES.

    Raises:
        DataError: there is no such measure.
    """
    if measure not in MEASURES:
        raise DataError(f"there is no measure '{measure}'", where="measure", fix=f"choose one of: {', '.join(MEASURES)}")
    obstacle = next(_obstacles(a, b), None)
    if obstacle is None and a.protocol_hash != b.protocol_hash:
        return _under_two_protocols(a, b, measure)
    return Comparability(measure, "comparable") if obstacle is None else Comparability(measure, "not comparable", obstacle)


def _obstacles(a: Figures, b: Figures) -> Iterator[str]:
    """Why two rankings are not rankings of the same references for the same queries, most telling reason first."""
    directions = [figure.direction for figure in (a, b) if isinstance(figure, MetricSummary)]
    if len(set(directions)) > 1:
        yield f"one is {directions[0]} and the other {directions[1]}"
    if a.n_gallery != b.n_gallery:
        yield f"the galleries differ: {a.n_gallery:,} and {b.n_gallery:,} images were ranked"
    if a.n_queries != b.n_queries:
        yield f"the queries differ: {a.n_queries:,} and {b.n_queries:,} were counted"
    if isinstance(a, MetricSummary) is not isinstance(b, MetricSummary) or not a.rows_digest or not b.rows_digest:
        yield "nothing shows that both asked the same questions: no digest of the rows that both have"
    elif a.rows_digest != b.rows_digest:
        yield f"the images or their places differ (rows {a.rows_digest} and {b.rows_digest})"


def _under_two_protocols(a: Figures, b: Figures, measure: str) -> Comparability:
    rules = [rules_of(figure) for figure in (a, b)]
    for figure, rule in zip((a, b), rules, strict=True):
        if rule is None:
            reason = f"this version does not know the rules of protocol '{figure.protocol}' ({figure.protocol_hash})"
            return Comparability(measure, "not comparable", reason)
    first, second = (rule for rule in rules if rule is not None)
    if measure == "R@1%" and first.one_percent != second.one_percent:
        reason = f"R@1% looks at differently many answers ('{first.one_percent}' and '{second.one_percent}')"
        return Comparability(measure, "not comparable", reason)
    if measure == "AP" and first.average_precision != second.average_precision:
        kinds = f"one average precision is {first.average_precision} and the other {second.average_precision}"
        several = _why_not_exact(a)
        if several:
            return Comparability(measure, "not comparable", f"{kinds}, and {several}")
        return Comparability(measure, "convertible", kinds)
    return Comparability(measure, "comparable")


def _why_not_exact(figures: Figures) -> str:
    """Why the kinds of average precision do not convert into each other; empty where they do."""
    if figures.most_right is None:
        return "how many right answers a query has is not recorded"
    if figures.most_right > 1:
        return f"queries have up to {figures.most_right:,} right answers, for which there is no conversion"
    return ""


@overload
def convert(figures: Evaluation, average_precision: AveragePrecision) -> Evaluation: ...
@overload
def convert(figures: MetricSummary, average_precision: AveragePrecision) -> MetricSummary: ...
def convert(figures: Figures, average_precision: AveragePrecision) -> Figures:
    """The same figures with the other kind of average precision: standard = 2 trapezoid - R@1.

    Exact where no query has more than one right answer (one without any has AP 0 of either kind and is a miss).

    Args:
        figures: of the library or of the lake.
        average_precision: the kind wanted.

    Returns:
        Figures under a protocol with the rules of the old one but for this kind. They are the ones given where they are of
        that kind already.

    Raises:
        DataError: not comparable because some query has several right answers, their number is not recorded, or the rules of
            the protocol are not known.
    """
    rules = rules_of(figures)
    if rules is None:
        raise _refusal(figures, f"this version does not know the rules of protocol '{figures.protocol}'")
    if rules.average_precision == average_precision:
        return figures
    if reason := _why_not_exact(figures):
        raise _refusal(figures, reason)
    under = with_average_precision(rules, average_precision)
    changes = {"protocol": under.name, "protocol_hash": under.hash}
    if isinstance(figures, MetricSummary):
        ap = _other_kind(figures.ap, figures.recall["1"], average_precision)
        return figures.model_copy(update={**changes, "ap": ap})
    per_query = figures.per_query
    first_is_right = (per_query.rank == 1).astype(np.float64)
    converted = _other_kind(per_query.average_precision, first_is_right, average_precision)
    ap = _other_kind(figures.ap, figures.recall[1], average_precision)
    per_query = dataclasses.replace(per_query, average_precision=converted)
    return dataclasses.replace(figures, protocol=under.name, protocol_hash=under.hash, ap=ap, per_query=per_query)


def _other_kind(values: Values, first_is_right: Values, wanted: AveragePrecision) -> Values:
    return 2 * values - first_is_right if wanted == "standard" else (values + first_is_right) / 2


def _refusal(figures: Figures, reason: str) -> DataError:
    return DataError(
        f"not comparable because {reason}",
        where=f"average precision under {figures.protocol}",
        fix="evaluate the descriptors under a protocol with the average precision wanted",
    )


def with_average_precision(rules: Protocol, wanted: AveragePrecision) -> Protocol:
    """The protocol with the same rules but for average precision: a known one where there is, else one named after it."""
    same = {**rules.rules(), "average_precision": wanted}
    equal_rules = [protocol for protocol in PROTOCOLS.values() if protocol.rules() == same]
    related = [
        candidate for candidate in equal_rules if candidate.name.startswith(rules.name) or rules.name.startswith(candidate.name)
    ]
    if related:
        return related[0]
    return rules.model_copy(update={"name": f"{rules.name}-{wanted}", "average_precision": wanted, "full_sets": ()})


def rules_of(figures: Figures) -> Protocol | None:
    """The protocol that figures were measured under; None where its name and hash are none that this version knows."""
    for base in PROTOCOLS.values():
        for candidate in (base, with_average_precision(base, "standard"), with_average_precision(base, "trapezoid")):
            if (candidate.name, candidate.hash) == (figures.protocol, figures.protocol_hash):
                return candidate
    return None
