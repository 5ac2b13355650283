"""The nouns of an experiment: what a configuration says, and what it may depend on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from cvgl.config import Recipe
from cvgl.errors import ConfigError
from cvgl.experiments.published import D_TO_S, PublishedRow


class Kind(StrEnum):
    """How a source is laid out, which decides how it is judged and which experiments it can be used for."""

    UNIVERSITY = "university1652"
    UNIVERSITY160K = "university160k"
    CVUSA = "cvusa"
    CVACT = "cvact"
    SUES200 = "sues200"
    DENSEUAV = "denseuav"
    FLIGHTS = "flights"  # frames of two flights and tiles of one date (cvgl.datasets.flights)
    OTHER = "other"  # whatever ingestion makes of it


@dataclass(frozen=True, slots=True)
class Answering:
    """How a place is told once descriptors are mapped.

    Attributes:
        corrected: similarities are hubness-corrected against statistics of the training (`cvgl.adaptation.correction`).
        window: an answer rests on so many consecutive images, this one and those before it; none: on one.
    """

    corrected: bool = False
    window: int | None = None


SINGLE = Answering()


class Learner(StrEnum):
    """How a configuration comes to its map."""

    FROZEN = "frozen"  # nothing is learned
    STANDARDISED = "standardised"  # each view's own mean and deviation
    ADAPTED = "adapted"  # cvgl.adaptation.adapt, without labels
    BALANCED = "adapted with building-balanced draws"  # the same, with draws that know the buildings: ground truth
    SUPERVISED = "supervised"  # true pairs: an upper bound, for evaluation only

    @property
    def needs_ground_truth(self) -> bool:
        """Whether the learner reads labels."""
        return self in (Learner.BALANCED, Learner.SUPERVISED)

    @property
    def is_random(self) -> bool:
        """Whether a seed changes anything."""
        return self not in (Learner.FROZEN, Learner.STANDARDISED)


class Sampling(StrEnum):
    """How the released trainer draws its queries."""

    UNIFORM = "uniform"
    BUILDING_BALANCED = "building-balanced"


@dataclass(frozen=True, slots=True)
class Published:
    """What the paper printed, as fractions; with another frozen model and more data, so no target."""

    recall_at_1: float
    ap: float
    direction: str = D_TO_S

    @classmethod
    def of(cls, row: PublishedRow, direction: str = D_TO_S) -> Published:
        """Of a row of the paper that has both figures in that direction.

        Raises:
            ConfigError: it lacks one of them.
        """
        recall_at_1, ap = row.fraction(direction, "R@1"), row.fraction(direction, "AP")
        if recall_at_1 is None or ap is None:
            raise ConfigError(f"no R@1 and AP are printed for '{row.method}'", where=direction, fix="choose another row")
        return cls(recall_at_1, ap, direction)


@dataclass(frozen=True, slots=True)
class Configuration:
    """One row of a table, or one point of a curve.

    Attributes:
        name: what the row is called.
        learner: how it comes to its map.
        changes: fields of `AdaptConfig` that differ from its defaults; ``dimension: None`` is d0.
        published: the paper's figures for it.
        series: the curve that it is a point of.
        x: where on the curve.
        sequences: a recipe that looks at which images were taken in a row is told, where some were.
        answering: how a place is told.
        reference_samples: so many satellite images, drawn once by the seed, are learned from; none: all.
    """

    name: str
    learner: Learner
    changes: Mapping[str, Any] = field(default_factory=dict)
    published: Published | None = None
    series: str = ""
    x: float | None = None
    sequences: bool = True
    answering: Answering = SINGLE
    reference_samples: int | None = None

    @property
    def is_robust(self) -> bool:
        """Whether the project's targets are set for it: its own recipe, with all that it may know."""
        return self.changes.get("recipe") == Recipe.ROBUST and self.sequences


@dataclass(frozen=True, slots=True)
class Situation:
    """What configurations may depend on.

    Attributes:
        d0: dimension of the frozen descriptors.
        n_queries: images of the drone or ground view to learn from.
        n_references: satellite images to learn from.
        sampling: of the released trainer.
        learns_along: images to learn from were taken in a row, over references whose positions are known.
        asks_along: test images were taken in a row.
    """

    d0: int
    n_queries: int
    n_references: int
    sampling: Sampling = Sampling.UNIFORM
    learns_along: bool = False
    asks_along: bool = False
