"""Training images that a batch brought, and those that the champion has learned from before it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from cvgl.arrival import batches
from cvgl.arrival.batches import Batch
from cvgl.features import FeatureStore
from cvgl.ingestion.tables import read_images
from cvgl.lake import Lake
from cvgl.stages.training_rows import Known, Pictures, by_view, learned_by
from cvgl.types import View

if TYPE_CHECKING:
    from cvgl.adaptation.record import AdapterRecord


def arrived(lake: Lake, batch: Batch, fingerprint: str) -> Mapping[View, Pictures]:
    """Training images with a descriptor that the batch brought."""
    brought = batches.new_ids(lake, batch)
    rows = read_images(lake, batch.dataset).to_pylist()
    embedded = set(FeatureStore(lake.features(fingerprint, batch.dataset)).ids())
    return by_view(row for row in rows if row["image_id"] in brought & embedded)


def known_to(lake: Lake, dataset: str, record: AdapterRecord, batch: Batch) -> Known:
    """The images that an adapter has learned from.

    Its record holds the hash of their ids, and the dataset can be read as it was after each of its batches: where the
    hashes are the same, these are the images. Else those that did not come with the batch stand for them.
    """
    if (learned := learned_by(lake, dataset, record)) is not None:
        return learned
    embedded = set(FeatureStore(lake.features(str(record.feature_set_id), dataset)).ids())
    new = {image_id for images in arrived(lake, batch, str(record.feature_set_id)).values() for image_id in images.ids}
    rows = read_images(lake, dataset).to_pylist()
    views = by_view(row for row in rows if row["image_id"] in embedded - new)
    return Known(views, f"the {sum(map(len, views.values()))} images that were there before the batch")
