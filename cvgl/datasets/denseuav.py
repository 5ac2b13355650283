"""The layout of DenseUAV, whole or in part.

    train/{drone,satellite}/<place>/*                 H80.JPG, H90.JPG, H100.JPG; H80.tif, ..., H80_old.tif, ...
    test/{query,gallery}_{drone,satellite}/<place>/*
    Dense_GPS_ALL.txt, Dense_GPS_train.txt, ...       path E<longitude> N<latitude> height

The gallery holds all places, those to train on included. The folder's name is the place: a label.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from cvgl.config import Layout
from cvgl.datasets.dataset import Part, PublishedDataset
from cvgl.datasets.location_folders import INDISPENSABLE, TEST_PAIRS, TRAIN_PAIRS, Tree, list_tree
from cvgl.errors import DataError
from cvgl.geo import Position
from cvgl.ingestion.entries import Listing, Reason, RefusedError
from cvgl.ingestion.fields import geographic
from cvgl.ingestion.text_encoding import decode_text
from cvgl.ingestion.walking import has_side_file, is_system_file
from cvgl.types import Subset, View

TABLES = ("Dense_GPS_ALL.txt", "Dense_GPS_train.txt", "Dense_GPS_test.txt")
_VIEWS = {"drone": View.DRONE, "satellite": View.SATELLITE}
TREE = Tree(
    {
        "train": {name: (view, Subset.TRAIN) for name, view in _VIEWS.items()},
        "test": {
            f"{subset}_{name}": (view, subset) for subset in (Subset.QUERY, Subset.GALLERY) for name, view in _VIEWS.items()
        },
    },
    elsewhere=frozenset(TABLES),
)
_HEIGHT = re.compile(r"^H\d+(_old)?$")


def is_denseuav(root: Path) -> bool:
    """Whether the release's folders are there with its tables of positions, or with images named by their height."""
    if not TREE.holds(root):
        return False
    if any((root / name).is_file() for name in TABLES):
        return True
    try:
        return _first_is_named_by_height(root)
    except OSError:
        return False  # a folder without rights: its images are refused when they are listed


def _first_is_named_by_height(root: Path) -> bool:
    for part, names in TREE.roles.items():
        for name in names:
            folder = root / part / name
            place = min((path for path in folder.iterdir() if path.is_dir()), default=None) if folder.is_dir() else None
            first = min((path for path in place.iterdir() if not is_system_file(path.name)), default=None) if place else None
            if first is not None:
                return _HEIGHT.match(first.stem) is not None
    return False


def list_denseuav(root: Path) -> Listing:
    """Lists a DenseUAV folder; parts of the release that are absent are no error.

    Args:
        root: the folder that holds train/ and test/, resolved.

    Raises:
        DataError: a table of positions is there and is no text.
    """
    listing = Listing(Layout.DENSEUAV, root)
    list_tree(root, TREE, listing, _read_positions(root, listing))
    return listing


def _read_positions(root: Path, listing: Listing) -> Mapping[str, Position]:
    """Positions by place; what the first table says of a place counts."""
    positions: dict[str, Position] = {}
    for name in TABLES:
        path = root / name
        if not has_side_file(path, root, listing):
            continue
        try:
            lines = decode_text(path.read_bytes())[0].splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"the table cannot be read: {error}", where=path, fix="fetch it again") from error
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                place, position = _location_and_position(line)
            except RefusedError as refused:
                listing.refuse(f"{path}:{number}", refused.reason, refused.detail)
                continue
            positions.setdefault(place, position)
    if positions:
        listing.notes.append(f"the tables give the positions of {len(positions)} places")
    return positions


def _location_and_position(line: str) -> tuple[str, Position]:
    """Reads ``train/satellite/000001/H80.tif E120.38 N30.31 94.2``."""
    cells = line.replace("\\", "/").split()
    names = cells[0].split("/")
    east = next((cell for cell in cells[1:] if cell[:1] in "EW"), None)
    north = next((cell for cell in cells[1:] if cell[:1] in "NS"), None)
    if len(names) < 2 or east is None or north is None:
        raise RefusedError(Reason.BAD_ROW, "expected: path E<longitude> N<latitude> height")
    try:
        longitude = float(east[1:]) * (-1 if east[0] == "W" else 1)
        latitude = float(north[1:]) * (-1 if north[0] == "S" else 1)
    except ValueError as error:
        raise RefusedError(Reason.BAD_POSITION, f"'{east}' and '{north}' are no position") from error
    return names[-2], geographic(latitude, longitude)


_PAIRS = (*TRAIN_PAIRS, *TEST_PAIRS)
DATASET = PublishedDataset(
    layout=Layout.DENSEUAV,
    sign="it holds train/ or test/ with Dense_GPS_*.txt, or with images named by their height",
    recognises=is_denseuav,
    read=list_denseuav,
    protocol="denseuav",
    # The README of the data set's repository.
    parts=(
        Part("train/drone", 6_768, 2_256),
        Part("train/satellite", 13_536, 2_256),
        Part("test/query_drone", 2_331, 777),
        Part("test/gallery_satellite", 18_198, 3_033),
        Part("test/query_satellite", 4_662, 777, optional=True),
        Part("test/gallery_drone", 9_099, 3_033, optional=True),
    ),
    location_pairs=_PAIRS,
    indispensable=INDISPENSABLE,
    even_folders=tuple(name for pair in _PAIRS for name in pair),
)
