"""The figures of one stage in one direction under one protocol: what stages, gate, report and command exchange."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from cvgl.errors import LakeError
from cvgl.types import Representation

if TYPE_CHECKING:
    import pyarrow as pa


class MetricSummary(BaseModel):
    """Retrieval figures. All rates are fractions in [0, 1].

    Attributes:
        stage: which descriptors.
        direction: e.g. ``"drone_to_satellite"``.
        protocol: name; figures are only compared under one protocol.
        protocol_hash: hash of the protocol's rules.
        recall: R@1, R@5, R@10 and R@1%, keyed ``"1"``, ``"5"``, ``"10"``, ``"1%"``.
        ap: mean average precision, of the protocol's kind.
        median_m: median distance in metres from the first answer to the true position; none without positions.
        within_m: share of the queries with a known distance whose first answer lies within so many metres.
        n_queries: queries with a known place: what the rates divide by.
        n_gallery: images ranked.
        most_right: the largest number of right answers of a query; up to 1, both kinds of average precision convert into each
            other; None where it was not recorded.
        rows_digest: hash of the evaluated queries and gallery with their places; equal hashes mean the same questions.
        notes: what a reader should know before believing the figures.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: Representation
    direction: str
    protocol: str
    protocol_hash: str
    recall: dict[str, float]
    ap: float
    median_m: float | None = None
    within_m: dict[str, float] = Field(default_factory=dict)
    n_queries: int = Field(ge=0)
    n_gallery: int = Field(ge=0)
    most_right: int | None = Field(default=None, ge=0)
    rows_digest: str = ""
    notes: tuple[str, ...] = ()

    def measures(self) -> dict[str, float]:
        """Metric name (as in `cvgl.schemas.METRICS`) -> value, e.g. ``{"R@1": 0.4, "AP": 0.46, "within_25m": 0.5}``."""
        values = {f"R@{depth}": value for depth, value in self.recall.items()}
        values["AP"] = self.ap
        if self.median_m is not None:
            values["median_m"] = self.median_m
        return values | {f"within_{radius}m": share for radius, share in self.within_m.items()}


def metrics_table(run: str, dataset: str, summaries: Iterable[MetricSummary]) -> pa.Table:
    """One row a figure, in the order of the summaries."""
    import pyarrow as pa

    from cvgl.schemas import METRICS

    rows = [
        {
            **summary.model_dump(mode="json", exclude={"recall", "ap", "median_m", "within_m"}),
            "run": run,
            "dataset": dataset,
            "metric": metric,
            "value": value,
        }
        for summary in summaries
        for metric, value in summary.measures().items()
    ]
    return pa.Table.from_pylist(rows, schema=METRICS)


def summaries_from(table: pa.Table) -> list[MetricSummary]:
    """The inverse of `metrics_table`."""
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in table.to_pylist():
        groups.setdefault((row["stage"], row["direction"], row["protocol"]), []).append(row)
    return [_summary(rows) for rows in groups.values()]


def _summary(rows: Sequence[dict[str, Any]]) -> MetricSummary:
    first, values = rows[0], {row["metric"]: row["value"] for row in rows}
    if "AP" not in values:
        raise LakeError(
            f"the metrics of {first['direction']} ({first['stage']}) lack AP", where=first["run"], fix="evaluate again"
        )
    return MetricSummary(
        **{name: first[name] for name in ("stage", "direction", "protocol", "protocol_hash", "n_queries", "n_gallery")},
        recall={name.removeprefix("R@"): value for name, value in values.items() if name.startswith("R@")},
        ap=values["AP"],
        median_m=values.get("median_m"),
        within_m={
            name.removeprefix("within_").removesuffix("m"): value
            for name, value in values.items()
            if name.startswith("within_")
        },
        most_right=first.get("most_right"),
        rows_digest=first.get("rows_digest") or "",
        notes=tuple(first.get("notes") or ()),
    )


def read_summaries(evaluation: Path) -> list[MetricSummary]:
    """The summaries of a finished evaluation.

    Args:
        evaluation: the folder, `lake.evaluation(run)`.

    Raises:
        LakeError: there is no such evaluation, or its file is damaged.
    """
    from cvgl.lake import read_parquet

    return summaries_from(read_parquet(evaluation / "metrics.parquet", kind="metrics"))
