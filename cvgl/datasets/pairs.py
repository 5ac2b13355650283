"""Releases that name their pairs of a street-level and a satellite image in a split: CVUSA and CVACT.

What a split names and is not there is refused as missing, one refusal a file: other readers leave such pairs out without a
word, and the gallery shrinks. The half that is there is taken in. What lies beside and no split names is refused, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cvgl.datasets.location_folders import is_image
from cvgl.geo import Position
from cvgl.ingestion.entries import Entry, Listing, PositionSource, Reason, RefusedError
from cvgl.ingestion.manifest import contained
from cvgl.ingestion.walking import files_below
from cvgl.types import Subset, View

TRAIN: tuple[Subset, ...] = (Subset.TRAIN,)
# The pairs of a test are asked for and searched, by direction.
TEST: tuple[Subset, ...] = (Subset.GALLERY, Subset.QUERY)


@dataclass(frozen=True, slots=True)
class Pair:
    """One row of a split.

    Attributes:
        split: the split's name.
        location_id: of the place that both show: a label.
        ground, satellite: paths from the root.
        subsets: what both are used for.
        ground_position, satellite_position: where the release says them.
        label: which row of which file this is.
    """

    split: str
    location_id: str
    ground: str
    satellite: str
    subsets: tuple[Subset, ...]
    ground_position: Position | None = None
    satellite_position: Position | None = None
    label: str = ""


def list_pairs(pairs: Iterable[Pair], root: Path, listing: Listing) -> None:
    """Lists both images of each pair that are there, and refuses those that are not.

    Args:
        pairs: of all splits. A pair that a second split names is refused there: what is learned from cannot be asked for.
        root: what no path may leave, resolved.
        listing: takes the entries, refusals and notes.
    """
    missing: dict[str, int] = {}
    folders = _Folders()
    first: dict[str, str] = {}
    for pair in pairs:
        listing.counts[pair.split] = listing.counts.get(pair.split, 0) + 1
        if pair.location_id in first:
            listing.refuse(pair.label, Reason.DUPLICATE, f"{first[pair.location_id]} names the same pair")
            continue
        first[pair.location_id] = pair.label
        halves = (
            (View.GROUND, pair.ground, pair.ground_position),
            (View.SATELLITE, pair.satellite, pair.satellite_position),
        )
        for view, name, position in halves:
            try:
                path = contained(name, root)
            except RefusedError as refused:
                listing.refuse(f"{pair.label}: {name}", refused.reason, refused.detail)
                continue
            if not folders.hold(path):
                missing[pair.split] = missing.get(pair.split, 0) + 1
                listing.refuse(path, Reason.MISSING, f"{pair.label} names it, and it is not there")
                continue
            origin = PositionSource.DATASET if position else None
            listing.entries.append(
                Entry(path, view, pair.subsets, location_id=pair.location_id, position=position, position_source=origin)
            )
    for split, count in missing.items():
        listing.notes.append(f"{count} images that {split} names are not there; the other half of their pairs is taken in")


class _Folders:
    """The names in each folder, read once: asking the disk for each of 200,000 files would take minutes."""

    def __init__(self) -> None:
        self._names: dict[Path, frozenset[str]] = {}

    def hold(self, path: Path) -> bool:
        folder = path.parent
        if folder not in self._names:
            try:
                self._names[folder] = frozenset(path_in_folder.name for path_in_folder in folder.iterdir())
            except OSError:  # not there, no folder, without rights, or a name longer than any
                self._names[folder] = frozenset()
        return path.name in self._names[folder]


def refuse_unlisted(folders: Mapping[str, str], root: Path, listing: Listing, otherwise: Iterable[str] = ()) -> None:
    """Refuses the images of some folders that no split names.

    Args:
        folders: paths from the root, and what an image in them is, for the refusal's sentence.
        root: what the paths start from, resolved.
        listing: of the images that splits name; takes the refusals.
        otherwise: names that are known although this listing does not use them.
    """
    listed = {entry.path for entry in listing.entries} | {root / name for name in otherwise}
    for name, description in folders.items():
        if not (root / name).is_dir():
            continue
        for path in files_below(root / name, root, listing):
            if path not in listed and is_image(path, listing):
                listing.refuse(path, Reason.UNLISTED, f"no split names this {description}")
