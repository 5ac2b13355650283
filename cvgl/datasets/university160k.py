"""University-160k: the drone images of University-1652's test against a gallery with 167,486 more satellite images.

Where labels are known, as the paper's released code measures ("local"):

    train/..., test/...                               University-1652
    [test/]gallery_satellite_160k/*                   the distractors, without labels

The challenge ("official"), where every name is masked and an answer file is handed in:

    [test/]query_drone_160k/*                         without labels
    [test/]gallery_satellite_160k/*
    [test/]query_drone_name.txt                       the queries in the order in which they are to be answered

Training images are University-1652's in both.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cvgl.config import Layout
from cvgl.datasets.dataset import Part, PublishedDataset
from cvgl.datasets.location_folders import INDISPENSABLE, TEST_PAIRS, TRAIN_PAIRS, list_tree, list_unlabelled
from cvgl.datasets.university1652 import TEST_PARTS, TRAIN_PARTS, TREE, positions_beside
from cvgl.errors import DataError
from cvgl.ingestion.entries import Listing, Reason, RefusedError
from cvgl.ingestion.text_encoding import decode_text
from cvgl.ingestion.walking import check_side_file, has_side_file
from cvgl.types import Subset, View

GALLERY, QUERIES, NAMES = "gallery_satellite_160k", "query_drone_160k", "query_drone_name.txt"
_OWN = frozenset({GALLERY, QUERIES, NAMES, f"test/{GALLERY}", f"test/{QUERIES}", f"test/{NAMES}"})
_TREE = replace(TREE, elsewhere=_OWN)


def is_university160k(root: Path) -> bool:
    """Whether the distractors lie beside University-1652's labelled queries."""
    return find_part(root, GALLERY) is not None and (root / "test" / "query_drone").is_dir()


def is_university160k_official(root: Path) -> bool:
    """Whether the challenge's masked queries or gallery are there, and no labelled queries."""
    masked = find_part(root, QUERIES) is not None or find_part(root, GALLERY) is not None
    return masked and not (root / "test" / "query_drone").is_dir()


def find_part(root: Path, name: str) -> Path | None:
    """A folder or file of University-160k, which some keep in test/."""
    return next((path for path in (root / name, root / "test" / name) if path.exists()), None)


def list_university160k(root: Path) -> Listing:
    """Lists the labelled variant.

    Args:
        root: the folder that holds train/ and test/, resolved.

    Raises:
        DataError: a KML file beside them cannot be read.
    """
    listing = Listing(Layout.UNIVERSITY160K, root)
    list_tree(root, _TREE, listing, positions_beside(root, listing))
    if find_part(root, QUERIES) is not None:
        listing.notes.append(f"{QUERIES} was passed over: the same queries are there with labels")
    _list_pool(root, GALLERY, View.SATELLITE, Subset.GALLERY, listing)
    return listing


def list_university160k_official(root: Path) -> Listing:
    """Lists the challenge. What its list of names asks for and is not there is refused as missing.

    Args:
        root: the folder that holds the challenge's folders, or test/ with them, resolved.

    Raises:
        DataError: a KML file beside them, or the list of names, cannot be read.
    """
    listing = Listing(Layout.UNIVERSITY160K_OFFICIAL, root)
    list_tree(root, _TREE, listing, positions_beside(root, listing))
    # No labelled test image may stand beside masked ones: its label would name the answer of the same masked image.
    labelled = [entry for entry in listing.entries if entry.subsets != (Subset.TRAIN,)]
    if labelled:
        listing.notes.append(f"{len(labelled)} labelled test images were passed over: in the challenge every name is masked")
        listing.entries = [entry for entry in listing.entries if entry.subsets == (Subset.TRAIN,)]
    _list_pool(root, GALLERY, View.SATELLITE, Subset.GALLERY, listing)
    queries = _list_pool(root, QUERIES, View.DRONE, Subset.QUERY, listing)
    _check_names(root, queries, listing)
    return listing


def read_query_names(root: Path) -> list[str]:
    """The queries' names in the order in which the challenge wants its answers; empty where no list is there.

    Raises:
        DataError: the list cannot be read, or is a link out of the folder.
    """
    path = find_part(root, NAMES)
    if path is None:
        return []
    try:
        check_side_file(path, root.resolve())
        return decode_text(path.read_bytes())[0].split()
    except RefusedError as refused:
        raise DataError(refused.detail, where=path, fix="copy the list into the folder") from refused
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the list of queries cannot be read: {error}", where=path, fix="fetch it again") from error


def _list_pool(root: Path, name: str, view: View, subset: Subset, listing: Listing) -> list[Path]:
    folder = find_part(root, name)
    if folder is None or not folder.is_dir():
        return []
    return list_unlabelled(folder, root, view, (subset,), listing)


def _check_names(root: Path, queries: list[Path], listing: Listing) -> None:
    path = find_part(root, NAMES)
    names = read_query_names(root) if path is not None and has_side_file(path, root, listing) else []
    listing.counts[NAMES] = len(names)
    if not names:
        return
    there = {path.name for path in queries}
    folder = find_part(root, QUERIES) or root / QUERIES
    for name in dict.fromkeys(names):
        if name not in there:
            listing.refuse(folder / name, Reason.MISSING, f"{NAMES} names it, and it is not there")
    unlisted = there - set(names)
    for path in queries:
        if path.name in unlisted:
            listing.refuse(path, Reason.UNLISTED, f"{NAMES} does not name it")
    listing.entries = [e for e in listing.entries if not (e.view is View.DRONE and e.path.name in unlisted)]


_DISTRACTORS = 167_486  # the challenge's page
WHOLE_GALLERY = 951 + _DISTRACTORS
"""Satellite images of the challenge: the right answers and the distractors, all under masked names."""
DATASET = PublishedDataset(
    layout=Layout.UNIVERSITY160K,
    sign=f"it holds test/query_drone/ and {GALLERY}/",
    recognises=is_university160k,
    read=list_university160k,
    protocol="university160k-local",
    parts=(*TRAIN_PARTS, *TEST_PARTS, Part(GALLERY, _DISTRACTORS)),
    location_pairs=(*TRAIN_PAIRS, *TEST_PAIRS),
    indispensable=INDISPENSABLE,
    even_folders=("train/drone", "test/query_drone", "test/gallery_drone", "test/gallery_satellite"),
)
OFFICIAL_DATASET = PublishedDataset(
    layout=Layout.UNIVERSITY160K_OFFICIAL,
    sign=f"it holds {QUERIES}/ or {GALLERY}/, and no labelled queries",
    recognises=is_university160k_official,
    read=list_university160k_official,
    protocol="university160k-official",
    parts=(*TRAIN_PARTS, Part(QUERIES, 37_855), Part(GALLERY, WHOLE_GALLERY), Part(NAMES, 37_855)),
    location_pairs=TRAIN_PAIRS,
    indispensable=INDISPENSABLE,
    even_folders=("train/drone",),
)
