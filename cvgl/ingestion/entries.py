"""Entries of a source as its layout lists them, before files are opened, and the names that are refused at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TypeAlias

from cvgl.config import Layout
from cvgl.geo import Position
from cvgl.types import Subset, View

Transform: TypeAlias = tuple[float, float, float, float, float, float]


class Reason(StrEnum):
    """Why something was refused; one word for counting. `docs/how-to/ingestion.md` says what to do about each."""

    EMPTY = "empty"
    NOT_AN_IMAGE = "not_a_picture"
    DAMAGED = "damaged"
    TRUNCATED = "truncated"
    TOO_LARGE = "too_large"
    KILLED_PROCESS = "killed_process"
    UNREADABLE = "unreadable"
    NOT_A_FILE = "not_a_file"
    MISSING = "missing"
    CHANGING = "changing"
    OUTSIDE_ROOT = "outside_root"
    BAD_NAME = "bad_name"
    DUPLICATE = "duplicate"
    CONFLICTING_VIEW = "conflicting_view"
    CONFLICTING_LOCATION = "conflicting_location"
    CONFLICTING_POSITION = "conflicting_position"
    AMBIGUOUS = "ambiguous"
    BAD_POSITION = "bad_position"
    BAD_TIME = "bad_time"
    BAD_ROW = "bad_row"
    UNKNOWN_VIEW = "unknown_view"
    UNKNOWN_SUBSET = "unknown_subset"
    UNKNOWN_FOLDER = "unknown_folder"
    MISPLACED = "misplaced"
    UNLISTED = "unlisted"
    # Not a refusal: what was refused under this name earlier has been mended, accepted or taken away since.
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row of the quarantine."""

    uri: str
    reason: Reason
    detail: str
    view: View | None = None  # of the image, where it is known; no column of the table


class PositionSource(StrEnum):
    """Which file the position of an image was read from."""

    MANIFEST = "manifest"
    TABLE = "table"  # positions.csv or <view>.csv beside the images
    WORLD_FILE = "world_file"
    AUX_XML = "aux_xml"  # GDAL's file beside an image
    GEOTIFF = "geotiff"
    GEOJP2 = "geojp2"  # the same tags in a JPEG 2000
    EXIF = "exif"
    XMP = "xmp"
    DATASET = "dataset"  # a published data set's own tables, lists and KML files


class RefusedError(Exception):
    """Ends the treatment of one image or row; turned into a `Refusal` by whoever knows its name."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class WorldFile:
    """Six numbers that place an image's pixels on a map: x = a column + b row + c, y = d column + e row + f."""

    a: float
    d: float
    b: float
    e: float
    c: float
    f: float
    crs: str

    def centre(self, width: int, height: int) -> tuple[float, float]:
        """Coordinates x and y of the middle of an image; (c, f) is the middle of its first pixel."""
        column, row = (width - 1) / 2, (height - 1) / 2
        return self.a * column + self.b * row + self.c, self.d * column + self.e * row + self.f


@dataclass(frozen=True, slots=True)
class Georeference:
    """What a raster, or a `.aux.xml` beside it, says of where it lies.

    Attributes:
        source: which of them.
        transform: a, b, c, d, e, f of x = a column + b row + c, y = d column + e row + f, where (0, 0) is the outer corner of
            the first pixel; None where nothing is said.
        crs: of x and y; None where nothing is said.
        problem: why it cannot be used, for a person; empty where it can.
    """

    source: PositionSource
    transform: Transform | None = None
    crs: str | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """An image as its layout describes it, before anybody has looked inside.

    Attributes:
        path: absolute; not resolved, so that it is the name that the user gave.
        subsets: empty where the layout does not say; see `with_default_subsets`.
        position_source: what `position` or `world_file` was read from; None where neither is set.
        georeference: what a `.aux.xml` beside the image says.
        projection: the text of the `.prj` beside it.
        side_problem: why the files beside it could not be used, where the image may say itself where it lies.
        from_raster: whether the position in a GeoTIFF's own tags counts where the layout gives none.
        from_camera: whether the position and time in the image's EXIF count where the layout gives none.
        label: how to name this entry in a refusal when the path alone would be ambiguous.
    """

    path: Path
    view: View
    subsets: tuple[Subset, ...] = ()
    location_id: str | None = None
    position: Position | None = None
    world_file: WorldFile | None = None
    captured_at: datetime | None = None
    sequence: str | None = None
    from_camera: bool = False
    label: str = ""
    position_source: PositionSource | None = None
    georeference: Georeference | None = None
    projection: str | None = None
    side_problem: str = ""
    from_raster: bool = False


@dataclass(slots=True)
class Listing:
    """Everything that a layout found.

    Attributes:
        notes: for a person: what was ignored, and how the source was understood.
        warnings: for a person: what makes figures from this source worth nothing.
        counts: of what is no folder of images, by name: rows of a split, names of a list.
        skipped: names of what was not examined, by kind.
    """

    layout: Layout
    source: Path
    entries: list[Entry] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, list[str]] = field(default_factory=dict)

    def skip(self, kind: str, path: Path | str) -> None:
        """Remembers something that is not looked at, for the summary."""
        self.skipped.setdefault(kind, []).append(printable(path))

    def refuse(self, name: Path | str, reason: Reason, detail: str, view: View | None = None) -> None:
        """Adds a refusal."""
        self.refusals.append(Refusal(printable(name), reason, printable(detail), view))


def printable(name: Path | str) -> str:
    """A name as text that every file format can hold: bytes that are not UTF-8 are written as escapes."""
    return str(name).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def with_default_subsets(entries: Iterable[Entry]) -> list[Entry]:
    """Gives a role to each image whose layout names none.

    References are searched and everything else is asked for; all of it serves adaptation, which needs no labels. Where
    labels say which images belong together, the other direction is evaluated as well: labelled queries are searched,
    and references that some query shows are asked for.
    """
    entries = list(entries)
    query_locations = {entry.location_id for entry in entries if not entry.view.is_reference} - {None}

    def roles(entry: Entry) -> tuple[Subset, ...]:
        if entry.subsets:
            return entry.subsets
        if entry.location_id in query_locations:
            return (Subset.GALLERY, Subset.QUERY, Subset.TRAIN)
        return (Subset.GALLERY if entry.view.is_reference else Subset.QUERY, Subset.TRAIN)

    return [replace(entry, subsets=roles(entry)) for entry in entries]
