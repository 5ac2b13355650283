"""The figures that `cvgl.reporting` does not have: curves over settings, recall over depth, similarity differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from cvgl.reporting.theme import LIGHT, Theme, drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from cvgl.experiments.results import BackboneResult, ConfigurationResult, DirectionResult, Spread


_NARROWEST = 1e-6  # range of similarity differences that can be divided into bins


def draw(result: BackboneResult, axis_label: str, theme: Theme = LIGHT) -> Figure:
    """R@1 and AP over x, one panel a direction.

    Every series is a line with the sample deviation over seeds as bars; configurations without an x are levels across.

    Args:
        result: of an experiment whose configurations have an x.
        axis_label: what x is.
        theme: colours.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    directions = [outcome.direction for outcome in result.configurations[0].directions]
    with drawing(theme) as figures:
        figure: Figure = figures.Figure(figsize=(5.2 * len(directions), 4.2), layout="constrained")
        axes = figure.subplots(1, len(directions), squeeze=False)[0]
        for axis, direction in zip(axes, directions, strict=True):
            _draw_levels(axis, result.configurations, direction, theme)
            _draw_series(axis, result.configurations, direction, theme)
            axis.set_title(f"{result.backbone.name}: {direction.replace('_', ' ')}")
            axis.set_xlabel(axis_label)
            axis.set_ylabel("%")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure


def _draw_series(axis: Any, configurations: Sequence[ConfigurationResult], direction: str, theme: Theme) -> None:
    names = dict.fromkeys(configuration.series for configuration in configurations if configuration.x is not None)
    for name, colour in zip(names, cycle(theme.series), strict=False):
        points = [point for point in configurations if point.series == name and point.x is not None]
        outcomes = [outcome for point in points if (outcome := point.direction(direction)) is not None]
        x = [point.x for point in points]
        for metric, style in (("R@1", "-"), ("AP", "--")):
            spreads = [_spread(point, metric) for point in outcomes]
            means = [100 * spread.mean for spread in spreads]
            bars = [100 * (spread.deviation or 0.0) for spread in spreads]
            axis.errorbar(
                x, means, bars, linestyle=style, color=colour, marker="o", markersize=3.5, capsize=2, label=f"{name} {metric}"
            )


def _draw_levels(axis: Any, configurations: Sequence[ConfigurationResult], direction: str, theme: Theme) -> None:
    levels = [level for level in configurations if level.x is None]
    for level, style in zip(levels, cycle((":", "-.")), strict=False):
        outcome = level.direction(direction)
        if outcome is not None:
            axis.axhline(
                100 * outcome.recall["1"].mean, color=theme.muted, linewidth=1, linestyle=style, label=f"{level.name} R@1"
            )


def _spread(result: DirectionResult, metric: str) -> Spread:
    return result.ap if metric == "AP" else result.recall[metric.removeprefix("R@")]


def recall_curves(curves: Mapping[str, Sequence[float]], depths: Sequence[int], theme: Theme = LIGHT) -> Figure:
    """Recall at k, one line a task (Li et al. 2024, Fig. 2).

    Args:
        curves: fractions by the task's name, one a depth.
        depths: k.
        theme: colours.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    with drawing(theme) as figures:
        figure: Figure = figures.Figure(figsize=(5.6, 3.8), layout="constrained")
        axis = figure.subplots()
        for (name, values), colour in zip(curves.items(), cycle(theme.series), strict=False):
            axis.plot(depths, [100 * value for value in values], color=colour, marker="o", markersize=3.5, label=name)
        axis.set_xlabel("k, answers looked at")
        axis.set_ylabel("R@k in %")
        axis.set_ylim(-3, 103)
        axis.legend(loc="lower right")
    return figure


def difference_histogram(differences: Mapping[str, NDArray[np.float64]], theme: Theme = LIGHT, bins: int = 40) -> Figure:
    """Histograms of similarity differences over one range, one line a configuration (Li et al. 2024, Fig. 13).

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    nonempty = {name: values for name, values in differences.items() if len(values)}
    everything = np.concatenate(list(nonempty.values()))
    low, high = float(everything.min()), float(everything.max())
    edges = np.linspace(low, high if high - low > _NARROWEST else low + _NARROWEST, bins + 1).tolist()
    styles = ("-", "--", ":")
    with drawing(theme) as figures:
        figure: Figure = figures.Figure(figsize=(7.2, 4.0), layout="constrained")
        axis = figure.subplots()
        for number, ((name, values), colour) in enumerate(zip(nonempty.items(), cycle(theme.series), strict=False)):
            style = styles[number // len(theme.series) % len(styles)]
            label = f"{name} ({100 * float((values > 0).mean()):.0f} % above 0)"
            axis.hist(values, edges, histtype="step", color=colour, linewidth=1.5, linestyle=style, label=label)
        axis.axvline(0, color=theme.muted, linewidth=1)
        axis.set_xlabel("similarity to the right answer minus that to the hardest wrong one")
        axis.set_ylabel("queries")
        figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure
