"""What the lake holds, as Arrow sources that DuckDB scans without touching the file system itself.

Parquet folders become lazy Arrow datasets (columns and filters are pushed down to the files); the small JSON records of
models and runs become tables. Every source has the declared schema even when the lake holds nothing yet.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from cvgl import schemas
from cvgl.catalog.verified import Verified, verified_dataset
from cvgl.lake import Lake, read_versioned

_DATASET, _MODEL = pa.field("dataset", pa.string()), pa.field("model", pa.string())
_BATCH = pa.field("batch", pa.string())  # the file's name: of two batches the later name is the newer word
_RUN = pa.field("run", pa.string())

# Descriptors of all models in one column: lists of any length, float16 widened, because DuckDB has no half-precision type.
FEATURES = pa.schema([pa.field("image_id", pa.string()), pa.field("descriptor", pa.list_(pa.float32()))])

MODELS = pa.schema(
    [
        pa.field("model", pa.string(), nullable=False),  # the fingerprint
        pa.field("backbone", pa.string()),
        pa.field("dimension", pa.int64()),
        pa.field("query_crop", pa.float64()),
        pa.field("reference_rotations", pa.int64()),
        pa.field("identity", pa.string()),  # JSON: everything about the model that changes a descriptor
    ]
)

RUNS = pa.schema(
    [
        pa.field("run", pa.string(), nullable=False),
        pa.field("dataset", pa.string()),
        pa.field("recipe", pa.string()),
        pa.field("seed", pa.int64()),
        pa.field("model", pa.string()),  # the features' fingerprint
        pa.field("query_view", pa.string()),
        pa.field("d0", pa.int64()),
        pa.field("d", pa.int64()),
        pa.field("n_queries", pa.int64()),
        pa.field("n_references", pa.int64()),
        pa.field("iterations", pa.int64()),
        pa.field("final", pa.map_(pa.string(), pa.float64())),  # the last iteration's metrics by name
        pa.field("config", pa.string()),  # JSON of AdaptConfig
    ]
)

TRAINING = pa.schema(
    [
        pa.field("run", pa.string(), nullable=False),
        pa.field("iteration", pa.int64(), nullable=False),
        pa.field("metric", pa.string(), nullable=False),
        pa.field("value", pa.float64()),
    ]
)

VERDICTS = pa.schema(
    [
        pa.field("run", pa.string(), nullable=False),
        pa.field("model", pa.string()),  # the registered one
        pa.field("version", pa.string()),
        pa.field("verdict", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("champion", pa.string()),  # the run that served
        pa.field("policy", pa.string()),
        pa.field("measure", pa.string()),  # R@1, or what was compared without labels
        pa.field("challenger", pa.float64()),
        pa.field("incumbent", pa.float64()),
        pa.field("difference", pa.float64()),
        pa.field("low", pa.float64()),  # of the interval of the difference; null without labels
        pa.field("high", pa.float64()),
        pa.field("standard_error", pa.float64()),  # of the difference; null with labels
        pa.field("challenger_m", pa.float64()),  # median error; null where no true position is known
        pa.field("incumbent_m", pa.float64()),
        pa.field("chance", pa.float64()),  # R@1 of random answers
        pa.field("n_rows", pa.int64()),
        pa.field("rows_digest", pa.string()),
    ]
)


def parquet_sources(lake: Lake, verified: Verified) -> dict[str, Any]:
    """One lazy Arrow source a Parquet table of the lake, with the folders' `dataset=` and `model=` as columns.

    Args:
        lake: where to look.
        verified: what is known of its files; a query has those verified that it reads.
    """
    by_dataset, by_run = "dataset=*/*.parquet", "*/{}.parquet"
    tables: dict[str, tuple[str, str, str, pa.Schema, list[pa.Field]]] = {
        "images": ("images", by_dataset, "images", schemas.IMAGES, [_DATASET, _BATCH]),
        "ground_truth": ("ground_truth", by_dataset, "ground_truth", schemas.GROUND_TRUTH, [_DATASET, _BATCH]),
        "quarantine": ("quarantine", by_dataset, "quarantine", schemas.QUARANTINE, [_DATASET, _BATCH]),
        "tombstones": ("tombstones", by_dataset, "tombstones", schemas.TOMBSTONES, [_DATASET]),
        "decisions": ("decisions", by_dataset, "decisions", schemas.DECISIONS, [_DATASET]),
        "failures": ("quarantine", "dataset=*/extract/*.parquet", "quarantine", schemas.QUARANTINE, [_DATASET, _BATCH]),
        "features": ("features", f"model=*/{by_dataset}", "features", FEATURES, [_MODEL, _DATASET, _BATCH]),
        "metrics": ("evaluations", by_run.format("metrics"), "metrics", schemas.METRICS, []),
        "queries": ("evaluations", by_run.format("queries"), "queries", schemas.QUERIES, []),
        "gate_rows": ("gate", by_run.format("rows"), "gate_rows", schemas.GATE_ROWS, [_RUN]),
    }
    return {
        name: _folder(lake.root / folder, pattern, kind, schema, named, verified)
        for name, (folder, pattern, kind, schema, named) in tables.items()
    }


def record_sources(lake: Lake) -> dict[str, pa.Table]:
    """The JSON records of the lake as tables: models, runs, the training history of every run, and the gate's verdicts.

    Raises:
        LakeError: a record is damaged, unreadable or of a newer version.
    """
    adapters = list(_records(lake.root / "adapters", "*/adapter.json", "adapter"))
    return {
        "models": pa.Table.from_pylist(
            [_model(*record) for record in _records(lake.root / "features", "*/model.json", "model")], MODELS
        ),
        "runs": pa.Table.from_pylist([_run(*record) for record in adapters], RUNS),
        "training": pa.Table.from_pylist([row for record in adapters for row in _history(*record)], TRAINING),
        "verdicts": pa.Table.from_pylist(
            [_verdict(*record) for record in _records(lake.root / "gate", "*/decision.json", "gate_decision")], VERDICTS
        ),
    }


def _folder(root: Path, pattern: str, kind: str, schema: pa.Schema, named: list[pa.Field], verified: Verified) -> Any:
    """The files of one table; columns in `named` come from the names of folders and files."""
    # A name that starts with a dot is a file that somebody is still writing.
    files = [path.relative_to(root) for path in sorted(root.glob(pattern)) if not _is_hidden(path.relative_to(root))]
    whole = pa.schema([*(field for field in schema if field.name not in pa.schema(named).names), *named])
    if not files:
        return whole.empty_table()
    return verified_dataset(root, {file: _names(file, named) for file in files}, whole, kind, verified)


def _names(file: Path, named: list[pa.Field]) -> Any:
    """What the name of a file says about its rows, as an Arrow expression."""
    values = dict(part.split("=", 1) for part in file.parts if "=" in part) | {"batch": file.stem, "run": file.parent.name}
    expression = ds.scalar(True)
    for field in named:
        expression &= ds.field(field.name) == values[field.name]
    return expression


def _records(root: Path, pattern: str, kind: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for path in sorted(root.glob(pattern)):
        if not _is_hidden(path.relative_to(root)):
            yield path.parent.name, read_versioned(path, kind)


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _model(folder: str, record: Mapping[str, Any]) -> dict[str, Any]:
    extract = _object(record, "extract")
    alignment = _object(extract, "alignment")
    return {
        "model": folder.removeprefix("model="),
        "backbone": _object(extract, "backbone").get("name"),
        "dimension": record.get("dimension"),
        "query_crop": alignment.get("query_crop"),
        "reference_rotations": alignment.get("reference_rotations"),
        "identity": json.dumps(record.get("identity"), sort_keys=True, ensure_ascii=False),
    }


def _run(folder: str, record: Mapping[str, Any]) -> dict[str, Any]:
    config, training = _object(record, "config"), _object(record, "training")
    history = record.get("history") or []
    return {
        "run": folder,
        "dataset": record.get("dataset"),
        "recipe": config.get("recipe"),
        "seed": config.get("seed"),
        "model": record.get("features"),
        "query_view": record.get("query_view"),
        "d0": record.get("d0"),
        "d": record.get("d"),
        "n_queries": training.get("n_queries"),
        "n_references": training.get("n_references"),
        "iterations": len(history),
        "final": sorted(_numbers(history[-1]).items()) if history else [],
        "config": json.dumps(config, sort_keys=True, ensure_ascii=False),
    }


def _history(folder: str, record: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for number, entry in enumerate(record.get("history") or []):
        iteration = int(entry.get("iteration", number))
        for metric, value in sorted(_numbers(entry).items()):
            yield {"run": folder, "iteration": iteration, "metric": metric, "value": value}


def _verdict(folder: str, record: Mapping[str, Any]) -> dict[str, Any]:
    decision, compared = _object(record, "decision"), _object(record, "rows")
    # With labels or without: one of the two, or neither where nothing could be compared.
    labelled, contest = _object(decision, "difference"), _object(decision, "contest")
    interval = _object(labelled, "interval")
    distances = decision.get("distances")
    first = next((distance for distance in distances if isinstance(distance, dict)), {}) if isinstance(distances, list) else {}
    return {
        "run": folder,
        **{name: record.get(name) for name in ("model", "version", "champion")},
        **{name: decision.get(name) for name in ("verdict", "reason")},
        "policy": _object(record, "rules").get("policy"),
        "measure": "R@1" if labelled else contest.get("measure"),
        "challenger": (labelled or contest).get("challenger"),
        "incumbent": labelled.get("incumbent", contest.get("champion")),
        "difference": interval.get("value", contest.get("difference")),
        "low": interval.get("low"),
        "high": interval.get("high"),
        "standard_error": contest.get("standard_error"),
        "challenger_m": first.get("challenger_m"),
        "incumbent_m": first.get("incumbent_m"),
        "chance": _object(decision, "chance").get("chance"),
        "n_rows": compared.get("count"),
        "rows_digest": compared.get("digest"),
    }


def _numbers(entry: Mapping[str, Any]) -> dict[str, float]:
    """The figures of one iteration by a flat name; the terms of a nested `losses` become loss_<term>."""
    flat = {**entry, **{f"loss_{name}": value for name, value in _object(entry, "losses").items()}}
    return {key: float(value) for key, value in flat.items() if key != "iteration" and isinstance(value, int | float)}


def _object(record: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = record.get(key)
    return value if isinstance(value, dict) else {}
