"""Where a dataset's images lie on the map that serves, from descriptors that are there already.

No label is used, and none can be: the ground truth is a table that this module does not import.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cvgl.features import FeatureStore
from cvgl.ingestion.tables import read_images
from cvgl.lake import Lake
from cvgl.localization.bundle import Serving, read_current
from cvgl.localization.placing import Reference
from cvgl.retrieval import search
from cvgl.stages.maps import open_map

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_PLACED = 5_000  # images: more dots are not seen, and a page should not take minutes over a map of 100,000 references


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Images on the map that serves.

    Attributes:
        serving: the version of the map, its run, and the version in the registry.
        references: of the map.
        new: whether each of them is among the images that were asked about: bool (N,).
        answers: the row of the reference that each image of the queries' view looks most like: int64 (M,).
        left_out: images beyond `MOST_PLACED`.
    """

    serving: Serving
    references: tuple[Reference, ...]
    new: NDArray[np.bool_]
    answers: NDArray[np.int64]
    left_out: int


def whereabouts(lake: Lake, dataset: str, brought: Set[str] | None = None) -> Whereabouts | None:
    """The map that serves with images on it; None where no map serves.

    Args:
        lake: where everything is.
        dataset: whose map.
        brought: ids of the images to ask about, new ones for example; None: all, and no reference counts as new.

    Raises:
        LakeError: the map or the descriptors are damaged.
    """
    current = read_current(lake.champion(dataset))
    if current is None:
        return None
    current_map = open_map(lake, dataset)
    store = FeatureStore(lake.features(current_map.features, dataset))
    described = set(store.ids())
    rows = read_images(lake, dataset).select(["image_id", "view"]).to_pylist()
    queries = sorted(row["image_id"] for row in rows if row["image_id"] in described and row["view"] == current_map.query_view)
    queries = [name for name in queries if brought is None or name in brought]
    placed_queries, references = queries[:MOST_PLACED], current_map.index.references
    answers = np.zeros(0, np.int64)
    if placed_queries and references:
        answers = search.top_k(
            current_map.transform.transform_query(store.read(placed_queries)), current_map.index.descriptors, 1
        ).index[:, 0]
    new = np.array([reference.image_id in (brought or ()) for reference in references], bool)
    return Whereabouts(current.serving, references, new, answers, len(queries) - len(placed_queries))
