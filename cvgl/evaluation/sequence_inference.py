"""Images of a sequence placed together, for the evaluation: which belong together, and what is believed of each.

What says so is the images table (`cvgl.stages.sequences`), never the ground truth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cvgl.adaptation.map_cells import MAX_MAP_CELLS, map_cells_of
from cvgl.ingestion.tables import read_images
from cvgl.lake import Lake
from cvgl.localization.sequence_posterior import follow
from cvgl.retrieval.positions import positions_of
from cvgl.stages.sequences import frame_sequences

if TYPE_CHECKING:
    from cvgl.adaptation.sequences import FrameSequences
    from cvgl.evaluation.retrieval_task import Question
    from cvgl.types import Float32Array

_MOST_CELLS = 2**28  # probabilities kept at once: 1 GiB


class Sequences:
    """The sequences of a data set's queries.

    Args:
        lake: where the data set is.
        dataset: its name.
        window: images placed together at most.
    """

    def __init__(self, lake: Lake, dataset: str, window: int) -> None:
        self._images = {row["image_id"]: row for row in read_images(lake, dataset).to_pylist()}
        self._window = window
        self._found: dict[tuple[tuple[str, ...], tuple[str, ...]], FrameSequences | None] = {}

    def apply_to(self, question: Question) -> bool:
        """Whether several queries are of one sequence, and the map says where its references lie.

        Not on maps of more than `MAX_MAP_CELLS` places, which cannot all be ranked.
        """
        if not question.gallery.view.is_reference:
            return False
        if len(question.gallery.image_ids) * len(question.queries.image_ids) > _MOST_CELLS:
            return False
        sequences = self._sequences(question)
        return sequences is not None and 1 < len(map_cells_of(sequences.positions).centres) <= MAX_MAP_CELLS

    def posterior(self, question: Question, queries: Float32Array, gallery: Float32Array) -> Float32Array:
        """Probability that each query shows each reference, float32 (Q, N), from the window that ends with the query.

        Args:
            question: one that these apply to.
            queries: float32 (Q, d), in the order of the question.
            gallery: float32 (N, d), likewise.
        """
        sequences = self._sequences(question)
        posteriors = np.zeros((len(queries), len(gallery)), np.float32)
        positions = positions_of([self._images[image] for image in question.gallery.image_ids])
        for run in sequences.rows if sequences is not None else ():
            for believed in follow(queries[run], gallery, positions, self._window):
                posteriors[np.ix_(run[believed.pictures], believed.references)] = believed.posterior
        return posteriors

    def _sequences(self, question: Question) -> FrameSequences | None:
        sides = question.queries.image_ids, question.gallery.image_ids
        if sides not in self._found:
            self._found[sides] = frame_sequences(*([self._images[image] for image in side] for side in sides))
        return self._found[sides]
