"""Table III: how many ids each task's sets have, printed and as they were taken in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cvgl.experiments.contents import Need
from cvgl.experiments.page import Page, PageGrid
from cvgl.experiments.pages import BUILT_IN
from cvgl.experiments.planning import COUNTED, PagePlan
from cvgl.experiments.published import TABLE3, TABLE3_REMARKS, TABLE3_SOURCE, SplitRow
from cvgl.experiments.sources import SourceConfig
from cvgl.experiments.split_test_set import adaptation_places
from cvgl.experiments.splits import TABLE_III, Split
from cvgl.ingestion.ground_truth import read_ground_truth
from cvgl.ingestion.tables import read_images
from cvgl.lake import Lake
from cvgl.types import Subset, View


@dataclass(frozen=True, slots=True)
class Counts:
    """Ids of a data set: places that have a satellite image.

    Attributes:
        train: in the training part.
        test: in the test part.
        asked: of those, the ones that have images of the other view.
        adapted: of those, the ones that a divided test set is adapted on.
    """

    train: int
    test: int
    asked: int
    adapted: int

    @property
    def left(self) -> int:
        """What a divided test set leaves to be tested on, distractors included."""
        return self.test - self.adapted


def count(source: SourceConfig, lake: Lake, split_seed: int) -> Counts:
    """Counts the ids of a data set that has been taken in.

    Raises:
        LakeError: the data set is missing or damaged.
    """
    places = {row["image_id"]: row["location_id"] for row in read_ground_truth(lake, source.dataset).to_pylist()}
    train, test, queried = set(), set(), set()
    for row in read_images(lake, source.dataset).select(["image_id", "view", "subsets"]).to_pylist():
        # A distractor of which nothing is known is an id of its own.
        place = places.get(row["image_id"]) or row["image_id"]
        if row["view"] == View.SATELLITE:
            train |= {place} if Subset.TRAIN in row["subsets"] else set()
            test |= {place} if Subset.GALLERY in row["subsets"] else set()
        elif Subset.QUERY in row["subsets"]:
            queried.add(place)
    shared = sorted(queried & test)
    return Counts(len(train), len(test), len(shared), len(adaptation_places(shared, split_seed)) if len(shared) > 1 else 0)


def compose_counts(plan: PagePlan, counts: Mapping[Need, Counts]) -> Page:
    """The page of Table III."""
    tasks: Mapping[str, tuple[Count, Count, Count]] = {
        "University Test Adaptation": (
            Count(Need.UNIVERSITY, lambda counts_of_set: counts_of_set.train),
            Count(Need.UNIVERSITY, lambda counts_of_set: counts_of_set.adapted),
            Count(Need.UNIVERSITY, lambda counts_of_set: counts_of_set.left),
        ),
        "CVUSA → CVACT": (
            Count(Need.CVUSA, lambda counts_of_set: counts_of_set.train),
            Count(Need.CVACT, lambda counts_of_set: counts_of_set.train),
            Count(Need.CVACT, lambda counts_of_set: counts_of_set.test),
        ),
        "CVACT → CVUSA": (
            Count(Need.CVACT, lambda counts_of_set: counts_of_set.train),
            Count(Need.CVUSA, lambda counts_of_set: counts_of_set.train),
            Count(Need.CVUSA, lambda counts_of_set: counts_of_set.test),
        ),
    }
    rows = tuple(cells for row in TABLE3 for cells in _rows(row, tasks[row.task], counts))
    sources = dict(zip(COUNTED, plan.counted, strict=True))
    drawn = [need for need, source in sources.items() if source.drawn]
    source_names = "; ".join(f"{need}: {BUILT_IN if source.drawn else source.name}" for need, source in sources.items())
    whole = not drawn and all(row[4] == row[5] for row in rows)
    return Page(
        name=plan.name,
        source=TABLE3_SOURCE,
        title="the sets that models trained for the task are adapted and tested on",
        heading=f"{'Counted' if whole else 'Not the paper’s data throughout: counted'} as taken in. {source_names}.",
        whole=whole,
        published="which sets each task uses, and how many ids they have",
        notes=(*plan.notes, *(f"In the paper: {remark}" for remark in TABLE3_REMARKS), _LEFT),
        tables=(),
        grids=(PageGrid(title="ids", columns=_COLUMNS, rows=rows),),
        pictures=(),
        provenance=PageGrid(
            title="Where the figures come from",
            columns=("data", "data set in the lake", "train", "test", "asked for"),
            rows=tuple(
                (need, sources[need].dataset, f"{counts_of_set.train:,}", f"{counts_of_set.test:,}", f"{counts_of_set.asked:,}")
                for need, counts_of_set in counts.items()
            ),
        ),
        command=plan.command,
        problems=(),
    )


_COLUMNS = ("task", "role", "set", "published", "the release has", "measured", "difference")

_LEFT = (
    "University-1652's test set is divided among the places that have drone images; the test part counts every other place "
    "with a satellite image, distractors included."
)


@dataclass(frozen=True, slots=True)
class Count:
    """Where a number of Table III comes from."""

    need: Need
    of: Callable[[Counts], int]


def _rows(row: SplitRow, counted: tuple[Count, Count, Count], counts: Mapping[Need, Counts]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    printed = (("pre-train", *row.pretrain), ("adaptation", *row.adaptation), ("test", *row.test))
    for (role, name, published), count in zip(printed, counted, strict=True):
        measured, share = count.of(counts[count.need]), getattr(_released(row.task), role.replace("-", ""))
        cells = (f"{published:,}", f"{share.places:,}", f"{measured:,}", f"{measured - published:+,}")
        rows.append((row.task, role, name, *cells))
    return rows


def _released(task: str) -> Split:
    """The same row with the numbers of places that the releases have."""
    return next(split for split in TABLE_III.values() if split.name == task.replace("→", "->"))
