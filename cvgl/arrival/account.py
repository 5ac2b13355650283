"""What a batch came to, for people: what was refused of it, and where its pictures lie on the map that serves.

No label is used, and none can be: the ground truth is a table that this module does not import.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cvgl.arrival import batches
from cvgl.arrival.batches import Batch
from cvgl.arrival.spool import Spool
from cvgl.datasets.tables import read_images, read_quarantine
from cvgl.features import FeatureStore
from cvgl.hashing import IMAGE_ID_LENGTH
from cvgl.lake import Lake, parquet_files, read_parquet
from cvgl.localization.bundle import Serving, read_current
from cvgl.localization.placing import Reference
from cvgl.retrieval import search
from cvgl.stages.maps import open_map

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_PLACED = 20_000  # pictures of a batch: more dots are not seen, and a page should not take minutes


@dataclass(frozen=True, slots=True)
class Refused:
    """A file of a batch that is left out.

    Attributes:
        name: path relative to the source.
        reason, detail: as in the quarantine.
    """

    name: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where the pictures of a batch lie on the map that serves.

    Attributes:
        serving: the version of the map, its run, and the version in the registry.
        references: of the map.
        new: whether each of them came with the batch and no earlier one: bool (N,).
        answers: the row of the reference that each of the batch's new pictures looks most like: int64 (M,).
        left_out: new pictures of the batch beyond `MOST_PLACED`.
    """

    serving: Serving
    references: tuple[Reference, ...]
    new: NDArray[np.bool_]
    answers: NDArray[np.int64]
    left_out: int


def refused(lake: Lake, batch: Batch) -> list[Refused]:
    """The files of a batch that are refused at present, or could not be described, by name.

    Raises:
        LakeError: the record of the batch or the quarantine is damaged.
    """
    remote = "://" in batch.source
    root = Spool.of(lake, batch.dataset, batch.source).tree if remote else Path(batch.source)
    names = {str(root / name): name for name in batches.contents(lake, batch).files}
    rows = read_quarantine(lake, batch.dataset).to_pylist()
    failures = lake.quarantine(batch.dataset) / "extract"
    rows += [row for path in parquet_files(failures) for row in read_parquet(path).to_pylist()]
    found = {names[row["uri"]]: Refused(names[row["uri"]], row["reason"], row["detail"]) for row in rows if row["uri"] in names}
    return [found[name] for name in sorted(found)]


def whereabouts(lake: Lake, batch: Batch) -> Whereabouts | None:
    """The map that serves, with what the batch has brought to it; None where no map serves.

    Raises:
        LakeError: the map or the descriptors are damaged.
    """
    current = read_current(lake.champion(batch.dataset))
    if current is None:
        return None
    found = open_map(lake, batch.dataset)
    brought = _ids(batches.contents(lake, batch).files)
    # A copy of what was there already is nothing new.
    brought -= _ids(batches.ledger(lake, batch.dataset, batch.source, through=batch.number - 1))
    store = FeatureStore(lake.features(found.features, batch.dataset))
    described = brought & set(store.ids())
    rows = read_images(lake, batch.dataset).select(["image_id", "view"]).to_pylist()
    queries = sorted(row["image_id"] for row in rows if row["image_id"] in described and row["view"] == found.query_view)
    shown = queries[:MOST_PLACED]
    references = found.index.references
    answers = np.zeros(0, np.int64)
    if shown and references:
        answers = search.top_k(found.transform.transform_query(store.read(shown)), found.index.descriptors, 1).index[:, 0]
    new = np.array([reference.image_id in brought for reference in references], bool)
    return Whereabouts(current.serving, references, new, answers, len(queries) - len(shown))


def _ids(files: Mapping[str, str]) -> set[str]:
    return {sha256[:IMAGE_ID_LENGTH] for sha256 in files.values() if sha256}
