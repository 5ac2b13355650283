"""The layout of the University-1652 release, whole or in part.

    train/{drone,satellite,street,google}/<building>/*.jpg
    test/{query,gallery}_{drone,satellite,street}/<building>/*.jpg

The folder's name is the building: a label, which goes to the ground truth and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cvgl.config import Layout
from cvgl.datasets.entries import Entry, Listing, Reason
from cvgl.datasets.walking import PICTURE_SUFFIXES, entries_of, files_below
from cvgl.types import Subset, View

# "google" holds pictures from an image search for the building: street-level views of it.
_TRAIN = {"drone": View.DRONE, "satellite": View.SATELLITE, "street": View.GROUND, "google": View.GROUND}
_TEST = {"drone": View.DRONE, "satellite": View.SATELLITE, "street": View.GROUND}
FOLDERS: Mapping[str, Mapping[str, tuple[View, Subset]]] = {
    "train": {name: (view, Subset.TRAIN) for name, view in _TRAIN.items()},
    "test": {f"{subset}_{name}": (view, subset) for subset in (Subset.QUERY, Subset.GALLERY) for name, view in _TEST.items()},
}


def is_university1652(root: Path) -> bool:
    """Whether at least one of the release's folders is there."""
    return any((root / part / name).is_dir() for part, names in FOLDERS.items() for name in names)


def list_university1652(root: Path) -> Listing:
    """Lists a University-1652 folder; parts of the release that are absent are no error.

    Args:
        root: the folder that holds train/ and test/, resolved.
    """
    listing = Listing(Layout.UNIVERSITY1652, root)
    loose = []
    for part in entries_of(root, root, listing):
        if not part.is_dir():
            loose.append(part.name)
        elif part.name not in FOLDERS:
            _refuse_folder(Path(part.path), listing, FOLDERS)
        else:
            _list_part(Path(part.path), root, listing)
    if loose:
        listing.notes.append(f"files beside train/ and test/ were passed over: {', '.join(loose)}")
    return listing


def _list_part(part: Path, root: Path, listing: Listing) -> None:
    roles = FOLDERS[part.name]
    for entry in entries_of(part, root, listing):
        folder = Path(entry.path)
        if not entry.is_dir():
            listing.refuse(folder, Reason.MISPLACED, f"expected folders of views in {part.name}/, not files")
        elif entry.name not in roles:
            _refuse_folder(folder, listing, roles)
        else:
            view, subset = roles[entry.name]
            for path in files_below(folder, root, listing):
                _list_picture(path, folder, view, subset, listing)


def _list_picture(path: Path, folder: Path, view: View, subset: Subset, listing: Listing) -> None:
    place = path.relative_to(folder).parts
    if len(place) < 2:
        listing.refuse(
            path, Reason.MISPLACED, f"it lies in no building's folder; expected {folder.name}/<building>/{path.name}"
        )
    elif path.suffix.lower() not in PICTURE_SUFFIXES:
        listing.refuse(path, Reason.NOT_A_PICTURE, f"'{path.suffix}' is not the ending of a picture")
    else:
        listing.entries.append(Entry(path, view, (subset,), location_id=place[0]))


def _refuse_folder(folder: Path, listing: Listing, known: Mapping[str, object]) -> None:
    listing.refuse(folder, Reason.UNKNOWN_FOLDER, f"the layout has no such folder here; known are {', '.join(known)}")
