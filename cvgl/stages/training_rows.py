"""What the champion knows and what has come: two sets of training images, by view."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cvgl.features import FeatureStore
from cvgl.hashing import digest_lines
from cvgl.ingestion.tables import image_batches, read_images
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
    """Training images of one view, sorted by id, with the run that each was taken in, if any."""

    ids: tuple[str, ...]
    runs: tuple[str | None, ...]

    def first(self, count: int) -> Pictures:
        """A sample. Ids are hashes of content, so the first ones are drawn at random, and always the same."""
        return Pictures(self.ids[:count], self.runs[:count])

    def without(self, others: Pictures) -> Pictures:
        """Those that are not among others."""
        excluded = set(others.ids)
        return _images([pair for pair in zip(self.ids, self.runs, strict=True) if pair[0] not in excluded])

    def __len__(self) -> int:
        return len(self.ids)


NONE = Pictures((), ())


@dataclass(frozen=True, slots=True)
class Known:
    """What the champion has learned from.

    Attributes:
        views: by view.
        how: which images these are, for people: exactly its training rows, or those that were there before the batch.
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


def learned_by(lake: Lake, dataset: str, record: AdapterRecord) -> Known | None:
    """Exactly the images that an adapter has learned from; None where no state of the dataset has the hash of its rows."""
    embedded = set(FeatureStore(lake.features(str(record.feature_set_id), dataset)).ids())
    for through in reversed(image_batches(lake, dataset)):
        views = by_view(row for row in read_images(lake, dataset, through).to_pylist() if row["image_id"] in embedded)
        if _are_those_of(views, record):
            return Known(views, f"the {sum(map(len, views.values()))} images that {record.run} has learned from")
    return None


def _are_those_of(views: Mapping[View, Pictures], record: AdapterRecord) -> bool:
    query_view = View(str(record.query_view))
    return (
        digest_lines(views.get(query_view, NONE).ids) == record.training.query_ids_digest
        and digest_lines(views.get(View.SATELLITE, NONE).ids) == record.training.reference_ids_digest
    )


def by_view(rows: Iterable[Mapping[str, Any]]) -> dict[View, Pictures]:
    """Training images of the images table, by view, sorted by id."""
    pairs_of: dict[View, list[tuple[str, str | None]]] = {}
    for row in rows:
        if Subset.TRAIN in row["subsets"]:
            pairs_of.setdefault(View(row["view"]), []).append((row["image_id"], row["sequence"]))
    return {view: _images(sorted(pairs, key=lambda pair: pair[0])) for view, pairs in pairs_of.items()}


def _images(pairs: list[tuple[str, str | None]]) -> Pictures:
    return Pictures(tuple(image_id for image_id, _ in pairs), tuple(run for _, run in pairs))
