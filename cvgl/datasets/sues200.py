"""The layout of SUES-200, whole or in part, as released and as its benchmark's script arranges it.

    drone_view_512/<place>/<height>/*.jpg             50 images at each of 150, 200, 250 and 300 m
    satellite-view/<place>/0.png
    indexs.yaml                                       the places to train on, where it was put there; else the published ones

    Training/<height>/{drone,satellite}/<place>/*
    Testing/<height>/{query,gallery}_{drone,satellite}/<place>/*

The benchmark searches all 200 places, those to train on included. The folder's name is the place: a label.
"""

from __future__ import annotations

import re
from pathlib import Path

from cvgl.config import Layout
from cvgl.datasets.dataset import Part, PublishedDataset
from cvgl.datasets.location_folders import is_image
from cvgl.errors import DataError
from cvgl.ingestion.entries import Entry, Listing, Reason
from cvgl.ingestion.text_encoding import decode_text
from cvgl.ingestion.walking import entries_of, files_below, has_side_file
from cvgl.types import Subset, View

DRONE, SATELLITE, TRAINING, TESTING, INDEX = "drone_view_512", "satellite-view", "Training", "Testing", "indexs.yaml"
HEIGHTS = ("150", "200", "250", "300")
# The 120 places to train on that the benchmark publishes as indexs.yaml; the other 80 are asked for. As first and last ones.
_RUNS = (
    "1-7 9-11 13 15-16 20-21 24-34 36-37 39 43-45 51 55-58 60 64 66-67 69-70 73-74 76-77 80-82 84-91 94 96-97 100-106 113 "
    "116 118-120 123 125-127 129 132 134 137 139 141-142 145-149 151-152 155-160 163 166-169 171 174 179-180 182-187 191-193 "
    "196-200"
)
_SPLIT_ROLES = {
    TRAINING: {"drone": (View.DRONE, Subset.TRAIN), "satellite": (View.SATELLITE, Subset.TRAIN)},
    TESTING: {
        "query_drone": (View.DRONE, Subset.QUERY),
        "query_satellite": (View.SATELLITE, Subset.QUERY),
        "gallery_drone": (View.DRONE, Subset.GALLERY),
        "gallery_satellite": (View.SATELLITE, Subset.GALLERY),
    },
}


def _published() -> frozenset[str]:
    numbers: set[int] = set()
    for run in _RUNS.split():
        first, _, last = run.partition("-")
        numbers.update(range(int(first), int(last or first) + 1))
    return frozenset(f"{number:04d}" for number in numbers)


TRAINING_LOCATIONS = _published()


def is_sues200(root: Path) -> bool:
    """Whether drone images lie in folders of heights, as released or as arranged."""
    if (root / DRONE).is_dir():
        return True
    return any((root / part / height).is_dir() for part in _SPLIT_ROLES for height in HEIGHTS)


def list_sues200(root: Path) -> Listing:
    """Lists SUES-200. Where it is there as released, what a script has arranged from it is passed over.

    Args:
        root: the folder that holds the views' folders, resolved.

    Raises:
        DataError: the list of places to train on cannot be read.
    """
    listing = Listing(Layout.SUES200, root)
    as_released = (root / DRONE).is_dir() or (root / SATELLITE).is_dir()
    folder_names = {DRONE, SATELLITE} if as_released else set(_SPLIT_ROLES)
    # The published list counts where the one that is there may not be opened.
    own = has_side_file(root / INDEX, root, listing)
    training = (training_locations(root) if own else TRAINING_LOCATIONS) if as_released else frozenset()
    for entry in entries_of(root, root, listing):
        folder = Path(entry.path)
        if not entry.is_dir():
            if entry.name != INDEX:
                listing.notes.append(f"{entry.name} was passed over")
        elif entry.name not in folder_names:
            if entry.name in _SPLIT_ROLES:
                listing.notes.append(f"{entry.name} was passed over: it holds the same images once more")
            else:
                listing.refuse(
                    folder, Reason.UNKNOWN_FOLDER, f"the layout has no such folder; known are {', '.join(folder_names)}"
                )
        elif as_released:
            _list_released(folder, root, training, listing)
        else:
            _list_arranged(folder, root, listing)
    return listing


def training_locations(root: Path) -> frozenset[str]:
    """The places to train on: those of the list beside the images, else the published ones.

    Raises:
        DataError: the list is there and holds no places.
    """
    path = root / INDEX
    if not path.is_file():
        return TRAINING_LOCATIONS
    try:
        locations = frozenset(re.findall(r"^\s*-\s*[\"']?(\d+)[\"']?\s*$", decode_text(path.read_bytes())[0], re.MULTILINE))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the list of places cannot be read: {error}", where=path, fix="fetch it again") from error
    if not locations:
        raise DataError("the list names no place", where=path, fix='fetch it again; its lines look like: - "0001"')
    return locations


