"""One configuration under one seed: learned, asked in both directions, and kept under the hash of all that it depends on.

So starting again goes on, two experiments share what they have in common, and a figure is never one of other data.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from cvgl.adaptation.record import ALGORITHM_VERSION
from cvgl.config import AdaptConfig, Settings
from cvgl.errors import LakeError
from cvgl.features.locks import exclusive
from cvgl.hashing import digest_json
from cvgl.lake import Lake, read_json, sweep, write_json
from cvgl.reproduction.experiments import Configuration
from cvgl.reproduction.learners import learn
from cvgl.reproduction.material import Examination, Material, TrainingPlaces
from cvgl.retrieval import evaluate, protocols

if TYPE_CHECKING:
    from cvgl.types import Float32Array

MEASURING_VERSION = "1"
"""Raised whenever the same settings and rows would give other figures."""


class Figure(Settings):
    """One direction under one protocol. Rates are fractions."""

    direction: str
    protocol: str
    protocol_hash: str
    recall: dict[str, float]
    ap: float
    n_queries: int
    n_gallery: int
    rows_digest: str


class Measurement(Settings):
    """What one configuration reached under one seed; seed none: it depends on none."""

    seed: int | None
    figures: tuple[Figure, ...]


class _Kept(Settings):
    """The file that a measurement is kept in."""

    inputs: str
    measurement: Measurement


@dataclass(frozen=True, slots=True)
class Bench:
    """Where configurations are measured.

    Attributes:
        lake: where measurements are kept.
        material: descriptors and questions.
        places: ground truth of the training pictures; only for configurations that need it.
        protocol: name.
    """

    lake: Lake
    material: Material
    places: TrainingPlaces | None
    protocol: str

    def measure(self, configuration: Configuration, settings: AdaptConfig) -> tuple[Measurement, bool]:
        """Measures, or finds that it has been measured.

        Args:
            configuration: what to learn.
            settings: of its training, seed included.

        Returns:
            The figures, and whether they were there already.
        """
        inputs = self._inputs(configuration, settings)
        folder = self.lake.root / "reproductions" / "measurements" / inputs
        path = folder / "measurement.json"
        with exclusive(self.lake.root / "locks" / f"reproduction-{inputs}.lock"):
            kept = _read(path, inputs)
            if kept is not None:
                return kept, True
            sweep(folder)  # what a killed process left behind; nobody else writes here now
            checkpoint = folder / "checkpoint.safetensors"
            transform = learn(configuration, settings, self.material.training, self._truth(configuration), checkpoint)
            figures = tuple(_figure(e, *e.mapped(transform), self.protocol) for e in self.material.examinations)
            seed = settings.seed if configuration.learner.is_random else None
            measurement = Measurement(seed=seed, figures=figures)
            write_json(path, _Kept(inputs=inputs, measurement=measurement).model_dump(mode="json"))
        return measurement, False

    def _truth(self, configuration: Configuration) -> TrainingPlaces | None:
        return self.places if configuration.learner.needs_ground_truth else None

    def _inputs(self, configuration: Configuration, settings: AdaptConfig) -> str:
        """Hash over everything that changes a figure; a name in a table does not."""
        learner, truth = configuration.learner, self._truth(configuration)
        return digest_json(
            {
                "versions": [MEASURING_VERSION, ALGORITHM_VERSION],
                "features": self.material.features,
                "training": self.material.training.digest,
                "truth": truth.digest if truth is not None else None,
                "learner": str(learner),
                "settings": settings.identity() if learner.is_random else None,
                "questions": [examination.question.digest for examination in self.material.examinations],
                "protocol": protocols.get(self.protocol).hash,
            }
        )


def _figure(examination: Examination, queries: Float32Array, gallery: Float32Array, protocol: str) -> Figure:
    question = examination.question
    result = evaluate(queries, question.queries.places, gallery, question.gallery.places, protocol, top_k=1)
    return Figure(
        direction=str(question.direction),
        protocol=result.protocol,
        protocol_hash=result.protocol_hash,
        recall={str(depth): value for depth, value in result.recall.items()},
        ap=result.ap,
        n_queries=result.n_queries,
        n_gallery=result.n_gallery,
        rows_digest=question.digest,
    )


def _read(path: Path, inputs: str) -> Measurement | None:
    """The kept measurement; None when there is none that can be read, so that it is made again."""
    if not path.is_file():
        return None
    try:
        kept = _Kept.model_validate(read_json(path))
    except (LakeError, ValidationError):
        return None  # damaged: it can be made again from what is there
    return kept.measurement if kept.inputs == inputs else None
