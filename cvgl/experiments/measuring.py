"""One configuration under one seed: learned, asked in every direction, and kept under the hash of all that it depends on.

So starting again goes on, two experiments share what they have in common, and a figure is never one of other data.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import ValidationError

from cvgl.adaptation.record import ALGORITHM_VERSION
from cvgl.config import AdaptConfig, Settings
from cvgl.errors import DamagedError
from cvgl.evaluation.sequence_inference import Sequences
from cvgl.experiments.answering import Answers, answer, can_answer
from cvgl.experiments.configuration import Configuration
from cvgl.experiments.learners import depends_on_seed, learn, looks_at_sequences
from cvgl.experiments.material import Examination, Material, TrainingPlaces
from cvgl.hashing import digest_json
from cvgl.lake import Lake, read_versioned, sweep, write_versioned
from cvgl.lake.locks import exclusive
from cvgl.retrieval import protocols

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cvgl.adaptation.standardise import DescriptorTransform

MEASURING_VERSION = "3"
"""Raised whenever the same settings and rows would give other figures."""

NEAR_M = 50.0
RADII_M = (50.0, 100.0)


class Distances(Settings):
    """How far first answers lie from the true positions, over the queries for which that is known.

    Attributes:
        median_m: metres.
        within_m: share that lies within a radius, as a fraction, by the radius in metres.
    """

    median_m: float
    within_m: dict[str, float]


class Figure(Settings):
    """One direction under one protocol. Rates are fractions.

    Attributes:
        distances: none where no position is known.
        right: one character a counted query, in the order of their ids: 1 where the first answer is right, else 0.
        near: the same for an answer within `NEAR_M`, and ``-`` where the distance is unknown.
    """

    direction: str
    protocol: str
    protocol_hash: str
    recall: dict[str, float]
    ap: float
    n_queries: int
    n_gallery: int
    rows_digest: str
    distances: Distances | None
    right: str
    near: str


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
        places: ground truth of the training images; only for configurations that need it.
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
        with exclusive(self.lake.lock(f"reproduction-{inputs}")):
            stored = _read(path, inputs)
            if stored is not None:
                return stored, True
            sweep(folder)  # what a killed process left behind; nobody else writes here now
            checkpoint = folder / "checkpoint.safetensors"
            transform = learn(configuration, settings, self.material.training, self._truth(configuration), checkpoint)
            how = configuration.answering
            along = Sequences(self.lake, self.material.dataset, how.window or 1)
            examinations = [examination for examination in self.material.examinations if can_answer(examination, how, along)]
            figures = tuple(_figure(split, answer(split, transform, how, self.protocol, along)) for split in examinations)
            measurement = Measurement(seed=settings.seed if self._is_random(configuration, settings) else None, figures=figures)
            write_versioned(path, "measurement", _Kept(inputs=inputs, measurement=measurement).model_dump(mode="json"))
        return measurement, False

    def transform(self, configuration: Configuration, settings: AdaptConfig) -> DescriptorTransform:
        """What a configuration learns, without measuring it: what figures are drawn from."""
        return learn(configuration, settings, self.material.training, self._truth(configuration))

    def _truth(self, configuration: Configuration) -> TrainingPlaces | None:
        return self.places if configuration.learner.needs_ground_truth else None

    def _is_random(self, configuration: Configuration, settings: AdaptConfig) -> bool:
        return depends_on_seed(configuration, settings, self.material.training)

    def _identity(self, configuration: Configuration, settings: AdaptConfig) -> dict[str, object] | None:
        if not configuration.learner.is_random:
            return None
        identity = settings.identity()
        return identity if self._is_random(configuration, settings) else {**identity, "seed": None}

    def _followed(self, configuration: Configuration, settings: AdaptConfig) -> str | None:
        """Hash over the sequences that are learned from, where they are."""
        sequences = self.material.training.sequences
        if sequences is None or not looks_at_sequences(configuration, settings, self.material.training):
            return None
        return sequences.digest()

    def _inputs(self, configuration: Configuration, settings: AdaptConfig) -> str:
        """Hash over everything that changes a figure; a name in a table does not."""
        learner, truth, how = configuration.learner, self._truth(configuration), configuration.answering
        return digest_json(
            {
                "versions": [MEASURING_VERSION, ALGORITHM_VERSION],
                "features": self.material.features,
                "training": self.material.training.digest,
                "truth": truth.digest if truth is not None else None,
                "learner": str(learner),
                "reference_samples": configuration.reference_samples,
                "settings": self._identity(configuration, settings),
                "trajectories": self._followed(configuration, settings),
                "answering": asdict(how),
                "questions": [examination.question.digest for examination in self.material.examinations],
                "runs": [_runs_digest(examination) for examination in self.material.examinations] if how.window else None,
                "protocol": protocols.get(self.protocol).hash,
            }
        )


def _runs_digest(examination: Examination) -> str:
    return digest_json([run.tolist() for run in examination.runs or ()])


def _figure(examination: Examination, answers: Answers) -> Figure:
    question, result = examination.question, answers.evaluation
    counted = result.per_query.labelled
    metres = answers.distance[counted]
    return Figure(
        direction=str(question.direction),
        protocol=result.protocol,
        protocol_hash=result.protocol_hash,
        recall={str(depth): value for depth, value in result.recall.items()},
        ap=result.ap,
        n_queries=result.n_queries,
        n_gallery=result.n_gallery,
        rows_digest=question.digest,
        distances=_distances(metres[np.isfinite(metres)]),
        right="".join("1" if right else "0" for right in (result.per_query.rank[counted] == 1).tolist()),
        near="".join("-" if np.isnan(distance) else "1" if distance <= NEAR_M else "0" for distance in metres.tolist()),
    )


def _distances(metres: NDArray[np.float64]) -> Distances | None:
    if not len(metres):
        return None
    within = {f"{radius:g}": float(np.mean(metres <= radius)) for radius in RADII_M}
    return Distances(median_m=float(np.median(metres)), within_m=within)


def scores(marks: str) -> NDArray[np.float64]:
    """Marks of a `Figure` as numbers: 1, 0, and NaN where nothing is known."""
    return np.array([np.nan if mark == "-" else float(mark) for mark in marks], dtype=np.float64)


def _read(path: Path, inputs: str) -> Measurement | None:
    """The kept measurement; None when there is none that can be read, so that it is made again."""
    if not path.is_file():
        return None
    try:
        stored = _Kept.model_validate(read_versioned(path, "measurement"))
    except (DamagedError, ValidationError):
        return None  # it can be made again from what is there
    return stored.measurement if stored.inputs == inputs else None
