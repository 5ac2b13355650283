"""What a copy of a data set says about itself: places that lack a view, and places with another number of images than most.

These checks need no published numbers, so they find a lost folder in one's own images, too.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cvgl.config import Layout
from cvgl.datasets.sues200 import DRONE, HEIGHTS, SATELLITE, TESTING, TRAINING
from cvgl.ingestion.entries import Entry, Listing

MAX_EXAMPLES = 8  # examples of each finding


@dataclass(frozen=True, slots=True)
class Inconsistency:
    """Something that a copy contradicts itself in.

    Attributes:
        kind: missing or extra.
        what: one sentence.
        examples: places, the first few.
        count: of all of them.
        fix: what to do.
        certain: False where one's own images may well be so.
    """

    kind: str
    what: str
    examples: tuple[str, ...]
    count: int
    fix: str
    certain: bool = True


_QUERIES_TO_GALLERIES = (
    ("test/query_drone", "test/gallery_satellite"),
    ("test/query_satellite", "test/gallery_drone"),
    ("test/query_satellite", "test/gallery_satellite"),
    ("test/query_drone", "test/gallery_drone"),
)
_TREE = (("train/drone", "train/satellite"), ("train/satellite", "train/drone"), *_QUERIES_TO_GALLERIES)
_SUES_SPLIT = tuple(
    pair
    for height in HEIGHTS
    for pair in (
        (f"{TRAINING}/{height}/drone", f"{TRAINING}/150/satellite"),
        (f"{TESTING}/{height}/query_drone", f"{TESTING}/150/gallery_satellite"),
        (f"{TESTING}/{height}/query_drone", f"{TESTING}/{height}/gallery_drone"),
    )
)
# Every place of the first folder has to be in the second one, or it cannot be learned from, or has no right answer.
_NEEDS: Mapping[Layout, tuple[tuple[str, str], ...]] = {
    Layout.UNIVERSITY1652: (*_TREE, ("test/query_street", "test/gallery_satellite")),
    Layout.UNIVERSITY160K: _TREE,
    Layout.UNIVERSITY160K_OFFICIAL: (("train/drone", "train/satellite"), ("train/satellite", "train/drone")),
    Layout.SUES200: ((DRONE, SATELLITE), (SATELLITE, DRONE), *_SUES_SPLIT),
    Layout.DENSEUAV: _TREE,
}
# Folders without which nothing can be learned from, or found for, the images of the other view.
_INDISPENSABLE = frozenset(
    {"train/drone", "train/satellite", "test/gallery_satellite", DRONE, SATELLITE}
    | {f"{TRAINING}/150/satellite", f"{TESTING}/150/gallery_satellite"}
)
# Folders that hold the same number of images of every place.
_EVEN: Mapping[Layout, tuple[str, ...]] = {
    Layout.UNIVERSITY1652: (
        "train/drone",
        "train/satellite",
        "test/query_drone",
        "test/gallery_drone",
        "test/gallery_satellite",
    ),
    Layout.UNIVERSITY160K: ("train/drone", "test/query_drone", "test/gallery_drone", "test/gallery_satellite"),
    Layout.UNIVERSITY160K_OFFICIAL: ("train/drone",),
    Layout.SUES200: (DRONE, SATELLITE),
    Layout.DENSEUAV: tuple(name for pair in _TREE for name in pair),
}


def find_inconsistencies(listing: Listing, exact: Sequence[str] = (), *, partial: bool = False) -> Iterator[Inconsistency]:
    """Goes through everything that a listing of images by place can contradict itself in.

    Args:
        exact: folders with as many images as published: nothing is wrong with how they are spread over places.
        partial: whether no published numbers tell that a whole folder is missing.
    """
    folders = _by_folder(listing)
    for folder, other in _NEEDS.get(listing.layout, ()):
        if folder not in folders or (other not in folders and not (partial and other in _INDISPENSABLE)):
            continue
        lost = sorted({place for place, _ in folders[folder]} - {place for place, _ in folders.get(other, ())})
        if lost:
            yield Inconsistency(
                "missing",
                f"places of {folder} have no image in {other}",
                tuple(lost[:MAX_EXAMPLES]),
                len(lost),
                f"copy them to {other} again, or take them out of {folder}",
            )
    for folder in dict.fromkeys(_EVEN.get(listing.layout, ())):
        if folder in folders and folder not in exact:
            yield from _uneven(folder, folders[folder])


def _uneven(folder: str, images: Counter[tuple[str, str]]) -> Iterator[Inconsistency]:
    usual, _ = Counter(images.values()).most_common(1)[0]
    for kind, word, places in (
        ("missing", "fewer", sorted(one for one, count in images.items() if count < usual)),
        ("extra", "more", sorted(one for one, count in images.items() if count > usual)),
    ):
        if places:
            yield Inconsistency(
                kind,
                f"places of {folder} have {word} images than the usual {usual}",
                tuple(f"{'/'.join(filter(None, one))} ({images[one]})" for one in places[:MAX_EXAMPLES]),
                len(places),
                f"copy their folders in {folder} again",
                certain=False,
            )


def _by_folder(listing: Listing) -> dict[str, Counter[tuple[str, str]]]:
    """Images of each place, and at each height where folders say it, by the folder of its view."""
    wanted = {name for pair in _NEEDS.get(listing.layout, ()) for name in pair} | set(_EVEN.get(listing.layout, ()))
    folders: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    if not wanted:
        return folders
    for entry in listing.entries:
        names = entry.path.relative_to(listing.source)
        folder = next((str(above) for above in names.parents if str(above) in wanted), None)
        if folder is not None and entry.location_id is not None:
            folders[folder][entry.location_id, _height(entry, names, folder)] += 1
    return folders


def _height(entry: Entry, names: Path, folder: str) -> str:
    return names.parts[2] if folder == DRONE and len(names.parts) > 3 else ""
