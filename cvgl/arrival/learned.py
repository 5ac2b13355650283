"""What the champion knows and what has come: two sets of training pictures, by view."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cvgl.arrival import batches
from cvgl.arrival.batches import Batch
from cvgl.datasets.tables import image_batches, read_images
from cvgl.features import FeatureStore
from cvgl.hashing import digest_lines
from cvgl.lake import Lake
from cvgl.localization.bundle import read_current
from cvgl.types import Subset, View

if TYPE_CHECKING:
    from cvgl.adaptation.record import AdapterRecord


@dataclass(frozen=True, slots=True)
class Champion:
    """The run that serves.

    Attributes:
        run: its name.
        features: fingerprint of the frozen model that it belongs to.
    """

    run: str
    features: str


@dataclass(frozen=True, slots=True)
class Pictures:
    """Training pictures of one view, sorted by id, with the run that each was taken in, if any."""

    ids: tuple[str, ...]
    runs: tuple[str | None, ...]

    def first(self, count: int) -> Pictures:
        """A sample. Ids are hashes of content, so the first ones are drawn at random, and always the same."""
        return Pictures(self.ids[:count], self.runs[:count])

    def without(self, others: Pictures) -> Pictures:
        """Those that are not among others."""
        known = set(others.ids)
        return _pictures([pair for pair in zip(self.ids, self.runs, strict=True) if pair[0] not in known])

    def __len__(self) -> int:
        return len(self.ids)


NONE = Pictures((), ())


@dataclass(frozen=True, slots=True)
class Known:
    """What the champion has learned from.

    Attributes:
        views: by view.
        how: which pictures these are, for people: exactly its training rows, or those that were there before the batch.
    """

    views: Mapping[View, Pictures]
    how: str


def champion_of(lake: Lake, dataset: str) -> Champion | None:
    """The run that serves a dataset, if any.

    Raises:
        LakeError: the record is damaged.
    """
    current = read_current(lake.champion(dataset))
    return None if current is None else Champion(current.serving.run, current.serving.features)


def arrived(lake: Lake, batch: Batch, fingerprint: str) -> Mapping[View, Pictures]:
    """Training pictures with a descriptor that the batch brought."""
    brought = batches.new_ids(lake, batch)
    rows = read_images(lake, batch.dataset).to_pylist()
    embedded = set(FeatureStore(lake.features(fingerprint, batch.dataset)).ids())
    return by_view(row for row in rows if row["image_id"] in brought & embedded)


def known_to(lake: Lake, dataset: str, record: AdapterRecord, batch: Batch) -> Known:
    """The pictures that an adapter has learned from.

    Its record holds the hash of their ids, and the dataset can be read as it was after each of its batches: where the
    hashes are the same, these are the pictures. Else those that did not come with the batch stand for them.
    """
    if (found := learned_by(lake, dataset, record)) is not None:
        return found
    embedded = set(FeatureStore(lake.features(str(record.features), dataset)).ids())
    new = {one for pictures in arrived(lake, batch, str(record.features)).values() for one in pictures.ids}
    rows = read_images(lake, dataset).to_pylist()
    views = by_view(row for row in rows if row["image_id"] in embedded - new)
    return Known(views, f"the {sum(map(len, views.values()))} pictures that were there before the batch")


def learned_by(lake: Lake, dataset: str, record: AdapterRecord) -> Known | None:
    """Exactly the pictures that an adapter has learned from; None where no state of the dataset has the hash of its rows."""
    embedded = set(FeatureStore(lake.features(str(record.features), dataset)).ids())
    for through in reversed(image_batches(lake, dataset)):
        views = by_view(row for row in read_images(lake, dataset, through).to_pylist() if row["image_id"] in embedded)
        if _are_those_of(views, record):
            return Known(views, f"the {sum(map(len, views.values()))} pictures that {record.run} has learned from")
    return None


def _are_those_of(views: Mapping[View, Pictures], record: AdapterRecord) -> bool:
    query_view = View(str(record.query_view))
    return (
        digest_lines(views.get(query_view, NONE).ids) == record.training.query_ids_digest
        and digest_lines(views.get(View.SATELLITE, NONE).ids) == record.training.reference_ids_digest
    )


def by_view(rows: Iterable[Mapping[str, Any]]) -> dict[View, Pictures]:
    """Training pictures of the images table, by view, sorted by id."""
    found: dict[View, list[tuple[str, str | None]]] = {}
    for row in rows:
        if Subset.TRAIN in row["subsets"]:
            found.setdefault(View(row["view"]), []).append((row["image_id"], row["sequence"]))
    return {view: _pictures(sorted(pairs, key=lambda pair: pair[0])) for view, pairs in found.items()}


def _pictures(pairs: list[tuple[str, str | None]]) -> Pictures:
    return Pictures(tuple(one for one, _ in pairs), tuple(run for _, run in pairs))
