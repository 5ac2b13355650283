"""The images of a copy of a published data set, counted against the published numbers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cvgl.datasets.dataset import Part
from cvgl.datasets.registry import DATASETS
from cvgl.ingestion.entries import Listing


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
        """The comparison of what is there with what is published."""
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


def parts_of(listing: Listing) -> tuple[Part, ...]:
    """The published parts of a listing's layout, in the arrangement that it has."""
    dataset = DATASETS.get(listing.layout)
    if dataset is None:
        return ()
    return dataset.parts if dataset.parts_in is None else dataset.parts_in(listing)


def count_parts(listing: Listing) -> list[Count]:
    """What a copy has of each published part, in the order in which they are published."""
    parts = parts_of(listing)
    counts = {part.name: (listing.counts.get(part.name, 0), 0) for part in parts}
    folders = {part.name: _folders(part.name, listing.source) for part in parts if part.name not in listing.counts}
    images: dict[str, int] = {}
    places: dict[str, set[str | None]] = {}
    names = {folder: name for name, several in folders.items() for folder in several}
    for entry in listing.entries:
        name = next((names[above] for above in entry.path.parents if above in names), None)
        if name is not None:
            images[name] = images.get(name, 0) + 1
            places.setdefault(name, set()).add(entry.location_id)
    counts |= {name: (count, len(places[name] - {None})) for name, count in images.items()}
    return [Count(part, *counts[part.name]) for part in parts]


def _folders(name: str, source: Path) -> tuple[Path, ...]:
    """Where a part may lie: some keep University-160k's folders in test/, and CVACT's small set has a folder of its own."""
    return (source / name, source / "test" / name, source / "ANU_data_small" / name)


def release_difference(listing: Listing) -> str | None:
    """One sentence where a copy is not the published data set, None where it is or where nothing is published."""
    wrong = [count for count in count_parts(listing) if count.state in (State.WRONG, State.MISSING)]
    if not wrong:
        return None
    differences = "; ".join(map(str, wrong[:3])) + (f"; and {len(wrong) - 3} more" if len(wrong) > 3 else "")
    return f"not {listing.layout} as published: {differences} (cvgl doctor data {listing.source})"
