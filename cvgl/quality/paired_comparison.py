"""Two adapters against one another without labels, on images that neither has learned from.

What each query earns by either (`cvgl.quality.report.credit_of`) is a share or nats an image in whatever space it is earned,
so adapters of different frozen models and dimensions compare. The same query is asked of both; the differences are averaged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from cvgl.config import Settings
from cvgl.errors import DataError
from cvgl.quality.report import CONFIDENCE, credit_of, paired
from cvgl.quality.similarity import DescriptorPair

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cvgl.adaptation.sequences import FrameSequences
    from cvgl.types import Float32Array

FEWEST = 20
"""Images of either view below which nothing is said."""
CONFIDENCE_ALONG = 1.645
"""Standard errors by which to be better along a course, whose images err together for longer than a block."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """The same images through one adapter. There is no place for a label.

    Attributes:
        queries: float32 (M, d), unit rows.
        references: float32 (N, d), unit rows.
    """

    queries: Float32Array
    references: Float32Array


class Contest(Settings):
    """What both earn, on average over the same queries."""

    measure: Literal["halves", "course"] = Field(description="share, or nats an image; see cvgl.quality.selection")
    challenger: float
    champion: float
    difference: float
    standard_error: float
    confidence: float = Field(description="standard errors by which the challenger has to be better")
    n_queries: int
    n_references: int

    @property
    def is_won(self) -> bool:
        """Whether the challenger is better with confidence."""
        return self.difference > max(0.0, self.confidence * self.standard_error)

    def __str__(self) -> str:
        unit = "" if self.measure == "halves" else " nats an image"
        return (
            f"{self.challenger:.3f} against {self.champion:.3f}{unit}, {self.difference:+.3f} +- {self.standard_error:.3f}, "
            f"needed {self.confidence:g} standard errors, on {self.n_queries} images over {self.n_references} references"
        )


@dataclass(frozen=True, slots=True)
class Fought:
    """A contest, and what each query earned.

    Attributes:
        contest: the outcome.
        challenger, champion: float64 (M,), credits.
    """

    contest: Contest
    challenger: NDArray[np.float64]
    champion: NDArray[np.float64]


def fight(challenger: Mapped, champion: Mapped, sequences: FrameSequences | None = None) -> Fought:
    """Compares two adapters on the same unlabelled images, none of which either has learned from.

    Args:
        challenger: the images through the one.
        champion: the same images, in the same order, through the other.
        sequences: which queries were taken in a row; used when they are usable.

    Raises:
        DataError: not the same number of images, or fewer than 20 of a view.
    """
    sizes = [(len(side.queries), len(side.references)) for side in (challenger, champion)]
    if sizes[0] != sizes[1] or min(sizes[0]) < FEWEST:
        raise DataError(
            f"two adapters are compared on the same {FEWEST} images of each view or more, not on {sizes[0]} and {sizes[1]}",
            where="contest",
            fix="compare them on more images",
        )
    along = sequences if sequences is not None and sequences.usable else None
    earned = [credit_of(DescriptorPair(side.queries, side.references), along) for side in (challenger, champion)]
    difference, error = paired(earned[0] - earned[1], along)
    contest = Contest(
        measure="halves" if along is None else "course",
        challenger=float(earned[0].mean()),
        champion=float(earned[1].mean()),
        difference=difference,
        standard_error=error,
        confidence=CONFIDENCE if along is None else CONFIDENCE_ALONG,
        n_queries=sizes[0][0],
        n_references=sizes[0][1],
    )
    return Fought(contest, earned[0], earned[1])
