"""What the measurements of an experiment come to: how sure every rate is, what it gains over the baselines, and its target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cvgl.experiments import targets
from cvgl.experiments.configuration import Configuration
from cvgl.experiments.material import Examination
from cvgl.experiments.measuring import Figure, Measurement, scores
from cvgl.experiments.results import Judged
from cvgl.retrieval import bootstrap
from cvgl.retrieval.bootstrap import Units, by_blocks, by_place

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Float64Array = NDArray[np.float64]

MARKS = {targets.RECALL: "right", targets.NEAR: "near"}
"""The measures that are judged, and where a figure keeps what each query scored."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What decides which targets hold.

    Attributes:
        source: name of the data set.
        backbone: timm's name of the frozen model.
        aligned: whether the views are aligned.
    """

    source: str
    backbone: str
    aligned: bool

    def target(self, configuration: Configuration, direction: str, measure: str) -> float | None:
        """The figure that a configuration is to reach, as a fraction; none where nothing was set for it."""
        if not configuration.is_robust:
            return None
        window = configuration.answering.window
        return targets.target(self.source, self.backbone, direction, measure, window, aligned=self.aligned)


def units_of(examination: Examination) -> Units:
    """What intervals draw for a direction: blocks of consecutive images where they were taken in a row, else places.

    Queries whose place is unknown are not counted, as in the figures.
    """
    places = examination.question.queries.places
    counted = np.array([place is not None for place in places])
    if examination.runs is None:
        return by_place([place for place in places if place is not None])
    row = np.cumsum(counted) - 1
    order = np.concatenate(examination.runs)
    return by_blocks(row[order[counted[order]]])


def judge(
    measured: Mapping[str, Sequence[Measurement]],
    configurations: Sequence[Configuration],
    examinations: Sequence[Examination],
    baselines: Sequence[str],
    circumstances: Circumstances,
) -> dict[tuple[str, str], dict[str, Judged]]:
    """Judges every configuration in every direction that it was asked in.

    Args:
        measured: what each configuration reached, one entry a seed.
        configurations: in the order shown.
        examinations: one a direction.
        baselines: names of configurations to which the others are compared.
        circumstances: which targets hold.

    Returns:
        By configuration and direction, then by measure.
    """
    judged: dict[tuple[str, str], dict[str, Judged]] = {}
    for examination in examinations:
        direction, units = str(examination.question.direction), units_of(examination)
        figures = {name: _figures(measurements, direction) for name, measurements in measured.items()}
        compared = [configuration for configuration in configurations if figures[configuration.name]]
        for measure, marks in MARKS.items():
            values = np.stack([_mean_scores(figures[configuration.name], marks) for configuration in compared])
            if not np.isfinite(values).any():
                continue
            judged_values = _judged(values, [configuration.name for configuration in compared], units, baselines)
            for configuration, (rate, gains) in zip(compared, judged_values, strict=True):
                target = circumstances.target(configuration, direction, measure)
                reached = None if target is None else rate.value >= target
                judgement = Judged(rate=rate, gains=gains, target=target, reached=reached)
                judged.setdefault((configuration.name, direction), {})[measure] = judgement
    return judged


def _figures(measurements: Sequence[Measurement], direction: str) -> list[Figure]:
    return [figure for measurement in measurements for figure in measurement.figures if figure.direction == direction]


def _mean_scores(figures: Sequence[Figure], marks: str) -> Float64Array:
    """What each query scored, as the mean over the seeds."""
    values: Float64Array = np.mean([scores(getattr(figure, marks)) for figure in figures], axis=0)
    return values


def _judged(
    values: Float64Array, names: Sequence[str], units: Units, baselines: Sequence[str]
) -> list[tuple[bootstrap.Interval, dict[str, bootstrap.Interval]]]:
    means, resampled = np.nanmean(values, axis=1), bootstrap.resampled_rates(values, units)
    judged = []
    for i, name in enumerate(names):
        against = [(other, names.index(other)) for other in baselines if other in names and other != name]
        gains = {other: bootstrap.interval(float(means[i] - means[j]), resampled[i] - resampled[j]) for other, j in against}
        judged.append((bootstrap.interval(float(means[i]), resampled[i]), gains))
    return judged
