"""How many images the published data sets have, and how many a copy of them has.

Sources: University-1652 and DenseUAV: the tables of their repositories' READMEs; University-160k: the challenge's page
(167,486 distractors); CVUSA, CVACT: the rows of their splits; SUES-200: 200 places, 50 images at each of 4 heights.
A number that no source states is None, and is not held against a copy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cvgl.config import Layout
from cvgl.datasets.sues200 import DRONE, HEIGHTS, SATELLITE, TESTING, TRAINING
from cvgl.datasets.university160k import GALLERY, NAMES, QUERIES
from cvgl.ingestion.entries import Listing


@dataclass(frozen=True, slots=True)
class Part:
    """A folder of a release, or a list in it.

    Attributes:
        name: path below the source; of a list, the name under which its reader counts it.
        images: how many are published; rows of a list.
        places: how many are published.
        optional: whether a copy is complete for what the field measures without it.
    """

    name: str
    images: int | None
    locations: int | None = None
    optional: bool = False


class State(StrEnum):
    """How a part of a copy compares to the published one."""

    RIGHT = "right"
    WRONG = "wrong"  # there, with another number of images or places
    MISSING = "missing"
    ABSENT = "absent"  # missing, and needed by no published figure of the paper
    UNCHECKED = "unchecked"  # there, and no source says how many it should have


@dataclass(frozen=True, slots=True)
class Count:
    """What a copy has of a part.

    Attributes:
        part: what is published.
        images, places: what is there.
    """

    part: Part
    images: int
    locations: int

    @property
    def state(self) -> State:
        if self.images == 0:
            return State.ABSENT if self.part.optional else State.MISSING
        if self.part.images is None:
            return State.UNCHECKED
        wrong_places = self.part.locations is not None and self.locations != self.part.locations
        return State.WRONG if self.images != self.part.images or wrong_places else State.RIGHT

    def __str__(self) -> str:
        def text(count: int, places: int | None) -> str:
            return f"{count:,}" + (f" images of {places:,} places" if self.part.locations is not None else "")

        there, published = text(self.images, self.locations), text(self.part.images or 0, self.part.locations)
        return f"{self.part.name} has {there} and should have {published}"


_TRAIN_1652 = (
    Part("train/drone", 37_854, 701),
    Part("train/satellite", 701, 701),
    Part("train/street", 11_663, optional=True),
    Part("train/google", None, optional=True),
)
_TEST_1652 = (
    Part("test/query_drone", 37_855, 701),
    Part("test/gallery_satellite", 951, 951),
    Part("test/query_satellite", 701, 701),
    Part("test/gallery_drone", 51_355, 951),
    Part("test/query_street", 2_579, 701, optional=True),
    Part("test/gallery_street", 2_921, 793, optional=True),
)
_DISTRACTORS = 167_486
WHOLE_GALLERY = 951 + _DISTRACTORS
"""Satellite images of University-160k's challenge: the right answers and the distractors, all under masked names."""
_CVACT_SMALL, _CVACT_LARGE = 35_532 + 8_884, 92_802
_SUES_SPLIT = (
    *(
        part
        for height in HEIGHTS
        for part in (
            Part(f"{TRAINING}/{height}/drone", 6_000, 120),
            Part(f"{TESTING}/{height}/query_drone", 4_000, 80),
            Part(f"{TESTING}/{height}/gallery_drone", 10_000, 200),
        )
    ),
    # Satellite images are the same ones for every height, and are listed for the first.
    Part(f"{TRAINING}/{HEIGHTS[0]}/satellite", 120, 120),
    Part(f"{TESTING}/{HEIGHTS[0]}/query_satellite", 80, 80),
    Part(f"{TESTING}/{HEIGHTS[0]}/gallery_satellite", 200, 200),
)

PUBLISHED: Mapping[Layout, tuple[Part, ...]] = {
    Layout.UNIVERSITY1652: (*_TRAIN_1652, *_TEST_1652),
    Layout.UNIVERSITY160K: (*_TRAIN_1652, *_TEST_1652, Part(GALLERY, _DISTRACTORS)),
    Layout.UNIVERSITY160K_OFFICIAL: (
        *_TRAIN_1652,
        Part(QUERIES, 37_855),
        Part(GALLERY, WHOLE_GALLERY),
        Part(NAMES, 37_855),
    ),
    Layout.CVUSA: (
        Part("splits/train-19zl.csv", 35_532),
        Part("splits/val-19zl.csv", 8_884),
        Part("bingmap/19", 35_532 + 8_884),
        Part("streetview/panos", 35_532 + 8_884),
    ),
    Layout.CVACT: (
        Part("trainSet", 35_532),
        Part("valSet", 8_884),
        Part("streetview", _CVACT_SMALL),
        Part("satview_polish", _CVACT_SMALL),
    ),
    Layout.CVACT_TEST: (
        Part("trainSet", 35_532, optional=True),
        Part("valSetAll", _CVACT_LARGE),
        Part("ANU_data_test/streetview", _CVACT_LARGE),
        Part("ANU_data_test/satview_polish", _CVACT_LARGE),
    ),
    Layout.SUES200: (Part(DRONE, 40_000, 200), Part(SATELLITE, 200, 200)),
    Layout.DENSEUAV: (
        Part("train/drone", 6_768, 2_256),
        Part("train/satellite", 13_536, 2_256),
        Part("test/query_drone", 2_331, 777),
        Part("test/gallery_satellite", 18_198, 3_033),
        Part("test/query_satellite", 4_662, 777, optional=True),
        Part("test/gallery_drone", 9_099, 3_033, optional=True),
    ),
}


def parts_of(listing: Listing) -> tuple[Part, ...]:
    """What is published of a listing's layout; of SUES-200 as it was arranged, if it was."""
    arranged = listing.layout is Layout.SUES200 and any(
        entry.path.relative_to(listing.source).parts[0] in (TRAINING, TESTING) for entry in listing.entries[:1]
    )
    return _SUES_SPLIT if arranged else PUBLISHED.get(listing.layout, ())


def count_parts(listing: Listing) -> list[Count]:
    """What a copy has of each published part, in the order in which they are published."""
    parts = parts_of(listing)
    found = {part.name: (listing.counts.get(part.name, 0), 0) for part in parts}
    folders = {part.name: _folders(part.name, listing.source) for part in parts if part.name not in listing.counts}
    images: dict[str, int] = {}
    places: dict[str, set[str | None]] = {}
    names = {folder: name for name, several in folders.items() for folder in several}
    for entry in listing.entries:
        name = next((names[above] for above in entry.path.parents if above in names), None)
        if name is not None:
            images[name] = images.get(name, 0) + 1
            places.setdefault(name, set()).add(entry.location_id)
    found |= {name: (count, len(places[name] - {None})) for name, count in images.items()}
    return [Count(part, *found[part.name]) for part in parts]


def _folders(name: str, source: Path) -> tuple[Path, ...]:
    """Where a part may lie: some keep University-160k's folders in test/, and CVACT's small set has a folder of its own."""
    return (source / name, source / "test" / name, source / "ANU_data_small" / name)


def release_difference(listing: Listing) -> str | None:
    """One sentence where a copy is not the published data set, None where it is or where nothing is published."""
    wrong = [count for count in count_parts(listing) if count.state in (State.WRONG, State.MISSING)]
    if not wrong:
        return None
    shown = "; ".join(map(str, wrong[:3])) + (f"; and {len(wrong) - 3} more" if len(wrong) > 3 else "")
    return f"not {listing.layout} as published: {shown} (cvgl doctor data {listing.source})"
