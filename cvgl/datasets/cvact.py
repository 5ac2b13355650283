"""The layout of CVACT, whole or in part.

    ACT_data.mat                                      panoIds; utm; trainSet, valSet, valSetAll: 1-based indices into panoIds
    ANU_data_small/streetview/<id>_grdView.jpg        training and validation pairs
    ANU_data_small/satview_polish/<id>_satView_polish.jpg
    ANU_data_test/...                                 test pairs, of which the validation pairs are a part

As the validation pairs are a part of the test pairs, one data set can only ask for one of them: the layout ``cvact`` asks for
the validation pairs and ``cvact-test`` for all of them. A pair's label is its panorama's id.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from cvgl.config import Layout
from cvgl.datasets.act_data import ActData, read_act_data
from cvgl.datasets.dataset import Part, PublishedDataset
from cvgl.datasets.pairs import TEST, TRAIN, Pair, list_pairs, refuse_unlisted
from cvgl.errors import DataError
from cvgl.ingestion.entries import Listing
from cvgl.ingestion.walking import has_side_file
from cvgl.types import Subset

MAT = "ACT_data.mat"
SMALL, LARGE = "ANU_data_small", "ANU_data_test"
GROUND, SATELLITE = "streetview", "satview_polish"


@dataclass(frozen=True, slots=True)
class _Part:
    split: str
    folder: str
    subsets: tuple[Subset, ...]


_PARTS = {
    Layout.CVACT: (_Part("trainSet", SMALL, TRAIN), _Part("valSet", SMALL, TEST)),
    Layout.CVACT_TEST: (_Part("trainSet", SMALL, TRAIN), _Part("valSetAll", LARGE, TEST)),
}


def is_cvact(root: Path) -> bool:
    """Whether training and validation images are there; without their folder of that name, the table has to be, too."""
    return (root / SMALL).is_dir() or ((root / MAT).is_file() and (root / SATELLITE).is_dir())


def is_cvact_test(root: Path) -> bool:
    """Whether test images are there alone."""
    return (root / LARGE).is_dir() and not is_cvact(root)


def list_cvact(root: Path) -> Listing:
    """Lists the training and the validation pairs.

    Args:
        root: the folder that holds ACT_data.mat, resolved. The images' folders may lie in it directly.

    Raises:
        DataError: the table is missing or cannot be read.
        MissingDependencyError: SciPy is not installed.
    """
    return _list(root, Layout.CVACT)


def list_cvact_test(root: Path) -> Listing:
    """Lists the test pairs, and the training pairs where they are there; arguments and errors are those of `list_cvact`."""
    return _list(root, Layout.CVACT_TEST)


def _list(root: Path, layout: Layout) -> Listing:
    if not (root / MAT).is_file():
        raise DataError(f"{MAT} is not there, which names CVACT's pairs", where=root, fix="fetch it and put it there")
    listing = Listing(layout, root)
    if not has_side_file(root / MAT, root, listing):
        raise DataError(listing.refusals[0].detail, where=root / MAT, fix="copy it into the source")
    data = read_act_data(root / MAT)
    listing.notes += data.notes
    folders: dict[str, str] = {}
    splits: list[Iterator[Pair]] = []
    for part in _PARTS[layout]:
        if layout is Layout.CVACT_TEST and part.subsets == TRAIN and not _holds(root, part.folder):
            listing.notes.append(f"{SMALL} is not there, so there are no training images")
            continue
        place = _folder(root, part.folder)
        folders[place] = part.folder
        splits.append(_pairs(data, part, place))
    list_pairs(chain.from_iterable(splits), root, listing)
    for place, folder in folders.items():
        # In a data set that asks for the test pairs, the validation pairs' small images are known and not used.
        used_elsewhere = data.ids("valSet") if folder == SMALL else ()
        refuse_unlisted(
            {f"{place}{GROUND}": "panorama", f"{place}{SATELLITE}": "satellite image"},
            root,
            listing,
            [name for pano_id in used_elsewhere for name in _names(place, pano_id)],
        )
    return listing


def _holds(root: Path, folder: str) -> bool:
    return (root / folder).is_dir() or (folder == SMALL and (root / SATELLITE).is_dir())


def _folder(root: Path, folder: str) -> str:
    """What the images' paths start with: nothing where the small set was unpacked beside its table."""
    return "" if folder == SMALL and not (root / SMALL).is_dir() and (root / SATELLITE).is_dir() else f"{folder}/"


def _pairs(data: ActData, part: _Part, place: str) -> Iterator[Pair]:
    rows: Sequence[int] = data.rows(part.split)
    for number, row in enumerate(rows, start=1):
        ground, satellite = _names(place, data.pano_ids[row])
        position = data.position(row)
        yield Pair(
            part.split, data.pano_ids[row], ground, satellite, part.subsets, position, position, f"{MAT}:{part.split}:{number}"
        )


def _names(place: str, pano_id: str) -> tuple[str, str]:
    return f"{place}{GROUND}/{pano_id}_grdView.jpg", f"{place}{SATELLITE}/{pano_id}_satView_polish.jpg"


_TRAIN_PAIRS, _VALIDATION_PAIRS, _TEST_PAIRS = 35_532, 8_884, 92_802  # rows of the release's splits
DATASET = PublishedDataset(
    layout=Layout.CVACT,
    sign=f"it holds {SMALL}/, or {MAT} and {SATELLITE}/",
    recognises=is_cvact,
    read=list_cvact,
    protocol="cvact-val",
    parts=(
        Part("trainSet", _TRAIN_PAIRS),
        Part("valSet", _VALIDATION_PAIRS),
        Part(GROUND, _TRAIN_PAIRS + _VALIDATION_PAIRS),
        Part(SATELLITE, _TRAIN_PAIRS + _VALIDATION_PAIRS),
    ),
)
TEST_DATASET = PublishedDataset(
    layout=Layout.CVACT_TEST,
    sign=f"it holds {LARGE}/ and not {SMALL}/",
    recognises=is_cvact_test,
    read=list_cvact_test,
    protocol="cvact-test",
    parts=(
        Part("trainSet", _TRAIN_PAIRS, optional=True),
        Part("valSetAll", _TEST_PAIRS),
        Part(f"{LARGE}/{GROUND}", _TEST_PAIRS),
        Part(f"{LARGE}/{SATELLITE}", _TEST_PAIRS),
    ),
)
