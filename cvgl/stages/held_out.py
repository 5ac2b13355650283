"""Images that neither of two adapters has learned from, and what both make of them: the ground for a contest without labels.

Read from the images table, whose rows hold no label of a drone or street image. Queries that one of the two has learned from
are left out. References are the map, which is known to both and to whoever asks, so they are not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from cvgl.errors import DataError
from cvgl.features import FeatureStore
from cvgl.hashing import digest_lines
from cvgl.ingestion.tables import image_batches, read_images
from cvgl.lake import Lake
from cvgl.quality.paired_comparison import FEWEST, Contest, Fought, Mapped, fight
from cvgl.quality.similarity import MOST_QUERIES, MOST_REFERENCES
from cvgl.stages.sequences import frame_sequences
from cvgl.stages.training_rows import by_view, learned_by
from cvgl.types import Subset, View

if TYPE_CHECKING:
    from cvgl.adaptation.record import AdapterRecord

Row = Mapping[str, Any]
_SCHEMA = pa.schema(
    [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("role", pa.string(), nullable=False),  # query or reference
        pa.field("challenger", pa.float64()),  # what the query earned; null for references
        pa.field("champion", pa.float64()),
    ]
)


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Rows of the images table that have a descriptor under both frozen models, sorted by image_id.

    Attributes:
        queries: which neither adapter has learned from.
        references: the map.
    """

    queries: Sequence[Row]
    references: Sequence[Row]

    @property
    def digest(self) -> str:
        """Hash over the ids of both."""
        sides = ([row["image_id"] for row in side] for side in (self.queries, self.references))
        return digest_lines(["queries", *next(sides), "references", *next(sides)])


@dataclass(frozen=True, slots=True)
class Held:
    """A contest on held-out images.

    Attributes:
        contest: the outcome.
        digest: of the rows.
        rows: which they were, and what each query earned.
    """

    contest: Contest
    digest: str
    rows: pa.Table


def held_out(lake: Lake, dataset: str, challenger: AdapterRecord, champion: AdapterRecord) -> HeldOut:
    """Finds the images on which two adapters of a dataset can be compared without labels.

    Where the tables do not show exactly what an adapter has learned from, everything that it could have learned from counts:
    every image that was for training at any time.

    Raises:
        LakeError: something in the lake is missing or damaged.
    """
    embedded = set.intersection(
        *(set(FeatureStore(lake.features(str(record.feature_set_id), dataset)).ids()) for record in (challenger, champion))
    )
    images = sorted(
        (row for row in read_images(lake, dataset).to_pylist() if row["image_id"] in embedded), key=itemgetter("image_id")
    )
    learned = _learned(lake, dataset, challenger) | _learned(lake, dataset, champion)
    query_subsets = {Subset.QUERY, Subset.TRAIN}
    queries = [
        row
        for row in images
        if row["view"] == challenger.query_view and query_subsets & set(row["subsets"]) and row["image_id"] not in learned
    ]
    satellites = [row for row in images if row["view"] == View.SATELLITE]
    gallery = [row for row in satellites if Subset.GALLERY in row["subsets"]]
    return HeldOut(queries, gallery or [row for row in satellites if Subset.TRAIN in row["subsets"]])


def contest(lake: Lake, dataset: str, challenger: AdapterRecord, champion: AdapterRecord) -> Held:
    """Compares two adapters of a dataset without labels, on images that neither has learned from.

    Of images on their own the first 1,024 are asked, and of the references the first 4,096 are searched; ids are hashes of
    content, so that is a draw, and always the same.

    Raises:
        LakeError: something in the lake is missing or damaged.
        DataError: not comparable, with the reason.
    """
    if challenger.query_view != champion.query_view:
        views = f"one is for {challenger.query_view} images and the other for {champion.query_view} images"
        raise DataError(f"not comparable because {views}", where=dataset, fix="compare adapters of one view")
    held = held_out(lake, dataset, challenger, champion)
    along = frame_sequences(held.queries, held.references) if held.queries and held.references else None
    if along is None or not along.usable:
        along, held = None, HeldOut(held.queries[:MOST_QUERIES], held.references[:MOST_REFERENCES])
    if min(len(held.queries), len(held.references)) < FEWEST:
        raise DataError(
            f"not comparable because {len(held.queries)} images are described that neither has learned from, over "
            f"{len(held.references)} references, and at least {FEWEST} of each are needed",
            where=dataset,
            fix="keep some images from training (the subset 'query'), or let more arrive",
        )
    queries, references = ([row["image_id"] for row in side] for side in (held.queries, held.references))
    ours, theirs = (_mapped(lake, dataset, record, queries, references) for record in (challenger, champion))
    fought = fight(ours, theirs, along)
    return Held(fought.contest, held.digest, _table(queries, references, fought))


def _learned(lake: Lake, dataset: str, record: AdapterRecord) -> set[str]:
    """Ids of the images that an adapter has learned from, or may have."""
    rows = learned_by(lake, dataset, record)
    if rows is not None:
        return {image_id for images in rows.views.values() for image_id in images.ids}
    return {
        image_id
        for through in image_batches(lake, dataset)
        for images in by_view(read_images(lake, dataset, through).to_pylist()).values()
        for image_id in images.ids
    }


def _mapped(lake: Lake, dataset: str, record: AdapterRecord, queries: Sequence[str], references: Sequence[str]) -> Mapped:
    from cvgl.adaptation import Adaptation

    store = FeatureStore(lake.features(str(record.feature_set_id), dataset))
    adaptation = Adaptation.load(lake.adapter(str(record.run)))
    return Mapped(
        adaptation.transform_query(store.read(list(queries))), adaptation.transform_reference(store.read(list(references)))
    )


def _table(queries: Sequence[str], references: Sequence[str], fought: Fought) -> pa.Table:
    blank = [None] * len(references)
    return pa.table(
        {
            "image_id": [*queries, *references],
            "role": ["query"] * len(queries) + ["reference"] * len(references),
            "challenger": [*fought.challenger.tolist(), *blank],
            "champion": [*fought.champion.tolist(), *blank],
        },
        schema=_SCHEMA,
    )
