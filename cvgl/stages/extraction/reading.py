"""Reading the images that `extract` describes, and the record of those that cannot be read."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pyarrow as pa

from cvgl import schemas
from cvgl.config import AlignmentConfig
from cvgl.errors import DamagedError, DataError
from cvgl.features.alignment import Pass
from cvgl.features.embedding import prepare
from cvgl.hashing import image_id
from cvgl.imaging import MAX_PIXELS, opened_rgb
from cvgl.lake import write_parquet
from cvgl.types import Embedder, View

if TYPE_CHECKING:
    from cvgl.types import Float32Array


@dataclass(frozen=True, slots=True)
class Row:
    """What the images table says about an image, as far as it matters here."""

    COLUMNS: ClassVar[tuple[str, ...]] = ("image_id", "uri", "view", "width", "height")

    image_id: str
    uri: str
    view: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Prepared:
    """An image that is ready for the model; `values` is what `cvgl.features.embedding.prepare` gives."""

    image_id: str
    uri: str
    view: View
    values: Float32Array


@dataclass(frozen=True, slots=True)
class Failure:
    """An image without a descriptor.

    Attributes:
        reason: missing, unreadable, changed, undecodable or no_descriptor.
        detail: a sentence for a person.
    """

    uri: str
    reason: str
    detail: str


def read_and_prepare(
    row: Row, embedder: Embedder, alignment: AlignmentConfig, wanted: Sequence[Pass] | None = None
) -> Prepared | Failure:
    """Reads a file once, proves that it still is the ingested image, and prepares the model's inputs of it.

    Args:
        wanted: the passes; default: all that the settings ask for.
    """
    try:
        data = Path(row.uri).read_bytes()
    except FileNotFoundError:
        return Failure(row.uri, "missing", "the file has gone since it was ingested")
    except OSError as error:
        return Failure(row.uri, "unreadable", f"the file cannot be read: {error.strerror or error}")
    if image_id(data) != row.image_id:
        return Failure(row.uri, "changed", "the file has changed since it was ingested; ingest the source again")
    view = View(row.view)
    try:
        # Its size was accepted when it was ingested, and the content is the same. Other threads' images wait for memory until
        # the model's inputs are made of this one.
        with opened_rgb(data, max_pixels=max(MAX_PIXELS, row.width * row.height)) as image:
            return Prepared(row.image_id, row.uri, view, prepare(image, embedder, view, alignment, wanted))
    except DataError as error:
        return Failure(row.uri, "undecodable", error.what)
    except MemoryError:
        return Failure(row.uri, "undecodable", f"memory ran out while its {row.width} x {row.height} pixels were prepared")


def check_recoverable(images: Iterable[tuple[str, str]], damaged: Collection[Path], described: Collection[str]) -> None:
    """Makes sure that what damaged parts hold can be described again before they are given up.

    Args:
        images: ids and files of the dataset.
        damaged: the parts, whose own list of images cannot be relied on.
        described: ids of the images that sound parts hold.

    Raises:
        DamagedError: some images without a sound descriptor are gone, changed, or cannot be read.
    """
    lost = [(image_id, uri) for image_id, uri in images if image_id not in described]
    away = [uri for image, uri in lost if not _is_still(Path(uri), image)]
    if away:
        listed = ", ".join(away[:5]) + (f", and {len(away) - 5} more" if len(away) > 5 else "")
        raise DamagedError(
            f"descriptors are damaged, and {len(away)} of the {len(lost)} images without a sound one cannot be read again: "
            f"{listed}",
            where=", ".join(map(str, sorted(damaged))),
            fix="restore the files from a backup, or bring the images back; or move the damaged files away",
        )


def _is_still(path: Path, image: str) -> bool:
    """Whether a file holds the image that was ingested."""
    try:
        return image_id(path.read_bytes()) == image
    except OSError:
        return False


def record_failures(path: Path, failures: Sequence[Failure]) -> None:
    """Writes the failures of the latest extraction, sorted, or removes the record when there are none."""
    if not failures:
        path.unlink(missing_ok=True)
        return
    rows = sorted((asdict(failure) for failure in failures), key=lambda row: row["uri"])
    write_parquet(path, pa.Table.from_pylist(rows, schema=schemas.QUARANTINE), kind="quarantine")
