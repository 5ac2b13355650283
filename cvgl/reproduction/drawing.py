"""The experiments that are curves, drawn."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

from cvgl.reporting.theme import LIGHT, Theme, drawing, to_png

if TYPE_CHECKING:
    from cvgl.reproduction.results import BackboneResult, ConfigurationResult, DirectionResult, Spread


def draw(result: BackboneResult, axis_label: str, theme: Theme = LIGHT) -> bytes:
    """R@1 and AP over x, one panel a direction, as PNG.

    Every series is a line with the sample deviation over seeds as bars; configurations without an x are levels across.

    Args:
        result: of an experiment whose configurations have an x.
        axis_label: what x is.
        theme: colours.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    directions = [one.direction for one in result.configurations[0].directions]
    with drawing(theme) as figures:
        figure = figures.Figure(figsize=(5.2 * len(directions), 4.2), layout="constrained")
        axes = figure.subplots(1, len(directions), squeeze=False)[0]
        for axis, direction in zip(axes, directions, strict=True):
            _draw_levels(axis, result.configurations, direction, theme)
            _draw_series(axis, result.configurations, direction, theme)
            axis.set_title(f"{result.backbone.name}: {direction.replace('_', ' ')}")
            axis.set_xlabel(axis_label)
            axis.set_ylabel("%")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return to_png(figure)


def _draw_series(axis: Any, configurations: Sequence[ConfigurationResult], direction: str, theme: Theme) -> None:
    names = dict.fromkeys(configuration.series for configuration in configurations if configuration.x is not None)
    for name, colour in zip(names, cycle(theme.series), strict=False):
        points = [one for one in configurations if one.series == name and one.x is not None]
        shown = [found for one in points if (found := one.direction(direction)) is not None]
        x = [one.x for one in points]
        for metric, style in (("R@1", "-"), ("AP", "--")):
            spreads = [_spread(one, metric) for one in shown]
            means = [100 * spread.mean for spread in spreads]
            bars = [100 * (spread.deviation or 0.0) for spread in spreads]
            axis.errorbar(
                x, means, bars, linestyle=style, color=colour, marker="o", markersize=3.5, capsize=2, label=f"{name} {metric}"
            )


def _draw_levels(axis: Any, configurations: Sequence[ConfigurationResult], direction: str, theme: Theme) -> None:
    levels = [one for one in configurations if one.x is None]
    for one, style in zip(levels, cycle((":", "-.")), strict=False):
        found = one.direction(direction)
        if found is not None:
            axis.axhline(100 * found.recall["1"].mean, color=theme.muted, linewidth=1, linestyle=style, label=f"{one.name} R@1")


def _spread(result: DirectionResult, metric: str) -> Spread:
    return result.ap if metric == "AP" else result.recall[metric.removeprefix("R@")]
