"""Looking inside images, each read once: content hash, size, EXIF, georeference, and whether the last row decodes."""

from __future__ import annotations

import hashlib
import io
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cvgl import imaging
from cvgl.hashing import IMAGE_ID_LENGTH
from cvgl.ingestion.attempts import Attempts, Key, key_of
from cvgl.ingestion.entries import Reason, RefusedError, printable
from cvgl.ingestion.exif import read_exif
from cvgl.ingestion.georeference.rasters import read_own
from cvgl.ingestion.isolation import scan_in_isolation
from cvgl.ingestion.scan_cache import Scan, ScanCache
from cvgl.types import Progress, silent

if TYPE_CHECKING:
    from PIL.Image import Image

CHUNK = 256  # images between two writes of the cache: what a killed process loses at most
_REASONS: Mapping[type[imaging.ImageError], Reason] = {
    imaging.NotAnImageError: Reason.NOT_AN_IMAGE,
    imaging.TooLargeImageError: Reason.TOO_LARGE,
    imaging.TruncatedImageError: Reason.TRUNCATED,
    imaging.DamagedImageError: Reason.DAMAGED,
}


def scan(paths: Sequence[Path], cache: ScanCache, max_pixels: int, progress: Progress = silent) -> dict[Path, Scan]:
    """Scans files, in threads; those that the cache knows by name, size and time are not opened.

    A large image that was being decoded when an earlier process died is looked at in a process of its own, and refused if
    that one dies, too.

    Args:
        paths: absolute paths; each is looked at once.
        cache: of earlier scans; takes the new ones.
        max_pixels: images with more are refused by their header.
        progress: told about scanned files.

    Returns:
        A scan for each path: an image's id and size, or the reason why it is none.
    """
    scans: dict[Path, Scan] = {}
    unknown: list[Path] = []
    for path in dict.fromkeys(paths):
        cached = cache.find(path)
        if cached is not None and cached.width * cached.height <= max_pixels:
            scans[path] = cached
        else:
            unknown.append(path)
    total = len(scans) + len(unknown)
    progress(len(scans), total, "reading images")
    attempts = Attempts(cache.folder / "attempts")
    suspects = attempts.left_behind()
    for path in [path for path in unknown if key_of(path) in suspects]:
        scans[path] = _scan_suspect(path, attempts, max_pixels)
        cache.add([scans[path]])
        progress(len(scans), total, "reading images")
    attempts.forget(suspects)
    for chunk in _scanned_chunks([path for path in unknown if path not in scans], max_pixels, attempts):
        cache.add(chunk.values())
        scans.update(chunk)
        progress(len(scans), total, "reading images")
    return scans


def _scan_suspect(path: Path, attempts: Attempts, max_pixels: int) -> Scan:
    """Looks at an image that was being decoded when a process died: in one of its own, unless that was one already."""
    key = key_of(path)
    if key is None:
        return scan_file(path, max_pixels)
    if not attempts.isolated[key]:
        with attempts.trying(key, isolated=True) as mark:
            mark(0, 0)
            scan = scan_in_isolation(path, max_pixels)
        if scan is not None:
            return scan
    return Scan(
        uri=key[0],
        size=key[1],
        mtime_ns=key[2],
        reason=Reason.KILLED_PROCESS,
        detail="the process that decoded it died of it; it is not tried again until the file changes",
    )


def _scanned_chunks(paths: Sequence[Path], max_pixels: int, attempts: Attempts | None = None) -> Iterator[dict[Path, Scan]]:
    # Decoding releases the interpreter's lock; a few threads more than cores hide a slow disk.
    with ThreadPoolExecutor(min(16, (os.cpu_count() or 1) + 2), thread_name_prefix="scan") as threads:
        for start in range(0, len(paths), CHUNK):
            chunk = paths[start : start + CHUNK]
            yield dict(zip(chunk, threads.map(lambda path: scan_file(path, max_pixels, attempts), chunk), strict=True))


def scan_files(paths: Sequence[Path], max_pixels: int, progress: Progress = silent) -> list[Scan]:
    """Reads files in threads, without a cache: for whoever wants to know how they are now."""
    scans: list[Scan] = []
    progress(0, len(paths), "reading images")
    for chunk in _scanned_chunks(paths, max_pixels):
        scans += chunk.values()
        progress(len(scans), len(paths), "reading images")
    return scans


def scan_file(path: Path, max_pixels: int, attempts: Attempts | None = None) -> Scan:
    """Reads one file. Never raises for anything that a file can do: the reason is in the scan.

    Args:
        path: absolute.
        max_pixels: refused by its header with more.
        attempts: where a large image is marked while it is decoded.
    """
    try:
        with _open(path) as stream:
            before = os.fstat(stream.fileno())
            scan = _look_inside(stream, before, path, max_pixels, attempts)
            after = os.fstat(stream.fileno())
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise RefusedError(Reason.CHANGING, "the file was being written while it was read; ingest again")
    except RefusedError as refused:
        return Scan(uri=str(path), reason=refused.reason, detail=refused.detail)
    except OSError as error:
        return Scan(uri=str(path), reason=Reason.UNREADABLE, detail=f"the file cannot be read: {error.strerror or error}")
    return scan


def _open(path: Path) -> io.BufferedReader:
    """Opens a regular file only: opening a pipe would wait for ever, and opening a device may do anything."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise RefusedError(Reason.MISSING, "the file does not exist") from error
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe, socket or device"
        raise RefusedError(Reason.NOT_A_FILE, f"this is {kind}, not a file")
    # O_NONBLOCK in case that the file became a pipe in between.
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb")


def _look_inside(
    stream: io.BufferedReader, status: os.stat_result, path: Path, max_pixels: int, attempts: Attempts | None
) -> Scan:
    place = {"uri": str(path), "size": status.st_size, "mtime_ns": status.st_mtime_ns}
    if status.st_size == 0:
        return Scan(**place, reason=Reason.EMPTY, detail="the file has no bytes")
    key: Key = (str(path), status.st_size, status.st_mtime_ns)
    try:
        with (
            nullcontext() if attempts is None else attempts.trying(key) as before,
            imaging.decoded(stream, max_pixels, path, before) as image,
        ):
            return _scan_of(image, stream, place)
    except imaging.ImageError as error:
        reason, detail = _REASONS[type(error)], error.what
    except MemoryError:
        reason, detail = Reason.TOO_LARGE, "memory ran out while it was read"
    # The verdict "too large" is about settings and the machine, so it is not kept: without size and time it matches no file.
    return Scan(**({"uri": str(path)} if reason is Reason.TOO_LARGE else place), reason=reason, detail=detail)


def _scan_of(image: Image, stream: io.BufferedReader, place: Mapping[str, Any]) -> Scan:
    record = read_exif(image, stream)
    header = read_own(stream)
    stream.seek(0)
    return Scan(
        **place,
        image_id=hashlib.file_digest(stream, "sha256").hexdigest()[:IMAGE_ID_LENGTH],
        width=image.width,
        height=image.height,
        turned=imaging.is_turned(image),
        blank=imaging.is_blank(image),
        latitude=record.position[0] if record.position else None,
        longitude=record.position[1] if record.position else None,
        position_source=record.position_source,
        captured_at=record.captured_at,
        zone_source=record.zone_source,
        utc_offset_s=None if record.utc_offset is None else round(record.utc_offset.total_seconds()),
        camera=printable(record.camera),
        remarks=record.remarks,
        raster=header.georeference,
        pages=header.pages,
        stored_size=header.size if header.size != (image.width, image.height) else None,
    )
