"""What is known about files by their name, size and time, so that only new and changed ones are read.

The cache is no part of the lake's content: deleting it costs time and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, TypeAdapter, ValidationError

from cvgl.hashing import SHORT, sha256_bytes
from cvgl.ingestion.camera.record import Remark, ZoneSource
from cvgl.ingestion.entries import Georeference, PositionSource, Reason
from cvgl.lake import TEMPORARY_PREFIX, write_bytes

# Part of the files' names: raise it whenever the same bytes would be judged differently than before.
VERSION = 4


class Scan(BaseModel):
    """What was seen in one file. Without `reason` it is an image. Width and height are as stored, before turning."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    uri: str
    size: int = -1
    mtime_ns: int = -1
    image_id: str = ""
    width: int = 0
    height: int = 0
    turned: bool = False  # EXIF exchanges width and height
    blank: bool = False  # every pixel has the same colour
    latitude: float | None = None
    longitude: float | None = None
    position_source: PositionSource | None = None
    captured_at: AwareDatetime | None = None
    zone_source: ZoneSource | None = None
    utc_offset_s: int | None = None  # how far the camera's clock was ahead of UTC
    camera: str = ""
    remarks: tuple[Remark, ...] = ()  # what was dropped or interpreted of the camera's fields
    raster: Georeference | None = None  # what a GeoTIFF or GeoJP2 says of where it lies
    stored_size: tuple[int, int] | None = None  # where Pillow has turned a TIFF already; a transform is about it as stored
    pages: int = 0  # after the first, which is the one that counts
    reason: Reason | None = None
    detail: str = ""

    @property
    def is_lasting(self) -> bool:
        """Whether the same file would be judged the same tomorrow: not so when it could not be read at all."""
        return self.size >= 0


_SCANS = TypeAdapter(list[Scan])


class ScanCache:
    """Scans in files named by a hash of their content, one for each chunk that was read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._scans: dict[tuple[str, int, int], Scan] = {}
        for path in sorted(folder.glob(f"v{VERSION}-*.json")):
            if not path.name.startswith(TEMPORARY_PREFIX):
                self._remember(_read(path))

    def find(self, path: Path) -> Scan | None:
        """The scan of a file that still has the size and time that it had then, or None."""
        try:
            status = path.stat()
        except OSError:
            return None
        return self._scans.get((str(path), status.st_size, status.st_mtime_ns))

    def add(self, scans: Iterable[Scan]) -> None:
        """Remembers scans, on disk first."""
        lasting = [scan for scan in scans if scan.is_lasting]
        if not lasting:
            return
        data = _SCANS.dump_json(lasting, exclude_defaults=True)
        write_bytes(self.folder / f"v{VERSION}-{sha256_bytes(data)[:SHORT]}.json", data)
        self._remember(lasting)

    def _remember(self, scans: Iterable[Scan]) -> None:
        self._scans.update({(scan.uri, scan.size, scan.mtime_ns): scan for scan in scans})


def _read(path: Path) -> list[Scan]:
    try:
        return _SCANS.validate_json(path.read_bytes())
    except (ValidationError, OSError):
        return []  # a cache that cannot be read is an empty one
