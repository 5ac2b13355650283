"""Consistency of a copy of a data set: locations that lack a view, and locations with an unusual number of images.

These checks need no published numbers, so they find a lost folder in one's own images, too.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cvgl.datasets.dataset import PublishedDataset
from cvgl.datasets.registry import DATASETS
from cvgl.datasets.sues200 import DRONE
from cvgl.ingestion.entries import Entry, Listing

MAX_EXAMPLES = 8  # examples of each finding


@dataclass(frozen=True, slots=True)
class Inconsistency:
    """Something that a copy contradicts itself in.

    Attributes:
        kind: missing or extra.
        text: one sentence.
        examples: places, the first few.
        count: of all of them.
        fix: what to do.
        certain: False where one's own images may well be so.
    """

    kind: str
    text: str
    examples: tuple[str, ...]
    count: int
    fix: str
    certain: bool = True


def find_inconsistencies(listing: Listing, exact: Sequence[str] = (), *, partial: bool = False) -> Iterator[Inconsistency]:
    """Goes through everything that a listing of images by place can contradict itself in.

    Args:
        listing: of a published layout; of other layouts there is nothing to check.
        exact: folders with as many images as published: nothing is wrong with how they are spread over places.
        partial: whether no published numbers tell that a whole folder is missing.
    """
    dataset = DATASETS.get(listing.layout)
    if dataset is None:
        return
    folders = _count_by_folder(listing, dataset)
    for folder, other in dataset.location_pairs:
        if folder not in folders or (other not in folders and not (partial and other in dataset.indispensable)):
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
    for folder in dict.fromkeys(dataset.even_folders):
        if folder in folders and folder not in exact:
            yield from _uneven(folder, folders[folder])


def _uneven(folder: str, images: Counter[tuple[str, str]]) -> Iterator[Inconsistency]:
    usual, _ = Counter(images.values()).most_common(1)[0]
    for kind, word, places in (
        ("missing", "fewer", sorted(location for location, count in images.items() if count < usual)),
        ("extra", "more", sorted(location for location, count in images.items() if count > usual)),
    ):
        if places:
            yield Inconsistency(
                kind,
                f"places of {folder} have {word} images than the usual {usual}",
                tuple(f"{'/'.join(filter(None, location))} ({images[location]})" for location in places[:MAX_EXAMPLES]),
                len(places),
                f"copy their folders in {folder} again",
                certain=False,
            )


def _count_by_folder(listing: Listing, dataset: PublishedDataset) -> dict[str, Counter[tuple[str, str]]]:
    """Images of each location, and at each height where folders say it, by the folder of its view."""
    wanted = {name for pair in dataset.location_pairs for name in pair} | set(dataset.even_folders)
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
