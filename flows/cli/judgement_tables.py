"""Judgements without labels, for people: the figures to reach, and the evidence for each."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from flows.cli.fitted import FittedTable

if TYPE_CHECKING:
    from cvgl.experiments.judgement import Choice, JudgementOutcome, JudgementResult
    from cvgl.experiments.judgement_calibration import Error


def shown(outcome: JudgementOutcome) -> Any:
    """The figures to reach first, then what they rest on."""
    result = outcome.result
    lines = [Text(f"calibration plot: {outcome.figure}"), Text(f"written to {outcome.ref.path}")]
    return Group(_summary(result), _choices(result), _tested(result), _misses(result), *lines)


def _summary(result: JudgementResult) -> Table:
    table = _blank("Figures to reach", "what", "reach", "measured")
    worst = min((choice.worst for choice in result.choices), default=0.0)
    table.add_row(
        "auto below frozen or view-standardised, worst, points of R@1", "1.0 at most", f"{max(0.0, -100 * worst):.1f}"
    )
    table.add_row("predicted R@1, worlds with other corruptions, mean error", "5 points", _error(result.world_error))
    table.add_row("    90 % interval holds", "85 to 95 %", f"{100 * result.world_error.coverage:.0f} %")
    if result.real_error is not None:
        table.add_row("predicted R@1, real sets, mean error", "8 points", _error(result.real_error))
        table.add_row("    90 % interval holds", "", f"{100 * result.real_error.coverage:.0f} %")
    refused, wrong = result.refused, result.wrongly_refused
    table.add_row("unrelated pairs refused", "all", f"{refused[0]} of {refused[1]}")
    table.add_row("good sets refused", "none", f"{wrong[0]} of {wrong[1]}")
    return table


def _error(error: Error) -> str:
    aside = f"bias {100 * error.bias:+.1f}; the draw of images alone: {100 * error.draw:.1f}"
    return f"{100 * error.mean_error:.1f} over {error.count} ({aside})"


def _choices(result: JudgementResult) -> Table:
    table = _blank("What auto chose", "where", "chosen in how many seeds", "direction", "frozen", "standardised", "auto, least")
    places: dict[str, list[Choice]] = {}
    for choice in result.choices:
        places.setdefault(choice.where, []).append(choice)
    for data_name, choices in places.items():
        chosen = ", ".join(f"{name} {count}" for name, count in Counter(choice.chosen for choice in choices).most_common())
        for number, direction in enumerate(choices[0].directions):
            least = min(choice.auto[number] for choice in choices)
            shares = (choices[0].frozen[number], choices[0].standardised[number], least)
            table.add_row(
                Text("" if number else data_name),
                "" if number else chosen,
                direction,
                *(f"{100 * share:.1f}" for share in shares),
            )
    return table


def _tested(result: JudgementResult) -> Table:
    table = _blank("Which views have to do with one another", "where", "should", "is", "strength", "test")
    for test in result.tested:
        table.add_row(
            Text(test.where),
            "related" if test.expected else "unrelated",
            "related" if test.related else "refused",
            f"{test.strength:.1f}",
            test.test,
        )
    return table


def _misses(result: JudgementResult) -> Table:
    table = _blank("Predictions that are furthest off", "where", "recipe", "direction", "predicted", "by labels")
    for prediction in sorted(result.predictions, key=lambda prediction: -abs(prediction.predicted - prediction.truth))[:10]:
        interval = f"{100 * prediction.predicted:.0f} ({100 * prediction.low:.0f} to {100 * prediction.high:.0f})"
        table.add_row(
            Text(prediction.where), prediction.recipe, prediction.direction, interval, f"{100 * prediction.truth:.0f}"
        )
    return table


def _blank(title: str, *columns: str) -> Table:
    table = FittedTable(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
