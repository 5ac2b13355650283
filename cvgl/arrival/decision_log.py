"""Decisions as rows of the lake, for the view `decisions` of the catalogue."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from cvgl import schemas
from cvgl.arrival.batches import Batch
from cvgl.arrival.deciding import Decision
from cvgl.config import DecideConfig
from cvgl.lake import Lake, write_parquet
from cvgl.types import View


def decision_file(lake: Lake, batch: Batch) -> Path:
    """Where the row about a batch is."""
    return lake.decisions(batch.dataset) / f"{batch.batch}.parquet"


def record(decision: Decision, batch: Batch, policy: DecideConfig, lake: Lake) -> None:
    """Writes a decision. A later one about the same batch, after a person's answer, takes its place."""
    table = pa.Table.from_pylist([decision_row(decision, batch, policy)], schema=schemas.DECISIONS)
    write_parquet(decision_file(lake, batch), table, kind="decisions")


def decision_row(decision: Decision, batch: Batch, policy: DecideConfig) -> dict[str, Any]:
    """A decision as a row of `cvgl.schemas.DECISIONS`."""
    evidence = decision.evidence
    view, drift = evidence.largest or (None, None)
    quality = evidence.quality
    details = {
        "new": {str(drift_view): count for drift_view, count in evidence.new.items()},
        "known": {str(drift_view): count for drift_view, count in evidence.known.items()},
        "drift": {str(drift_view): asdict(view_drift) for drift_view, view_drift in evidence.drifts.items()},
        "policy": policy.model_dump(mode="json"),
    }
    return {
        "dataset": batch.dataset,
        "arrival": batch.batch,
        "verdict": decision.verdict,
        "reason": decision.reason,
        "champion": evidence.champion,
        "compared_with": evidence.compared_with,
        "n_new": sum(evidence.new.values()),
        "n_new_references": evidence.new.get(View.SATELLITE, 0),
        "n_forgotten": evidence.forgotten,
        "view": None if view is None else str(view),
        "effect": None if drift is None else drift.effect,
        "p_value": None if drift is None else drift.p_value,
        "quality_before": None if quality is None else quality.before.score,
        "quality_after": None if quality is None else quality.after.score,
        "quality_error": None if quality is None else quality.standard_error,
        "predicted_seconds": evidence.prediction.seconds,
        "predicted_bytes": evidence.prediction.peak_bytes,
        "details": json.dumps(details, sort_keys=True, ensure_ascii=False),
    }
