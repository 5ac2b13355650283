"""What an experiment works on: descriptors to learn from, without labels, and descriptors to be asked about, with their places.

The places of training images are a separate look-up, `training_places`, for the two configurations that are defined by
knowing them; nothing else of this package sees them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cvgl.errors import DataError
from cvgl.evaluation.retrieval_task import EvaluationRows, Question, Side, read_rows
from cvgl.experiments.split_test_set import split_rows, within_view
from cvgl.features import FeatureStore
from cvgl.hashing import digest_lines
from cvgl.ingestion.ground_truth import read_ground_truth
from cvgl.ingestion.tables import read_images
from cvgl.lake import Lake
from cvgl.retrieval import protocols
from cvgl.stages.sequences import frame_sequences, runs_of
from cvgl.types import ArtifactRef, Subset, View

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cvgl.adaptation.sequences import FrameSequences
    from cvgl.adaptation.standardise import DescriptorTransform
    from cvgl.types import Float32Array


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """Descriptors to learn from, each side sorted by image_id: no labels, no pairs.

    Attributes:
        queries: float32 (M, d0), drone or ground view.
        references: float32 (N, d0), satellite view.
        query_ids, reference_ids: image ids.
        sequences: which queries were taken in a row, and where references lie; none where nothing was, or is known.
    """

    queries: Float32Array
    references: Float32Array
    query_ids: tuple[str, ...]
    reference_ids: tuple[str, ...]
    sequences: FrameSequences | None = None

    @property
    def digest(self) -> str:
        """Digest over the rows of both sides."""
        return digest_lines([*self.query_ids, "references", *self.reference_ids])

    def with_references(self, count: int, seed: int) -> TrainingSet:
        """The same queries with so many of the references, drawn by the seed; all of them where there are no more."""
        if count >= len(self.references):
            return self
        drawn = np.sort(np.random.default_rng(seed).choice(len(self.references), count, replace=False))
        ids = tuple(self.reference_ids[row] for row in drawn.tolist())
        return TrainingSet(self.queries, self.references[drawn], self.query_ids, ids)

    @property
    def has_sequences(self) -> bool:
        """Whether a recipe that looks at sequences finds enough of them."""
        return self.sequences is not None and self.sequences.usable


@dataclass(frozen=True, slots=True)
class Examination:
    """One direction: its images with their places, and their frozen descriptors.

    Attributes:
        question: the images.
        queries, gallery: float32 (n, d0), their descriptors.
        runs: int64, rows of the queries of each sequence in the order taken; none where none were taken in a row.
    """

    question: Question
    queries: Float32Array
    gallery: Float32Array
    runs: tuple[NDArray[np.int64], ...] | None = None

    def mapped(self, transform: DescriptorTransform) -> tuple[Float32Array, Float32Array]:
        """Queries and gallery through the side of their view, whatever their role."""
        return _map(transform, self.question.queries, self.queries), _map(transform, self.question.gallery, self.gallery)


def _map(transform: DescriptorTransform, side: Side, frozen: Float32Array) -> Float32Array:
    return transform.transform_reference(frozen) if side.view.is_reference else transform.transform_query(frozen)


@dataclass(frozen=True, slots=True)
class Material:
    """A dataset under one frozen model.

    Attributes:
        features: fingerprint of the frozen model and its settings.
        dataset: name.
        training: what may be learned from.
        examinations: what is asked, one a direction.
    """

    features: str
    dataset: str
    training: TrainingSet
    examinations: tuple[Examination, ...]

    @property
    def d0(self) -> int:
        """Number of dimensions of a frozen descriptor."""
        return int(self.training.queries.shape[1])


def load_material(
    lake: Lake, features: ArtifactRef, protocol: str, *, single_view: bool = False, split_seed: int | None = None
) -> Material:
    """Reads descriptors and the ground truth of the test images.

    Args:
        lake: where everything is.
        features: of one dataset under one frozen model.
        protocol: decides which answers are right.
        single_view: drone images are also asked for against one drone image of each place.
        split_seed: adapt on a part of the test set's places and test on the others (`cvgl.experiments.split_test_set`), drawn
            by this seed; none: learn from the training images.

    Raises:
        DataError: nothing to learn from on one of the sides, or nothing to ask.
        LakeError: something in the lake is missing or damaged.
    """
    store = FeatureStore(features.path)
    rows = read_rows(lake, features.name, store.ids())
    if split_seed is not None:
        rows = split_rows(rows, split_seed)
    view = _query_view(rows, features.name)
    rules = protocols.get(protocol)
    images = {row["image_id"]: row for row in read_images(lake, features.name).to_pylist()}
    questions = rows.questions(view, rules.truth, rules.satellite_queries)
    if single_view and view is View.DRONE:
        questions += [within_view(rows.rows, rows.positions, store.ids())]
    examinations = tuple(
        Examination(
            question,
            store.read(question.queries.image_ids),
            store.read(question.gallery.image_ids),
            runs_of([images[image_id] for image_id in question.queries.image_ids]),
        )
        for question in questions
        if any(place is not None for place in question.queries.places)
    )
    if not examinations:
        raise DataError(
            f"the dataset '{features.name}' has no query whose place is known, so nothing can be measured",
            where=features.name,
            fix="give a data root with test images in folders named by their place (docs/how-to/ingestion.md)",
        )
    return Material(features.digest, features.name, _training(rows, view, store, images, features.name), examinations)


def _training(
    rows: EvaluationRows, view: View, store: FeatureStore, images: Mapping[str, Mapping[str, Any]], dataset: str
) -> TrainingSet:
    query_ids, reference_ids = rows.training_ids(view), rows.training_ids(View.SATELLITE)
    if not reference_ids:
        raise DataError(
            f"the dataset '{dataset}' has no satellite image to learn from", where=dataset, fix="ingest train/satellite"
        )
    return TrainingSet(
        store.read(query_ids),
        store.read(reference_ids),
        tuple(query_ids),
        tuple(reference_ids),
        frame_sequences([images[image_id] for image_id in query_ids], [images[image_id] for image_id in reference_ids]),
    )


def training_view(lake: Lake, dataset: str) -> View | None:
    """The view that is adapted to the satellite view; none where there is nothing to learn from.

    Raises:
        LakeError: the dataset is missing or damaged.
    """
    rows = read_images(lake, dataset).select(["view", "subsets"]).to_pylist()
    present = {row["view"] for row in rows if Subset.TRAIN in row["subsets"]}
    return next((view for view in (View.DRONE, View.GROUND) if view in present), None)


def _query_view(rows: EvaluationRows, dataset: str) -> View:
    """The view that is adapted to the satellite view: the drone's where there is one, as in all of the paper's ablations."""
    views = [view for view in (View.DRONE, View.GROUND) if rows.training_ids(view)]
    if not views:
        raise DataError(
            f"the dataset '{dataset}' has no drone or ground image to learn from", where=dataset, fix="ingest train/drone"
        )
    return views[0]


@dataclass(frozen=True, slots=True)
class TrainingPlaces:
    """Ground truth of training images, in the order of a `TrainingSet`; None where a place is unknown."""

    queries: tuple[str | None, ...]
    references: tuple[str | None, ...]

    @property
    def digest(self) -> str:
        """Digest over the rows of both sides."""
        return digest_lines(str(place) for place in (*self.queries, "references", *self.references))

    def codes(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Places as numbers, equal where places are equal, -1 where unknown: int64 (M,) and (N,)."""
        numbers: dict[str | None, int] = {None: -1}
        for place in (*self.references, *self.queries):
            numbers.setdefault(place, len(numbers) - 1)
        query, reference = (np.array([numbers[place] for place in side], np.int64) for side in (self.queries, self.references))
        return query, reference


def training_places(lake: Lake, dataset: str, training: TrainingSet) -> TrainingPlaces:
    """Looks the training images up in the ground truth. For configurations that say that they need it, and no other."""
    location_of = {row["image_id"]: row["location_id"] for row in read_ground_truth(lake, dataset).to_pylist()}

    def places(ids: Sequence[str]) -> tuple[str | None, ...]:
        return tuple(location_of.get(image) for image in ids)

    return TrainingPlaces(places(training.query_ids), places(training.reference_ids))
