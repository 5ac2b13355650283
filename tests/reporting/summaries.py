"""Summaries of evaluations, made by hand."""

from __future__ import annotations

from cvgl.summary import MetricSummary
from cvgl.types import Representation


def summary(stage: Representation, r1: float, direction: str = "drone_to_satellite", **changes: object) -> MetricSummary:
    values: dict[str, object] = {
        "stage": stage,
        "direction": direction,
        "protocol": "standard",
        "protocol_hash": "abc",
        "recall": {"1": r1, "5": 0.5},
        "ap": r1,
        "n_queries": 10,
        "n_gallery": 20,
    }
    return MetricSummary.model_validate({**values, **changes})
