"""Means over seeds, and the files of a finished experiment."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from cvgl.config import AlignmentConfig, BackboneConfig, Settings

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


class DirectionResult(Settings):
    """One direction of one configuration."""

    direction: str
    protocol: str
    protocol_hash: str
    recall: dict[str, Spread]
    ap: Spread
    n_queries: int
    n_gallery: int
    rows_digest: str


class PublishedResult(Settings):
    """What the paper printed for a configuration, as fractions."""

    recall_at_1: float
    ap: float
    direction: str


class ConfigurationResult(Settings):
    """One row of the table; seeds empty: it depends on none."""

    name: str
    learner: str
    uses_ground_truth: bool
    settings: dict[str, Any]
    series: str
    x: float | None
    seeds: tuple[int, ...]
    published: PublishedResult | None
    directions: tuple[DirectionResult, ...]

    def direction(self, name: str) -> DirectionResult | None:
        """The figures of a direction, when it was asked."""
        return next((one for one in self.directions if one.direction == name), None)


class BackboneResult(Settings):
    """One experiment with one frozen model: the content of results.json."""

    experiment: str
    source: str
    title: str
    finding: str
    published_with: str
    dataset: str
    backbone: BackboneConfig
    alignment: AlignmentConfig
    features: str
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
            pa.field("features", pa.string(), nullable=False),  # fingerprint of the frozen model and its settings
            pa.field("configuration", pa.string(), nullable=False),
            pa.field("uses_ground_truth", pa.bool_(), nullable=False),  # learned from labels: no method to be used
            pa.field("series", pa.string(), nullable=False),  # curve that it is a point of; empty: none
            pa.field("x", pa.float64()),  # where on the curve
            pa.field("seed", pa.int64()),  # null: depends on none
            pa.field("direction", pa.string(), nullable=False),
            pa.field("protocol", pa.string(), nullable=False),
            pa.field("protocol_hash", pa.string(), nullable=False),
            pa.field("metric", pa.string(), nullable=False),  # R@1, R@5, R@10, R@1%, AP
            pa.field("value", pa.float64(), nullable=False),  # fraction in [0, 1]
            pa.field("published", pa.float64()),  # the paper's, with another model and more data
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
        metrics = {**{f"R@{depth}": direction.recall[depth] for depth in DEPTHS}, "AP": direction.ap}
        for metric, spread in metrics.items():
            for seed, value in zip(configuration.seeds or (None,), spread.values, strict=True):
                yield {
                    **{name: getattr(result, name) for name in ("experiment", "dataset", "features")},
                    **{name: getattr(configuration, name) for name in ("uses_ground_truth", "series", "x")},
                    **direction.model_dump(include=set(_DIRECTION_COLUMNS)),
                    "backbone": result.backbone.name,
                    "configuration": configuration.name,
                    "seed": seed,
                    "metric": metric,
                    "value": value,
                    "published": _published(configuration.published, direction.direction, metric),
                }


_DIRECTION_COLUMNS = ("direction", "protocol", "protocol_hash", "n_queries", "n_gallery", "rows_digest")


def _published(published: PublishedResult | None, direction: str, metric: str) -> float | None:
    if published is None or published.direction != direction:
        return None
    return {"R@1": published.recall_at_1, "AP": published.ap}.get(metric)
