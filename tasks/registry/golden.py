"""The handful of stored descriptors on which a registered model has to agree with the adapter in the lake."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cvgl.adaptation.record import AdapterRecord
from cvgl.errors import LakeError
from cvgl.lake import Lake

if TYPE_CHECKING:
    from cvgl.types import Float32Array

ROWS = 8


def golden_descriptors(lake: Lake, record: AdapterRecord, rows: int = ROWS) -> Float32Array:
    """float32 (rows, d0): stored descriptors of the dataset, the same ones each time.

    Raises:
        LakeError: the features that the adapter was learned from are not in the lake.
    """
    from cvgl.features import FeatureStore

    folder = lake.features(str(record.feature_set_id), str(record.dataset))
    store = FeatureStore(folder)
    ids = sorted(store.ids())[:rows]
    if not ids:
        raise LakeError(
            "there are no stored descriptors to check the registered model with", where=folder, fix="extract the features again"
        )
    return store.read(ids)
