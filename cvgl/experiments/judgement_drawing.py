"""The calibration plot: predicted against measured R@1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cvgl.reporting.theme import LIGHT, drawing, to_png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cvgl.experiments.judgement import Predicted


def draw(predictions: Sequence[Predicted]) -> bytes:
    """A PNG: one point a prediction with its 90 % interval, worlds and real sets apart.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    with drawing(LIGHT) as figures:
        figure: Figure = figures.Figure(figsize=(5.6, 5.4), layout="constrained")
        axis = figure.subplots()
        axis.plot([0, 100], [0, 100], linestyle=":", color=LIGHT.series[-1], linewidth=1)
        for colour, (label, real) in zip(LIGHT.series, (("built-in worlds", False), ("real sets", True)), strict=False):
            points = [prediction for prediction in predictions if prediction.where.startswith("world, ") is not real]
            if points:
                below = [100 * (prediction.predicted - prediction.low) for prediction in points]
                above = [100 * (prediction.high - prediction.predicted) for prediction in points]
                axis.errorbar(
                    [100 * prediction.truth for prediction in points],
                    [100 * prediction.predicted for prediction in points],
                    [below, above],
                    linestyle="none",
                    marker="o",
                    markersize=4,
                    elinewidth=0.5,
                    alpha=0.8 if real else 0.4,
                    color=colour,
                    label=f"{label} ({len(points)})",
                )
        axis.set_xlabel("R@1 by labels, %")
        axis.set_ylabel("R@1 predicted without labels, %")
        axis.legend(loc="upper left")
        axis.set_xlim(-2, 102)
        axis.set_ylim(-2, 102)
    return to_png(figure)
