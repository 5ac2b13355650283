"""Fills a lake with what registration needs, made by the library itself: features, an adapter, its evaluation, a report."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from cvgl import adapt, schemas
from cvgl.adaptation.record import Origin, TrainingRows
from cvgl.config import AdaptConfig, ExtractConfig, Layout
from cvgl.features import FeatureStore
from cvgl.ingestion import tables
from cvgl.lake import Lake, write_bytes, write_json, write_parquet
from cvgl.summary import MetricSummary, metrics_table
from cvgl.types import ArtifactRef, Representation

DATASET = "town"
FINGERPRINT = "f" * 16
D0, D = 12, 16
DIRECTIONS = ("drone_to_satellite", "satellite_to_drone")


def image_bytes() -> bytes:
    """A PNG with a few coloured bars: something that can be seen on a page."""
    image = Image.new("RGB", (360, 200), "white")
    for index, colour in enumerate(("firebrick", "seagreen", "steelblue")):
        image.paste(colour, (30 + 110 * index, 160 - 50 * index, 110 + 110 * index, 190))
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def descriptors(rows: int, seed: int = 0) -> np.ndarray:
    """Unit rows, float32 (rows, D0)."""
    values = np.random.default_rng(seed).standard_normal((rows, D0)).astype(np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def summaries(adapted: float, frozen: float = 0.2, rows: str = "rows-1") -> list[MetricSummary]:
    """Figures of all three stages in both directions; R@1 of the adapted stage is `adapted`."""
    return [
        MetricSummary(
            stage=stage,
            direction=direction,
            protocol="standard",
            protocol_hash="abc",
            recall={"1": value, "5": min(1.0, value + 0.1), "10": min(1.0, value + 0.2), "1%": value},
            ap=value,
            median_m=31.0,
            within_m={"25": value},
            n_queries=40,
            n_gallery=50,
            rows_digest=rows,
        )
        for stage, value in (
            (Representation.FROZEN, frozen),
            (Representation.STANDARDISED, frozen),
            (Representation.ADAPTED, adapted),
        )
        for direction in DIRECTIONS
    ]


def write_evaluation(lake: Lake, run: str, figures: list[MetricSummary]) -> ArtifactRef:
    """The evaluation of a run as the stage leaves it. Of each figure's queries the first ones are answered rightly."""
    folder = lake.evaluation(run)
    write_parquet(folder / "metrics.parquet", metrics_table(run, DATASET, figures), {"inputs": "x"})
    queries = pa.Table.from_pylist([row for figure in figures for row in _queries(run, figure)], schema=schemas.QUERIES)
    write_parquet(folder / "queries.parquet", queries, {"inputs": "x"})
    return ArtifactRef(kind="evaluation", path=folder, digest="x", name=run)


def _queries(run: str, figure: MetricSummary) -> list[dict[str, Any]]:
    right = round(figure.recall.get("1", 0.0) * figure.n_queries)
    return [
        {
            "run": run,
            "dataset": DATASET,
            "stage": str(figure.stage),
            "direction": figure.direction,
            "protocol": figure.protocol,
            "image_id": f"{figure.rows_digest}-{figure.direction}-{number:03d}",
            "location_id": f"{figure.rows_digest}-{number:03d}",
            "rank": 1 if number < right else 2,
            "average_precision": figure.ap,
            "n_right": 1,
            "top_ids": [],
            "top_scores": [],
            "top_correct": [],
            "distance_m": None,
        }
        for number in range(figure.n_queries)
    ]


def write_map(lake: Lake) -> None:
    """Images of both views, with positions of the tiles, and their descriptors."""
    ids = [f"{index:032x}" for index in range(40)]
    _write_images(lake, ids)
    store = FeatureStore(lake.features(FINGERPRINT, DATASET))
    store.add(ids, descriptors(40), {})
    record = {"extract": ExtractConfig().model_dump(mode="json"), "identity": {"backbone": "gist"}, "dimension": D0}
    write_json(store.folder.parent / "model.json", record)


def _write_images(lake: Lake, ids: Sequence[str], first: int = 0, batch: str = "first") -> None:
    """Every other one, from the second on, is a tile."""
    blank: dict[str, Any] = dict.fromkeys(("latitude", "longitude", "x", "y", "crs", "captured_at", "sequence"))
    rows = [
        {
            **blank,
            "image_id": image,
            "uri": f"/pictures/{image}.png",
            "view": "satellite" if index % 2 else "drone",
            "subsets": ["gallery", "train"],
            "width": 8,
            "height": 8,
            **({"latitude": 50 + index / 1000, "longitude": 4.0} if index % 2 else {}),
        }
        for index, image in enumerate(ids, first)
    ]
    tables.add_batch(lake.images(DATASET), rows, schemas.IMAGES, Layout.FOLDER, f"/pictures/{batch}")


def add_reference(lake: Lake) -> None:
    """One more tile, described."""
    image = "a" * 32
    _write_images(lake, [image], first=101, batch="later")
    FeatureStore(lake.features(FINGERPRINT, DATASET)).add([image], descriptors(1, seed=9), {})


def make_run(lake: Lake, adapted: float, *, seed: int = 0, rows: str = "rows-1", n_queries: int = 30) -> ArtifactRef:
    """A finished run with another adapter for each seed; `adapted` is its R@1. Gives the evaluation.

    Args:
        lake: where to.
        adapted: R@1 in both directions.
        seed: of the adapter; one run a seed.
        rows: what it was evaluated on.
        n_queries: images that it says it has learned from.
    """
    run = f"{DATASET}-paper-{seed:012d}"
    write_map(lake)
    adaptation = adapt(
        descriptors(30, 1),
        descriptors(20, 2),
        config=AdaptConfig(recipe="paper-standardised", dimension=D, iterations=3, query_samples=16, seed=seed),
    )
    adaptation.save(
        lake.adapter(run),
        Origin(run=run, dataset=DATASET, feature_set_id=FINGERPRINT, query_view="drone"),
        TrainingRows(n_queries=n_queries, n_references=20, query_ids_digest="q" * 16, reference_ids_digest="r" * 16),
    )
    write_bytes(lake.report(run) / "index.html", f"<h1>Report of {run}</h1>".encode())
    write_bytes(lake.report(run) / "figures" / "similarity.png", image_bytes())
    return write_evaluation(lake, run, summaries(adapted, rows=rows))
