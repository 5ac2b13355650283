"""Folders of a view that hold one folder for each place, as University-1652 introduced them.

The folder's name is the place: a label, which goes to the ground truth and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from cvgl.geo import Position
from cvgl.ingestion.entries import Entry, Listing, PositionSource, Reason
from cvgl.ingestion.walking import IMAGE_SUFFIXES, entries_of, files_below
from cvgl.types import Subset, View

NO_POSITIONS: Mapping[str, Position] = MappingProxyType({})
Roles = Mapping[str, tuple[View, Subset]]

# Folders of the tree of which each location of the first must be in the second, and the second ones nothing works without.
TRAIN_PAIRS = (("train/drone", "train/satellite"), ("train/satellite", "train/drone"))
TEST_PAIRS = (
    ("test/query_drone", "test/gallery_satellite"),
    ("test/query_satellite", "test/gallery_drone"),
    ("test/query_satellite", "test/gallery_satellite"),
    ("test/query_drone", "test/gallery_drone"),
)
INDISPENSABLE = frozenset({"train/drone", "train/satellite", "test/gallery_satellite"})


@dataclass(frozen=True, slots=True)
class Tree:
    """Which folders of views there are in which parts of a release.

    Attributes:
        roles: for each part, e.g. ``"train"``, the view and role of each of its folders.
        passed_over: folders of the release, as ``part/folder``, that hold nothing of use here, and why.
        elsewhere: files and folders, as ``name`` or ``part/name``, that the layout's reader sees to itself.
    """

    roles: Mapping[str, Roles]
    skipped: Mapping[str, str] = field(default_factory=dict)
    elsewhere: frozenset[str] = frozenset()

    def holds(self, root: Path) -> bool:
        """Whether at least one of the folders is there."""
        return any((root / part / name).is_dir() for part, names in self.roles.items() for name in names)


def list_tree(root: Path, tree: Tree, listing: Listing, positions: Mapping[str, Position] = NO_POSITIONS) -> None:
    """Lists all parts of a release; parts that are absent are no error.

    Args:
        root: the folder that holds the parts, resolved.
        tree: the folders of the release.
        listing: takes the entries, refusals and notes.
        positions: of places, where the release says them.
    """
    loose = []
    for part in entries_of(root, root, listing):
        if part.name in tree.elsewhere:
            continue
        if not part.is_dir():
            loose.append(part.name)
        elif part.name not in tree.roles:
            _refuse_folder(Path(part.path), listing, tree.roles)
        else:
            _list_part(Path(part.path), root, tree, listing, positions)
    if loose:
        part_names = " and ".join(f"{part}/" for part in tree.roles)
        listing.notes.append(f"files beside {part_names} were passed over: {', '.join(loose)}")


def _list_part(part: Path, root: Path, tree: Tree, listing: Listing, positions: Mapping[str, Position]) -> None:
    roles = tree.roles[part.name]
    for entry in entries_of(part, root, listing):
        folder = Path(entry.path)
        name = f"{part.name}/{entry.name}"
        if name in tree.elsewhere:
            continue
        if not entry.is_dir():
            listing.refuse(folder, Reason.MISPLACED, f"expected folders of views in {part.name}/, not files")
        elif name in tree.skipped:
            listing.notes.append(f"{name} was passed over: {tree.skipped[name]}")
        elif entry.name not in roles:
            _refuse_folder(folder, listing, roles)
        else:
            view, subset = roles[entry.name]
            list_locations(folder, root, view, (subset,), listing, positions)


def list_locations(
    folder: Path,
    root: Path,
    view: View,
    subsets: tuple[Subset, ...],
    listing: Listing,
    positions: Mapping[str, Position] = NO_POSITIONS,
) -> None:
    """Lists one folder of a view.

    Args:
        folder: holds one folder for each place.
        root: what no link may leave, resolved.
        view: of all images.
        subsets: of all images.
        listing: takes the entries and refusals.
        positions: of locations, where the release says them.
    """
    for path in files_below(folder, root, listing):
        place = path.relative_to(folder).parts
        if len(place) < 2:
            listing.refuse(
                path, Reason.MISPLACED, f"it lies in no building's folder; expected {folder.name}/<building>/{path.name}"
            )
        elif is_image(path, listing):
            position = positions.get(place[0])
            origin = PositionSource.DATASET if position else None
            listing.entries.append(Entry(path, view, subsets, location_id=place[0], position=position, position_source=origin))


def list_unlabelled(folder: Path, root: Path, view: View, subsets: tuple[Subset, ...], listing: Listing) -> list[Path]:
    """Lists a folder of images of unknown places, however deep they lie, and gives their paths."""
    paths = [path for path in files_below(folder, root, listing) if is_image(path, listing)]
    listing.entries += [Entry(path, view, subsets) for path in paths]
    return paths


def is_image(path: Path, listing: Listing) -> bool:
    """Whether a file's name ends like an image's; if not, it is refused."""
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return True
    listing.refuse(path, Reason.NOT_AN_IMAGE, f"'{path.suffix}' is not the ending of an image")
    return False


def _refuse_folder(folder: Path, listing: Listing, names: Mapping[str, object]) -> None:
    listing.refuse(folder, Reason.UNKNOWN_FOLDER, f"the layout has no such folder here; known are {', '.join(names)}")
