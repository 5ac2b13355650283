"""Means over seeds, and what the files of a finished experiment hold."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from cvgl.config import AlignmentConfig, BackboneConfig, Settings
from cvgl.retrieval.bootstrap import Interval

if TYPE_CHECKING:
    import pyarrow as pa


DEPTHS = ("1", "5", "10", "1%")
"""Of recall, in the order in which files and tables have them."""


class Spread(Settings):
    """A rate over seeds, as fractions.

    Attributes:
        mean: over the seeds.
        deviation: sample standard deviation over the seeds; none for a single value.
        values: one a seed, in the order of the seeds.
    """

    mean: float
    deviation: float | None
    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of at least one value."""
        deviation = statistics.stdev(values) if len(values) > 1 else None
        return cls(mean=statistics.fmean(values), deviation=deviation, values=tuple(values))


class Judged(Settings):
    """A rate that is judged: how sure it is, what it gains, and whether it is enough.

    Attributes:
        rate: mean over the seeds, with its interval over test queries.
        gains: this rate minus that of a baseline, by the baseline's name, paired query by query.
        target: what this project wants to reach; none where nothing was set.
        reached: whether the mean is at least that.
    """

    rate: Interval
    gains: dict[str, Interval]
    target: float | None
    reached: bool | None


class DirectionResult(Settings):
    """One direction of one configuration.

    Attributes:
        median_m: metres from first answers to true positions; none where no position is known, as `within_m` is empty.
        within_m: share of first answers within a radius, by the radius in metres.
        judged: R@1 and, where positions are known, the share within 50 m.
        resampled: what the intervals draw: places, or blocks of consecutive images.
    """

    direction: str
    protocol: str
    protocol_hash: str
    recall: dict[str, Spread]
    ap: Spread
    n_queries: int
    n_gallery: int
    rows_digest: str
    median_m: Spread | None
    within_m: dict[str, Spread]
    judged: dict[str, Judged]
    resampled: str


class PublishedResult(Settings):
    """What the paper printed for a configuration, as fractions."""

    recall_at_1: float
    ap: float
    direction: str


class ConfigurationResult(Settings):
    """One row of the table.

    Attributes:
        seeds: empty where it depends on none.
        sequences: what was learned rests on which images were taken in a row.
        corrected: answers are hubness-corrected.
        window: consecutive images that an answer rests on; none: one.
    """

    name: str
    learner: str
    uses_ground_truth: bool
    settings: dict[str, Any]
    series: str
    x: float | None
    seeds: tuple[int, ...]
    published: PublishedResult | None
    sequences: bool
    corrected: bool
    window: int | None
    directions: tuple[DirectionResult, ...]

    def direction(self, name: str) -> DirectionResult | None:
        """The figures of a direction, when it was asked."""
        return next((outcome for outcome in self.directions if outcome.direction == name), None)


class Aligned(StrEnum):
    """How the views were aligned before anything was learned."""

    NONE = "none"  # whole images as they are
    GIVEN = "given"  # by the settings
    CHOSEN = "chosen"  # by how well the views agree, without labels (cvgl.stages.alignment.stage)


class BackboneResult(Settings):
    """One experiment on one data set with one frozen model under one alignment: the content of results.json.

    Attributes:
        baselines: names of the configurations to which the others are compared.
        alignment_reason: why an alignment was chosen; empty where none was.
        alignment_passes: model inputs that the choice cost.
        splits: seed by which the test set was divided into places to adapt on and places to test on; none: it was not.
        weights: hash of the frozen model's weights; empty where it has none.
    """

    experiment: str
    source: str
    title: str
    finding: str
    published_with: str
    dataset: str
    backbone: BackboneConfig
    alignment: AlignmentConfig
    aligned: Aligned
    alignment_reason: str
    alignment_passes: int
    baselines: tuple[str, ...]
    features: str
    weights: str
    splits: int | None
    dimension: int
    n_training_queries: int
    n_training_references: int
    configurations: tuple[ConfigurationResult, ...]


