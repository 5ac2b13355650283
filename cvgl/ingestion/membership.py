"""The images in a folder without a layout, selected by the rules of ingestion."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from cvgl.config import Layout
from cvgl.imaging import is_raw_suffix, kind_of_suffix
from cvgl.ingestion.entries import Listing
from cvgl.ingestion.georeference.sidecars import SIDECAR_SUFFIXES
from cvgl.ingestion.walking import IMAGE_SUFFIXES, files_below

# What cameras, flight apps and mapping programs put beside images, besides world files and projections.
_BESIDE = frozenset(
    {".csv", ".tsv", ".txt", ".json", ".geojson", ".xml", ".xmp", ".gpx", ".kml", ".kmz", ".srt", ".mrk", ".tel", ".log"}
    | {".tlog", ".nmea", ".pos", ".obs", ".nav", ".ubx", ".bin", ".rtk", ".rpos", ".imu", ".thm", ".aae", ".md", ".pdf"}
    | {".ini", ".cfg", ".yaml", ".yml", ".toml", ".db", ".dat", ".html", ".htm", ".zip", ".parquet", ".aux", ".msk", ".rrd"}
    | {".dbf", ".shp", ".shx", ".cpg", ".qgz", ".qgs", ".psx", ".p4d", ".wav", ".mp3", ".m4a", ".doc", ".docx", ".xls", ".xlsx"}
    | {".sha256", ".md5", ".py", ".sh", ".ovr", ".qml", ".lyr", ".sqlite", ".gpkg", ".mbtiles"}
)


@dataclass(frozen=True, slots=True)
class FolderImages:
    """What lies in a folder and below.

    Attributes:
        images: in the order of their paths.
        refused: files that are meant as images and cannot be used, and folders that cannot be read, with the reasons.
        beside: how many files of each ending were passed over, because they are about images and are none.
    """

    images: tuple[Path, ...] = ()
    refused: dict[Path, str] = field(default_factory=dict)
    beside: dict[str, int] = field(default_factory=dict)

    def note(self) -> str:
        """One sentence on what was passed over; empty where nothing was."""
        if not self.beside:
            return ""
        counts = ", ".join(f"{count} {ending}" for ending, count in sorted(self.beside.items()))
        return f"{sum(self.beside.values())} files beside the images were passed over: {counts}"


def list_images(folder: Path) -> FolderImages:
    """Looks through a folder, by the rules of ingestion (docs/how-to/ingestion.md, "What counts as an image").

    Hidden files and those of the operating system are passed over without a word. Links are followed inside the folder.
    """
    listing = Listing(Layout.FOLDER, folder)
    files = list(files_below(folder, folder.resolve(), listing))
    images = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    stems = {path.with_suffix("") for path in images}
    refused = {Path(refusal.uri): refusal.detail for refusal in listing.refusals}
    beside: Counter[str] = Counter()
    for path in files:
        suffix = path.suffix.lower()
        if suffix in IMAGE_SUFFIXES:
            continue
        kind = kind_of_suffix(suffix)
        is_twin = is_raw_suffix(suffix) and path.with_suffix("") in stems
        if suffix in SIDECAR_SUFFIXES | _BESIDE or is_twin or (kind is not None and kind.is_video):
            beside[suffix] += 1
        elif kind is not None:
            refused[path] = f"the file is {kind.name}, not an image: {kind.fix}"
        else:
            refused[path] = f"'{path.suffix}' is not the ending of an image"
    return FolderImages(tuple(images), refused, dict(beside))
