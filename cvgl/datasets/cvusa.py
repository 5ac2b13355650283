"""The layout of CVUSA's subset with panoramas, whole or in part.

    splits/train-19zl.csv, splits/val-19zl.csv        rows of satellite image, panorama, annotation; no header
    bingmap/19/0000001.jpg                            satellite images
    streetview/panos/0000001.jpg                      panoramas
    polarmap/19/0000001.png                           satellite images in polar coordinates: derived, passed over
    split_locations/all.csv                           row n: latitude and longitude of the satellite image and the panorama n

A pair's label is the number in its file names.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

from cvgl.config import Layout
from cvgl.datasets.dataset import Part, PublishedDataset
from cvgl.datasets.pairs import TEST, TRAIN, Pair, list_pairs, refuse_unlisted
from cvgl.errors import DataError
from cvgl.geo import Position
from cvgl.ingestion.entries import Listing, Reason, RefusedError
from cvgl.ingestion.fields import geographic
from cvgl.ingestion.text_encoding import decode_text
from cvgl.ingestion.walking import has_side_file
from cvgl.types import Subset

SPLITS: Mapping[str, tuple[Subset, ...]] = {"splits/train-19zl.csv": TRAIN, "splits/val-19zl.csv": TEST}
SATELLITES, PANORAMAS = "bingmap/19", "streetview/panos"
POSITIONS = ("split_locations/all.csv", "splits/all.csv", "all.csv")
_PASSED_OVER = {
    "polarmap": "satellite images in polar coordinates, derived from bingmap/",
    "streetview/annotations": "what each pixel shows; not used",
}


def is_cvusa(root: Path) -> bool:
    """Whether one of the splits is there, or its satellite images: what then lacks is the splits, not the layout."""
    return any((root / name).is_file() for name in SPLITS) or (root / SATELLITES).is_dir()


def list_cvusa(root: Path) -> Listing:
    """Lists the pairs of both splits; a split that is absent is no error.

    Args:
        root: the folder that holds splits/, resolved.

    Raises:
        DataError: no split is there, or a table cannot be read.
    """
    listing = Listing(Layout.CVUSA, root)
    present = {name: subsets for name, subsets in SPLITS.items() if has_side_file(root / name, root, listing)}
    if not present and listing.refusals:
        raise DataError(listing.refusals[0].detail, where=listing.refusals[0].uri, fix="copy the splits into the source")
    if not present:
        raise DataError("neither of CVUSA's splits is there", where=root, fix=f"put {' and '.join(SPLITS)} there")
    positions = _read_positions(root, listing)
    splits = (_pairs(root, name, subsets, positions, listing) for name, subsets in present.items())
    list_pairs(chain.from_iterable(splits), root, listing)
    unplaced = sum(entry.position is None for entry in listing.entries)
    if positions and unplaced:
        listing.notes.append(f"{unplaced} images have no position: the table of positions has {len(positions)} rows")
    refuse_unlisted({SATELLITES: "satellite image", PANORAMAS: "panorama"}, root, listing)
    for name, why in _PASSED_OVER.items():
        if (root / name).is_dir():
            listing.notes.append(f"{name} was passed over: {why}")
    return listing


def _pairs(
    root: Path, split: str, subsets: tuple[Subset, ...], positions: Sequence[tuple[Position, Position] | None], listing: Listing
) -> Iterator[Pair]:
    for number, row in enumerate(_rows(root / split), start=1):
        label = f"{split}:{number}"
        cells = [cell.strip() for cell in row]
        if len(cells) < 2 or not all(cells[:2]):
            listing.refuse(label, Reason.BAD_ROW, "the row does not name a satellite image and a panorama")
            continue
        stems = [Path(cell).stem for cell in cells[:2]]
        if not stems[0].isdecimal() or stems[0] != stems[1]:
            listing.refuse(label, Reason.BAD_ROW, f"'{cells[0]}' and '{cells[1]}' are not named by one number, so are no pair")
            continue
        place = int(stems[0])
        satellite, ground = (positions[place - 1] if 0 < place <= len(positions) else None) or (None, None)
        yield Pair(split, str(place), cells[1], cells[0], subsets, ground, satellite, label)


def _read_positions(root: Path, listing: Listing) -> list[tuple[Position, Position] | None]:
    """Positions of satellite image and panorama by row; rows without sense are counted and leave a gap."""
    path = next((root / name for name in POSITIONS if has_side_file(root / name, root, listing)), None)
    if path is None:
        return []
    positions: list[tuple[Position, Position] | None] = []
    for row in _rows(path):
        try:
            numbers = [float(cell) for cell in row[:4]]
            positions.append((geographic(*numbers[:2]), geographic(*numbers[2:4])))
        except (ValueError, TypeError, RefusedError):
            positions.append(None)
    gaps = sum(position is None for position in positions)
    name = path.relative_to(root)
    listing.notes.append(f"{name} gives the positions of {len(positions) - gaps} pairs" + (f", {gaps} not" if gaps else ""))
    return positions


def _rows(path: Path) -> list[list[str]]:
    """The rows of a CSV without a header; empty ones are kept, for the row's number counts."""
    try:
        return list(csv.reader(io.StringIO(decode_text(path.read_bytes())[0], newline=""), strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"the table cannot be read: {error}", where=path, fix="fetch it again") from error


_TRAIN_PAIRS, _TEST_PAIRS = 35_532, 8_884  # rows of the release's splits
DATASET = PublishedDataset(
    layout=Layout.CVUSA,
    sign=f"it holds {', '.join(SPLITS)} or {SATELLITES}/",
    recognises=is_cvusa,
    read=list_cvusa,
    protocol="cvusa",
    parts=(
        Part("splits/train-19zl.csv", _TRAIN_PAIRS),
        Part("splits/val-19zl.csv", _TEST_PAIRS),
        Part(SATELLITES, _TRAIN_PAIRS + _TEST_PAIRS),
        Part(PANORAMAS, _TRAIN_PAIRS + _TEST_PAIRS),
    ),
)