def schema() -> pa.Schema:
    """One row a figure: of one configuration, seed, direction and metric."""
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("experiment", pa.string(), nullable=False),
            pa.field("dataset", pa.string(), nullable=False),
            pa.field("backbone", pa.string(), nullable=False),
            pa.field("aligned", pa.string(), nullable=False),  # none, given, chosen
            pa.field("features", pa.string(), nullable=False),  # fingerprint of the frozen model and its settings
            pa.field("configuration", pa.string(), nullable=False),
            pa.field("uses_ground_truth", pa.bool_(), nullable=False),  # learned from labels: no method to be used
            pa.field("series", pa.string(), nullable=False),  # curve that it is a point of; empty: none
            pa.field("x", pa.float64()),  # where on the curve
            pa.field("seed", pa.int64()),  # null: depends on none
            pa.field("direction", pa.string(), nullable=False),
            pa.field("protocol", pa.string(), nullable=False),
            pa.field("protocol_hash", pa.string(), nullable=False),
            pa.field("metric", pa.string(), nullable=False),  # R@1, R@5, R@10, R@1%, AP, within 50 m, within 100 m, median m
            pa.field("value", pa.float64(), nullable=False),  # fraction in [0, 1]; of the median: metres
            pa.field("published", pa.float64()),  # the paper's, with another model and more data
            pa.field("low", pa.float64()),  # 95 % interval of the mean over seeds; null: the metric is not judged
            pa.field("high", pa.float64()),
            pa.field("gain", pa.float64()),  # of that mean over the experiment's first baseline; null: there is none
            pa.field("gain_low", pa.float64()),  # its 95 % interval, paired query by query
            pa.field("gain_high", pa.float64()),
            pa.field("target", pa.float64()),  # what this project wants to reach; null: nothing was set
            pa.field("n_queries", pa.int64(), nullable=False),
            pa.field("n_gallery", pa.int64(), nullable=False),
            pa.field("rows_digest", pa.string(), nullable=False),
        ]
    )


def table(result: BackboneResult) -> pa.Table:
    """The rows of results.parquet."""
    import pyarrow as pa

    rows = [row for configuration in result.configurations for row in _rows(result, configuration)]
    return pa.Table.from_pylist(rows, schema=schema())


def _rows(result: BackboneResult, configuration: ConfigurationResult) -> Iterator[dict[str, Any]]:
    for direction in configuration.directions:
        for metric, spread in _metrics(direction).items():
            for seed, value in zip(configuration.seeds or (None,), spread.values, strict=True):
                yield {
                    **{name: getattr(result, name) for name in ("experiment", "dataset", "features")},
                    **{name: getattr(configuration, name) for name in ("uses_ground_truth", "series", "x")},
                    **direction.model_dump(include=set(_DIRECTION_COLUMNS)),
                    **_judged(direction.judged.get(metric), result.baselines),
                    "aligned": str(result.aligned),
                    "backbone": result.backbone.name,
                    "configuration": configuration.name,
                    "seed": seed,
                    "metric": metric,
                    "value": value,
                    "published": _published(configuration.published, direction.direction, metric),
                }


_DIRECTION_COLUMNS = ("direction", "protocol", "protocol_hash", "n_queries", "n_gallery", "rows_digest")


def _metrics(direction: DirectionResult) -> dict[str, Spread]:
    metrics = {**{f"R@{depth}": direction.recall[depth] for depth in DEPTHS}, "AP": direction.ap}
    metrics |= {f"within {radius} m": spread for radius, spread in direction.within_m.items()}
    return metrics if direction.median_m is None else {**metrics, "median m": direction.median_m}


def _judged(judged: Judged | None, baselines: Sequence[str]) -> dict[str, float | None]:
    if judged is None:
        return {}
    gain = judged.gains.get(baselines[0]) if baselines else None
    bounds = {} if gain is None else {"gain": gain.value, "gain_low": gain.low, "gain_high": gain.high}
    return {"low": judged.rate.low, "high": judged.rate.high, "target": judged.target, **bounds}


def _published(published: PublishedResult | None, direction: str, metric: str) -> float | None:
    if published is None or published.direction != direction:
        return None
    return {"R@1": published.recall_at_1, "AP": published.ap}.get(metric)
