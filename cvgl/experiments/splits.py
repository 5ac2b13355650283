"""Table III of Li et al. 2024: on what a task-specific model is pre-trained, adapted and tested.

Three rows. "University Test Adaptation" divides the places of University-1652's test set by a seed
(`cvgl.experiments.split_test_set.split_rows` does it, for only here may places be looked at). "CVUSA -> CVACT" and "CVACT ->
CVUSA" take a model that was pre-trained on one country's pairs, adapt it on the other's training images, unlabelled, and
test it on the other's test pairs; there the release itself divides, and nothing is drawn.

The printed numbers of places are kept beside the ones that can be. They differ in two ways. The table tests on 751 places of
University-1652 after adapting on 250, but a test set of 951 places leaves 701: a misprint, we take it. And it counts 35,531
training pairs of CVUSA and CVACT, where the splits name 35,532. The text (Section IV-D) says once that the other data set's
test set is adapted on; the table says its training set, and so does the text's end. We follow the table: nothing that is
tested is seen before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from cvgl.config import Layout
from cvgl.errors import ConfigError
from cvgl.evaluation.retrieval_task import EvaluationRows, Row
from cvgl.types import Subset


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a published data set.

    Attributes:
        layout: the data set.
        subset: of it.
        printed: places, as the table has them.
        places: places that the release has for it.
    """

    layout: Layout
    subset: Subset
    printed: int
    places: int


@dataclass(frozen=True, slots=True)
class Split:
    """A row of the table.

    Attributes:
        name: of the task, as the table names it.
        pretrain: what the frozen model was trained on, with labels, by somebody else.
        adaptation: what the adapter learns from, without labels.
        test: what is asked for; adaptation and test are of one data set.
        is_drawn: whether adaptation and test are drawn from one test set by a seed.
        protocol: by which the test is judged.
    """

    name: str
    pretrain: Share
    adaptation: Share
    test: Share
    is_drawn: bool
    protocol: str

    def notes(self, rows: EvaluationRows) -> tuple[str, ...]:
        """What a reader should know about a copy of the data set that is divided so.

        Args:
            rows: of the data set; of a drawn split those that `split_rows` gives.
        """
        there = place_counts(rows.rows)
        return tuple(
            f"{unit}: {count:,} places, of {share.places:,} that are published (printed in Table III: {share.printed:,})"
            for unit, count, share in (
                ("adaptation", there.adaptation, self.adaptation),
                ("test", there.test, self.test),
            )
            if count != share.places
        )


@dataclass(frozen=True, slots=True)
class PlaceCounts:
    """Places of a data set by what they are used for.

    Attributes:
        adaptation: with images to learn from.
        test: with images that are searched.
        both: in both, which no split may have.
    """

    adaptation: int
    test: int
    both: int


_UNIVERSITY, _CVUSA, _CVACT = Layout.UNIVERSITY1652, Layout.CVUSA, Layout.CVACT
_TRAINING, _TESTED = 35_532, 8_884

UNIVERSITY_TEST: Final = "university-test-adaptation"
CVUSA_TO_CVACT: Final = "cvusa-to-cvact"
CVACT_TO_CVUSA: Final = "cvact-to-cvusa"

TABLE_III: Mapping[str, Split] = MappingProxyType(
    {
        UNIVERSITY_TEST: Split(
            "University Test Adaptation",
            pretrain=Share(_UNIVERSITY, Subset.TRAIN, 701, 701),
            adaptation=Share(_UNIVERSITY, Subset.GALLERY, 250, 250),
            test=Share(_UNIVERSITY, Subset.GALLERY, 751, 951 - 250),
            is_drawn=True,
            protocol="university1652-951",
        ),
        CVUSA_TO_CVACT: Split(
            "CVUSA -> CVACT",
            pretrain=Share(_CVUSA, Subset.TRAIN, 35_531, _TRAINING),
            adaptation=Share(_CVACT, Subset.TRAIN, 35_531, _TRAINING),
            test=Share(_CVACT, Subset.GALLERY, _TESTED, _TESTED),
            is_drawn=False,
            protocol="cvact-val",
        ),
        CVACT_TO_CVUSA: Split(
            "CVACT -> CVUSA",
            pretrain=Share(_CVACT, Subset.TRAIN, 35_531, _TRAINING),
            adaptation=Share(_CVUSA, Subset.TRAIN, 35_531, _TRAINING),
            test=Share(_CVUSA, Subset.GALLERY, _TESTED, _TESTED),
            is_drawn=False,
            protocol="cvusa",
        ),
    }
)


def split_between(pretrained: Layout, tested: Layout) -> Split:
    """The row for a model that was pre-trained on one data set and is used on another, or on new places of the same.

    Raises:
        ConfigError: the table has no such row.
    """
    for split in TABLE_III.values():
        if (split.pretrain.layout, split.test.layout) == (pretrained, tested):
            return split
    names = ", ".join(split.name for split in TABLE_III.values())
    raise ConfigError(f"Table III has no row from {pretrained} to {tested}", where="split", fix=f"its rows are: {names}")


def place_counts(rows: Iterable[Row]) -> PlaceCounts:
    """How many places are learned from and how many are searched, and how many in both by mistake."""
    learned: set[str] = set()
    searched: set[str] = set()
    for row in rows:
        if row["location_id"] is not None:
            learned.update({row["location_id"]} if Subset.TRAIN in row["subsets"] else ())
            searched.update({row["location_id"]} if Subset.GALLERY in row["subsets"] else ())
    return PlaceCounts(len(learned), len(searched), len(learned & searched))
