"""The layout of the University-1652 release, whole or in part.

    train/{drone,satellite,street,google}/<building>/*.jpg
    test/{query,gallery}_{drone,satellite,street}/<building>/*.jpg
    *.kml                                             positions of the buildings, where it was put beside train/ and test/
    new_name_list.txt                                 names of the buildings, one a line: 0000 Some Library

The folder's name is the building: a label, which goes to the ground truth and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cvgl.config import Layout
from cvgl.datasets.dataset import Part, PublishedDataset
from cvgl.datasets.kml import read_building_positions
from cvgl.datasets.location_folders import INDISPENSABLE, TEST_PAIRS, TRAIN_PAIRS, Roles, Tree, list_tree
from cvgl.geo import Position
from cvgl.ingestion.entries import Listing
from cvgl.ingestion.walking import has_side_file
from cvgl.types import Subset, View

# "google" holds images from an image search for the building: street-level views of it.
_TRAIN = {"drone": View.DRONE, "satellite": View.SATELLITE, "street": View.GROUND, "google": View.GROUND}
_TEST = {"drone": View.DRONE, "satellite": View.SATELLITE, "street": View.GROUND}
FOLDERS: Mapping[str, Roles] = {
    "train": {name: (view, Subset.TRAIN) for name, view in _TRAIN.items()},
    "test": {f"{subset}_{name}": (view, subset) for subset in (Subset.QUERY, Subset.GALLERY) for name, view in _TEST.items()},
}
TREE = Tree(FOLDERS, skipped={"test/4K_drone": "the same drone images once more, in 4K"})


def is_university1652(root: Path) -> bool:
    """Whether at least one of the release's folders is there."""
    return TREE.holds(root)


def list_university1652(root: Path) -> Listing:
    """Lists a University-1652 folder; parts of the release that are absent are no error.

    Args:
        root: the folder that holds train/ and test/, resolved.

    Raises:
        DataError: a KML file beside them cannot be read.
    """
    listing = Listing(Layout.UNIVERSITY1652, root)
    list_tree(root, TREE, listing, positions_beside(root, listing))
    return listing


def positions_beside(root: Path, listing: Listing) -> Mapping[str, Position]:
    """Positions by building, from every KML file beside the release's folders."""
    positions: dict[str, Position] = {}
    names = root / "new_name_list.txt"
    name_list = names if has_side_file(names, root, listing) else None
    for path in sorted(path for path in root.iterdir() if path.suffix.lower() == ".kml"):
        if not has_side_file(path, root, listing):
            continue
        building_positions, unknown = read_building_positions(path, name_list)
        positions.update(building_positions)
        listing.notes.append(f"{path.name} gives the positions of {len(building_positions)} buildings")
        if unknown:
            listing.notes.append(
                f"{unknown} places of {path.name} name no building: neither a number nor a name of new_name_list.txt"
            )
    return positions


# The README of the data set's repository.
TRAIN_PARTS = (
    Part("train/drone", 37_854, 701),
    Part("train/satellite", 701, 701),
    Part("train/street", 11_663, optional=True),
    Part("train/google", None, optional=True),
)
TEST_PARTS = (
    Part("test/query_drone", 37_855, 701),
    Part("test/gallery_satellite", 951, 951),
    Part("test/query_satellite", 701, 701),
    Part("test/gallery_drone", 51_355, 951),
    Part("test/query_street", 2_579, 701, optional=True),
    Part("test/gallery_street", 2_921, 793, optional=True),
)
DATASET = PublishedDataset(
    layout=Layout.UNIVERSITY1652,
    sign="it holds train/ or test/ with University-1652's folders of views",
    recognises=is_university1652,
    read=list_university1652,
    protocol="university1652-951",
    parts=(*TRAIN_PARTS, *TEST_PARTS),
    location_pairs=(*TRAIN_PAIRS, *TEST_PAIRS, ("test/query_street", "test/gallery_satellite")),
    indispensable=INDISPENSABLE,
    even_folders=("train/drone", "train/satellite", "test/query_drone", "test/gallery_drone", "test/gallery_satellite"),
)