def height_of(path: Path) -> str | None:
    """At how many metres a drone image was taken, by the folders that it lies in; None where they do not say."""
    return next((name for name in reversed(path.parts[:-1]) if name in HEIGHTS), None)


def at_height(listing: Listing, height: int) -> Listing:
    """Leaves out the drone images taken at other heights.

    Raises:
        DataError: SUES-200 has no such height.
    """
    if str(height) not in HEIGHTS:
        heights = ", ".join(HEIGHTS)
        raise DataError(f"SUES-200 has no images at {height} m", where="height", fix=f"give one of {heights}")
    listing.entries = [
        entry
        for entry in listing.entries
        if entry.view is not View.DRONE or height_of(entry.path.relative_to(listing.source)) == str(height)
    ]
    return listing


def _list_released(folder: Path, root: Path, training: frozenset[str], listing: Listing) -> None:
    view, depth = (View.DRONE, 3) if folder.name == DRONE else (View.SATELLITE, 2)
    shape = "<place>/<height>/" if view is View.DRONE else "<place>/"
    for path in files_below(folder, root, listing):
        names = path.relative_to(folder).parts
        if len(names) != depth or (view is View.DRONE and names[1] not in HEIGHTS):
            listing.refuse(path, Reason.MISPLACED, f"expected {folder.name}/{shape}{path.name}, heights {', '.join(HEIGHTS)}")
        elif is_image(path, listing):
            other = Subset.TRAIN if names[0] in training else Subset.QUERY
            listing.entries.append(Entry(path, view, (Subset.GALLERY, other), location_id=names[0]))


def _list_arranged(part: Path, root: Path, listing: Listing) -> None:
    """Satellite images lie under every height, the same ones; they are listed once."""
    roles = _SPLIT_ROLES[part.name]
    listed: set[tuple[str, ...]] = set()
    again = 0
    for path in files_below(part, root, listing):
        names = path.relative_to(part).parts
        if len(names) != 4 or names[0] not in HEIGHTS or names[1] not in roles:
            shape = f"{part.name}/<height>/<{'|'.join(roles)}>/<place>/{path.name}"
            listing.refuse(path, Reason.MISPLACED, f"expected {shape}")
            continue
        view, subset = roles[names[1]]
        if view is View.SATELLITE and names[1:] in listed:
            again += 1
            continue
        if is_image(path, listing):
            listed.add(names[1:])
            listing.entries.append(Entry(path, view, (subset,), location_id=names[2]))
    if again:
        listing.notes.append(f"{again} satellite images of {part.name} lie there once more for another height")


def _parts_in(listing: Listing) -> tuple[Part, ...]:
    first = listing.entries[0].path.relative_to(listing.source).parts[0] if listing.entries else ""
    return _ARRANGED_PARTS if first in (TRAINING, TESTING) else DATASET.parts


# 200 locations, 50 images at each of 4 heights, of which the benchmark trains on 120.
_ARRANGED_PARTS = (
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
_ARRANGED_PAIRS = tuple(
    pair
    for height in HEIGHTS
    for pair in (
        (f"{TRAINING}/{height}/drone", f"{TRAINING}/{HEIGHTS[0]}/satellite"),
        (f"{TESTING}/{height}/query_drone", f"{TESTING}/{HEIGHTS[0]}/gallery_satellite"),
        (f"{TESTING}/{height}/query_drone", f"{TESTING}/{height}/gallery_drone"),
    )
)
DATASET = PublishedDataset(
    layout=Layout.SUES200,
    sign=f"it holds {DRONE}/, or {TRAINING}/ or {TESTING}/ by height",
    recognises=is_sues200,
    read=list_sues200,
    protocol="sues200",
    parts=(Part(DRONE, 40_000, 200), Part(SATELLITE, 200, 200)),
    parts_in=_parts_in,
    location_pairs=((DRONE, SATELLITE), (SATELLITE, DRONE), *_ARRANGED_PAIRS),
    indispensable=frozenset(
        {DRONE, SATELLITE, f"{TRAINING}/{HEIGHTS[0]}/satellite", f"{TESTING}/{HEIGHTS[0]}/gallery_satellite"}
    ),
    even_folders=(DRONE, SATELLITE),
)
