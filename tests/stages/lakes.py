"""Lakes made by hand: images are rows with descriptors, no pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from cvgl import adapt, schemas
from cvgl.adaptation import Origin
from cvgl.config import AdaptConfig, Layout
from cvgl.ingestion import tables
from cvgl.lake import Lake, write_parquet
from cvgl.types import ArtifactRef, View

DATASET, FINGERPRINT, RUN = "town", "0123456789abcdef", "town-paper-0123456789ab"


@dataclass
class Shot:
    """One image: what the tables say about it, and its descriptor."""

    name: str
    view: str
    subsets: Sequence[str]
    descriptor: Any
    place: str | None = None
    position: dict[str, Any] | None = None
    truth: dict[str, Any] | None = None  # the true position, for the ground truth table
    sequence: str | None = None


def town(places: int = 8, views: int = 3, dimension: int = 12, noise: float = 0.3, distractors: int = 2) -> list[Shot]:
    """Each place has a satellite image and some drone images, whose descriptors all lie off by the same shift."""
    rng = np.random.default_rng(0)
    shift, shots = 2 * rng.standard_normal(dimension), []
    for place in range(places + distractors):
        centre = rng.standard_normal(dimension)
        position = {"latitude": 50 + place / 1000, "longitude": 4.0}
        labels = place < places
        subsets = ["gallery", "query", "train"] if labels else ["gallery", "train"]
        shots.append(Shot(f"s{place:02d}", "satellite", subsets, centre, f"{place:04d}", position))
        for view in range(views if labels else 0):
            descriptor = centre + shift + noise * rng.standard_normal(dimension)
            shots.append(
                Shot(f"d{place:02d}{view}", "drone", ["gallery", "query", "train"], descriptor, f"{place:04d}", truth=position)
            )
    return shots


def write_images(lake: Lake, shots: Sequence[Shot], layout: Layout = Layout.FOLDER, dataset: str = DATASET) -> None:
    blank: dict[str, Any] = dict.fromkeys(("latitude", "longitude", "x", "y", "crs", "captured_at", "sequence"))
    rows = [
        {
            **blank,
            "image_id": shot.name,
            "uri": f"/pictures/{shot.name}.png",
            "view": shot.view,
            "subsets": sorted(shot.subsets),
            "width": 8,
            "height": 8,
            "sequence": shot.sequence,
            **(shot.position or {}),
        }
        for shot in shots
    ]
    tables.add_batch(lake.images(dataset), rows, schemas.IMAGES, layout, "/pictures")


def write_truth(lake: Lake, shots: Sequence[Shot], dataset: str = DATASET) -> None:
    blank: dict[str, Any] = dict.fromkeys(("latitude", "longitude", "x", "y", "crs"))
    rows = [{**blank, "image_id": shot.name, "location_id": shot.place, **(shot.truth or {})} for shot in shots]
    tables.add_batch(lake.ground_truth(dataset), rows, schemas.GROUND_TRUTH, Layout.FOLDER, "/pictures")


def write_features(lake: Lake, shots: Sequence[Shot], dataset: str = DATASET) -> ArtifactRef:
    values = np.stack([shot.descriptor for shot in shots]).astype(np.float32)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    schema = schemas.features(values.shape[1])
    column = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), type=schema.field("descriptor").type)
    table = pa.table({"image_id": [shot.name for shot in shots], "descriptor": column}, schema=schema)
    folder = lake.features(FINGERPRINT, dataset)
    write_parquet(folder / "part-0000.parquet", table)
    return ArtifactRef("features", folder, FINGERPRINT, dataset)


def write_adapter(
    lake: Lake, shots: Sequence[Shot], run: str = RUN, iterations: int = 3, seed: int = 0, recipe: str = "paper-standardised"
) -> ArtifactRef:
    queries, references = (
        np.stack([shot.descriptor for shot in shots if (shot.view == "satellite") is satellite]).astype(np.float32)
        for satellite in (False, True)
    )
    own = {} if recipe == "robust" else {"dimension": 16}
    config = AdaptConfig(recipe=recipe, iterations=iterations, seed=seed, **own)
    adaptation = adapt(queries, references, config=config)
    origin = Origin(
        run=run,
        dataset=DATASET,
        feature_set_id=FINGERPRINT,
        query_view=View(next(s.view for s in shots if s.view != "satellite")),
    )
    adaptation.save(lake.adapter(run), origin)
    return ArtifactRef("adapter", lake.adapter(run), adaptation.record.tensors_sha256, run)


def write_town(
    lake: Lake, shots: Sequence[Shot], layout: Layout = Layout.FOLDER, recipe: str = "paper-standardised"
) -> ArtifactRef:
    """Everything that `evaluate` needs; returns the adapter."""
    write_images(lake, shots, layout)
    write_truth(lake, shots)
    write_features(lake, shots)
    return write_adapter(lake, shots, recipe=recipe)
