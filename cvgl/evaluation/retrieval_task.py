"""What an evaluation asks: which images are queries, which are ranked, and which answers are right.

Reads the ground truth, so nothing on the training, selection or inference path may import it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from cvgl.geo import GEOGRAPHIC, is_true_to_scale
from cvgl.hashing import digest_lines
from cvgl.ingestion.ground_truth import read_ground_truth
from cvgl.ingestion.tables import read_images
from cvgl.lake import Lake
from cvgl.retrieval.positions import Positions, positions_of
from cvgl.types import Direction, Subset, View

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Row: TypeAlias = dict[str, Any]

_POSITION = ("latitude", "longitude", "x", "y", "crs")


@dataclass(frozen=True, slots=True)
class Side:
    """The images of one role, sorted by image_id.

    Attributes:
        view: from where they were taken.
        image_ids: one an image.
        places: label of the place shown; None where unknown.
        positions: where they were taken, or where the place is.
    """

    view: View
    image_ids: tuple[str, ...]
    places: tuple[str | None, ...]
    positions: Positions

    def lines(self) -> Iterable[str]:
        """One line of JSON for each row, for a digest."""
        for image, place, position in zip(self.image_ids, self.places, self.positions.coordinates.tolist(), strict=True):
            yield json.dumps([image, place, position])


@dataclass(frozen=True, slots=True)
class Question:
    """One direction, with its right answers.

    Attributes:
        direction: e.g. drone_to_satellite.
        queries: what is asked.
        gallery: what is ranked.
        left_out: images with a role that have no descriptor.
        digest: hash over everything that a figure depends on besides descriptors and protocol.
    """

    direction: Direction
    queries: Side
    gallery: Side
    left_out: int
    digest: str


@dataclass(frozen=True, slots=True)
class EvaluationRows:
    """Images and ground truth of a data set, joined by image_id.

    Attributes:
        rows: one an image, sorted by image_id: view, subsets, location_id, position, uri.
        positions: in the order of `rows`.
        embedded: image ids with a descriptor.
    """

    rows: list[Row]
    positions: Positions
    embedded: frozenset[str]

    def training_ids(self, view: View) -> list[str]:
        """Images of a view that adapters learn from."""
        return [row["image_id"] for row in self._having(view, Subset.TRAIN) if row["image_id"] in self.embedded]

    def _having(self, view: View, subset: Subset) -> list[Row]:
        return [row for row in self.rows if row["view"] == view and subset in row["subsets"]]

    def questions(self, query_view: View, truth: str, satellite_queries: str = "query") -> list[Question]:
        """Both directions, without those for which one side has no image.

        Args:
            query_view: drone or ground.
            truth: how right answers are found, `cvgl.retrieval.protocols.Protocol.truth`.
            satellite_queries: which satellite images are asked for, `Protocol.satellite_queries`.
        """
        usual = (Subset.QUERY, Subset.GALLERY)
        directions = (
            (Direction(query_view, View.SATELLITE), usual),
            (Direction(View.SATELLITE, query_view), usual if satellite_queries == "query" else usual[::-1]),
        )
        return [question for direction, subsets in directions if (question := self._question(direction, subsets, truth))]

    def _question(self, direction: Direction, subsets: tuple[Subset, Subset], truth: str) -> Question | None:
        wanted = (self._having(direction.query_view, subsets[0]), self._having(direction.gallery_view, subsets[1]))
        query_rows, ranked = ([row for row in side if row["image_id"] in self.embedded] for side in wanted)
        if not query_rows or not ranked:
            return None
        left_out = sum(map(len, wanted)) - len(query_rows) - len(ranked)
        if direction.query_view.is_reference:
            ranked_places, asked_places = self._places(ranked, query_rows, truth)
        else:
            asked_places, ranked_places = self._places(query_rows, ranked, truth)
        queries = self._side(direction.query_view, query_rows, asked_places)
        gallery = self._side(direction.gallery_view, ranked, ranked_places)
        digest = digest_lines([str(direction), *queries.lines(), "gallery", *gallery.lines()])
        return Question(direction, queries, gallery, left_out, digest)

    def _side(self, view: View, rows: Sequence[Row], places: Sequence[str | None]) -> Side:
        positions = self.positions.take([row["index"] for row in rows])
        return Side(view, tuple(row["image_id"] for row in rows), tuple(places), positions)

    def _places(
        self, images: Sequence[Row], references: Sequence[Row], truth: str
    ) -> tuple[list[str | None], list[str | None]]:
        """Places of the images to be placed and of the references.

        Under a masked truth no place is known. Else an image with a position and without a known place shows the place of
        the reference nearest to it. That place is the reference's location_id or, without one, its image_id.
        """
        if truth == "masked":
            return [None] * len(images), [None] * len(references)
        own = [None if truth == "nearest" else row["location_id"] for row in images]
        reference_places = [row["location_id"] for row in references]
        at_references = self.positions.take([row["index"] for row in references])
        homeless = [i for i, place in enumerate(own) if place is None]
        nearest = self.positions.take([images[i]["index"] for i in homeless]).nearest(at_references)
        matches: set[int] = set()
        for i, j in zip(homeless, nearest.tolist(), strict=True):
            if j >= 0:
                own[i] = reference_places[j] = reference_places[j] or references[j]["image_id"]
                matches.add(j)
        if truth == "nearest":
            # A reference that is nobody's nearest has no right answer to be asked for; in the gallery it distracts.
            matched = {reference_places[j] for j in matches}
            reference_places = [place if place in matched else None for place in reference_places]
        return own, reference_places

    def lines(self) -> Iterable[str]:
        """Everything that figures depend on, one line an image."""
        at = self.positions
        if at.frame != GEOGRAPHIC and not is_true_to_scale(at.frame, at.coordinates):
            yield json.dumps(["ground metres", at.frame])  # what was measured in another unit is measured again
        for row, position in zip(self.rows, self.positions.coordinates.tolist(), strict=True):
            yield json.dumps(
                [row["image_id"], row["view"], row["subsets"], row["location_id"], position, row["image_id"] in self.embedded]
            )


def read_rows(lake: Lake, dataset: str, embedded: Iterable[str]) -> EvaluationRows:
    """Joins the images of a data set with its ground truth.

    An picture's position is the map's own, else the true one, else that of a satellite image of the same place.

    Raises:
        LakeError: the data set is missing or damaged.
        DataError: positions are in frames between which no distance exists.
    """
    truth_of = {row["image_id"]: row for row in read_ground_truth(lake, dataset).to_pylist()}
    columns = ["image_id", "view", "subsets", *_POSITION]
    rows = read_images(lake, dataset).select(columns).sort_by("image_id").to_pylist()
    for index, row in enumerate(rows):
        truth = truth_of.get(row["image_id"], {})
        row["index"] = index
        row["location_id"] = truth.get("location_id")
        if not _has_position(row):
            row.update({name: truth.get(name) for name in _POSITION})
    _borrow_positions(rows)
    return EvaluationRows(rows, positions_of(rows), frozenset(embedded))


def _has_position(row: Row) -> bool:
    return (row["latitude"] is not None and row["longitude"] is not None) or (row["x"] is not None and row["y"] is not None)


def _borrow_positions(rows: Sequence[Row]) -> None:
    """Gives images without a position that of a satellite image of their place."""
    places: dict[str, Row] = {}
    for row in rows:
        if row["view"] == View.SATELLITE and row["location_id"] is not None and _has_position(row):
            places.setdefault(row["location_id"], row)
    for row in rows:
        if not _has_position(row) and row["location_id"] in places:
            row.update({name: places[row["location_id"]][name] for name in _POSITION})


def distances_m(question: Question, top_index: NDArray[np.int64]) -> NDArray[np.float64]:
    """Metres from the position of each query's first answer to the true one; NaN where one of them is unknown.

    Args:
        question: the direction.
        top_index: int64 (Q, K), rows of the gallery, best first.
    """
    return question.queries.positions.distance_m(question.gallery.positions.take(top_index[:, 0]))
