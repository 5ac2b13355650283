"""Summary of the positions of a source, one line a view: number, sources and CRS; and of the files that were skipped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cvgl.errors import DataError
from cvgl.geo import LOCAL_CRS, frame_of, to_wgs84
from cvgl.ingestion.entries import Listing, PositionSource
from cvgl.ingestion.merging import SourceImage
from cvgl.ingestion.scan_cache import Scan
from cvgl.types import View

MAX_EXAMPLES = 3
MAX_REMARKS = 8
DEGREES = "WGS 84 degrees"
UNKNOWN_SOURCE = "another_source"  # the position came with the same image from elsewhere
_NAMES: Mapping[str, str] = {
    PositionSource.TABLE: "table",
    PositionSource.WORLD_FILE: "world file",
    PositionSource.AUX_XML: ".aux.xml",
    PositionSource.GEOTIFF: "GeoTIFF",
    PositionSource.GEOJP2: "GeoJP2",
    PositionSource.EXIF: "EXIF",
    PositionSource.XMP: "XMP",
    PositionSource.DATASET: "the data set's own tables",
    UNKNOWN_SOURCE: "another source",
}
_MIN_NOTED_ACCURACY_M = 1.0  # a datum's accuracy below this is not worth a word
_MAX_CONVERTED = 1000  # positions of a CRS whose accuracy is looked at


@dataclass(frozen=True, slots=True)
class Remark:
    """Something about a number of images or files.

    Attributes:
        text: what, for a person.
        count: how many.
        examples: the first few names.
    """

    text: str
    count: int
    examples: tuple[str, ...]

    def __str__(self) -> str:
        more = ", ..." if self.count > len(self.examples) else ""
        return f"{self.count} {self.text} ({', '.join(self.examples)}{more})"


@dataclass(frozen=True, slots=True)
class ViewSummary:
    """The images of one view of a source.

    Attributes:
        view: which.
        images: how many.
        with_position: how many of them have one.
        sources: how many have it from what, the most frequent first.
        crs: how many have it in which CRS; "WGS 84 degrees" are latitude and longitude.
        accuracy: how right latitude and longitude from these CRSs are, where it is worth a word.
        remarks: what could have been a position and is none, or may be another than it seems.
    """

    view: View
    pictures: int
    with_position: int
    sources: Mapping[str, int]
    crs: Mapping[str, int]
    accuracy: tuple[str, ...] = ()
    remarks: tuple[Remark, ...] = ()

    def __str__(self) -> str:
        line = f"{self.view}: {self.with_position} of {self.pictures} images have a position"
        if self.with_position:
            line += f" ({', '.join(f'{_NAMES.get(name, name)} {count}' for name, count in self.sources.items())})"
            several = len(self.crs) > 1
            line += f" in {', '.join(f'{crs} ({count})' if several else crs for crs, count in self.crs.items())}"
        return "; ".join((line, *self.accuracy, *map(str, self.remarks)))

    def as_json(self) -> dict[str, Any]:
        """JSON-able values."""
        return {**asdict(self), "view": str(self.view)}


def as_json(summaries: Sequence[ViewSummary], passed: Sequence[Remark]) -> dict[str, Any]:
    """JSON-able values: a list of views, and one of what was passed over."""
    return {"views": [each.as_json() for each in summaries], "passed_over": [asdict(each) for each in passed]}


def summarise(images: Iterable[SourceImage], root: Path) -> tuple[ViewSummary, ...]:
    """One summary a view, in the order drone, ground, satellite.

    Args:
        images: of one source.
        root: that names in examples start from.
    """
    views: dict[View, list[SourceImage]] = {}
    for image in images:
        views.setdefault(image.view, []).append(image)
    return tuple(_of_view(view, views[view], root) for view in sorted(views))


def skipped_remarks(listing: Listing, scans: Mapping[Path, Scan]) -> tuple[Remark, ...]:
    """What a listing, and the scan of its images, did not look at, by kind."""
    kinds = dict(listing.skipped)
    pages = [str(entry.path) for entry in listing.entries if entry.path in scans and scans[entry.path].pages]
    if pages:
        kinds["with further pages, of which the first counts"] = pages
    return tuple(_remark(kind, names, source_folder(listing)) for kind, names in sorted(kinds.items()))


def source_folder(listing: Listing) -> Path:
    """The folder that names of a source start from."""
    return listing.source if listing.source.is_dir() else listing.source.parent


def summary_lines(summaries: Sequence[ViewSummary], passed: Sequence[Remark]) -> list[str]:
    """What a person reads: a line a view, and one of what was passed over."""
    return [*map(str, summaries), *([f"passed over: {'; '.join(map(str, passed))}"] if passed else [])]


def crs_label(crs: str) -> str:
    """A CRS in few words: its code, or the name in its WKT."""
    if crs == LOCAL_CRS or len(crs) <= 30:
        return crs
    try:
        return str(frame_of(crs).horizontal.name)
    except DataError:
        return f"{crs[:27]}..."


def _of_view(view: View, images: Sequence[SourceImage], root: Path) -> ViewSummary:
    placed = [image for image in images if image.position is not None]
    remarks: dict[str, list[str]] = {}
    for image in images:
        if image.remark:
            remarks.setdefault(image.remark, []).append(image.uri)
    by_crs: dict[str, list[SourceImage]] = {}
    for image in placed:
        by_crs.setdefault((image.position.crs if image.position else None) or DEGREES, []).append(image)
    return ViewSummary(
        view=view,
        pictures=len(images),
        with_position=len(placed),
        sources=_counted(str(image.position_source or UNKNOWN_SOURCE) for image in placed),
        crs=_counted(crs_label(crs) for crs, those in by_crs.items() for _ in those),
        accuracy=tuple(words for crs, those in sorted(by_crs.items()) if (words := _accuracy(crs, those))),
        remarks=_remarks(remarks, root),
    )


def _remarks(names: Mapping[str, list[str]], root: Path) -> tuple[Remark, ...]:
    """The most frequent ones; numbers in them can make each image's another."""
    ordered = sorted(names.items(), key=lambda item: (-len(item[1]), item[0]))
    remarks = [_remark(f"{_images(those)}: {text}", those, root) for text, those in ordered[:MAX_REMARKS]]
    others = [name for _, those in ordered[MAX_REMARKS:] for name in those]
    return (*remarks, *([_remark(f"{_images(others)}: something else about the position", others, root)] if others else []))


def _images(names: Sequence[str]) -> str:
    return "image" if len(names) == 1 else "images"


def _counted(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items(), key=lambda item: (-item[1], item[0])))


def _accuracy(crs: str, images: Sequence[SourceImage]) -> str:
    if crs in (DEGREES, LOCAL_CRS):
        return ""
    step = -(-len(images) // _MAX_CONVERTED)
    places = [image.position for image in images[::step] if image.position and image.position.latitude is None]
    positions = [(position.x, position.y) for position in places if position.x is not None and position.y is not None]
    if not positions:
        return ""
    try:
        converted = to_wgs84([x for x, _ in positions], [y for _, y in positions], crs)
    except DataError:
        return ""
    if converted.without_shift.any():
        return f"from {crs_label(crs)} no latitude and longitude are known"
    worst = max((float(each) for each in converted.accuracy_m if each == each), default=0.0)
    return f"latitude and longitude from {crs_label(crs)} are right to {worst:.0f} m" if worst >= _MIN_NOTED_ACCURACY_M else ""


def _remark(text: str, names: Sequence[str], root: Path) -> Remark:
    return Remark(text, len(names), tuple(name.removeprefix(f"{root}/") for name in names[:MAX_EXAMPLES]))
