"""One look at a source: what is new, what is complete, and the batches that close.

A file is pending from when it differs from what the batches so far have brought until a batch takes it. It is complete when
nothing about it has changed for the quiet time, or when a marker in a folder above it says so. Files under temporary names
do not exist for us. A batch closes when everything pending is complete, so that a folder that is being copied comes as one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from cvgl.arrival import batches, locks, watch_state
from cvgl.arrival.batches import Batch
from cvgl.arrival.credentials import ReadSecret, resolved
from cvgl.arrival.source import (
    Contents,
    Found,
    LocalSource,
    RemoteSource,
    Source,
    UnreachableError,
    open_source,
    too_many,
)
from cvgl.arrival.staging import ChangedError, Spool
from cvgl.arrival.watch_state import Known, Memory
from cvgl.config import ArrivalConfig, WatchConfig
from cvgl.errors import CvglError
from cvgl.hashing import sha256_file
from cvgl.ingestion.entries import Reason, printable
from cvgl.lake import Lake
from cvgl.types import Progress, silent

logger = logging.getLogger(__name__)
READERS = 4


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at a source came to.

    Attributes:
        location: of the source.
        listed: files that are there.
        closed: the batch that was put into the queue, if any.
        pending: files that are left for a later look.
        missing: files of earlier batches that are gone and are left for a later look.
        notes: what a person should know.
    """

    location: str
    listed: int
    closed: Batch | None = None
    pending: int = 0
    missing: int = 0
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Changes:
    """What differs from the batches so far."""

    fresh: dict[str, Found] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)


def look(
    config: ArrivalConfig,
    lake: Lake,
    progress: Progress = silent,
    clock: Callable[[], float] = time.time,
    read_secret: ReadSecret | None = None,
) -> Look:
    """Looks at the source once and closes at most one batch. Several watchers take turns.

    Args:
        config: the source, the dataset, and when a batch closes.
        progress: told how many files have been read.
        clock: seconds since 1970.
        read_secret: reads the secrets that the storage options name; see `cvgl.arrival.credentials`.

    Raises:
        ConfigError: a secret is not there.
        DataError: the source is missing or cannot be reached.
        LakeError: the record of a batch is damaged.
    """
    source = open_source(config.ingest.source, resolved(config.watch.storage_options, read_secret))
    dataset = config.dataset
    with locks.noticing(lake, dataset):
        remembered = watch_state.read(lake, dataset, source.location)
        contents = source.contents()
        notes = list(contents.problems)
        files, markers = _sorted_out(contents, config.watch)
        ledger = batches.ledger(lake, dataset, source.location)
        changes = _changes(files, ledger, remembered, contents, config.watch, notes)
        now = clock()
        _observe(remembered, changes, now)
        ready = _complete(remembered, markers, config.watch, now)
        watch_state.write(lake, dataset, source.location, remembered)
        complete = {name: changes.fresh[name] for name in sorted(ready & set(changes.fresh))}
        try:
            hashes, refused = _contents(source, complete, remembered, lake, dataset, progress)
        finally:
            watch_state.write(lake, dataset, source.location, remembered)  # what was read or copied need not be again
        notes += [f"{name}: {reason}" for name, reason in sorted(refused.items()) if name not in ledger]
        closed = _close(lake, dataset, source.location, hashes, refused, changes, ready, ledger)
        _forget(remembered, ready, hashes, files, markers)
        watch_state.write(lake, dataset, source.location, remembered)
    for note in notes:
        logger.warning(note)
    if closed is not None:
        logger.info("batch %s of %s: %d files came, %d went", closed.batch, dataset, closed.n_files, closed.n_removed)
    left = [name for name, pending in remembered.pending.items() if pending.stamp]
    return Look(source.location, len(files), closed, len(left), len(remembered.pending) - len(left), tuple(notes))


def _sorted_out(contents: Contents, config: WatchConfig) -> tuple[dict[str, Found], dict[str, Found]]:
    """Files that count, and markers."""
    files: dict[str, Found] = {}
    markers: dict[str, Found] = {}
    for name, file in contents.files.items():
        base = PurePosixPath(name).name
        if base == config.marker:
            markers[name] = file
        elif not base.lower().endswith(config.temporary_suffixes):
            files[name] = file
    return files, markers


def _changes(
    files: Mapping[str, Found],
    ledger: Mapping[str, str],
    remembered: Memory,
    contents: Contents,
    config: WatchConfig,
    notes: list[str],
) -> _Changes:
    changes = _Changes()
    for name, file in files.items():
        # A file whose content is known and has been brought already is not pending, whatever its time says.
        if name not in ledger or remembered.content(name, file) != ledger[name] or not ledger[name]:
            changes.fresh[name] = file
    gone = set(ledger) - set(files)
    if not contents.complete and gone:
        notes.append(f"{len(gone)} files are not seen, but not every folder can be read: none of them counts as deleted")
    elif too_many(len(gone), len(ledger), config):
        notes.append(
            f"{len(gone)} of {len(ledger)} files are missing, more than watch.largest_loss = {config.largest_loss:.0%} allows: "
            "none of them counts as deleted; is the disk mounted?"
        )
    else:
        changes.gone = gone
    return changes


def _observe(remembered: Memory, changes: _Changes, now: float) -> None:
    present = {**{name: file.stamp for name, file in changes.fresh.items()}, **dict.fromkeys(changes.gone, "")}
    changed_at: dict[str, float | None] = {name: file.changed_at for name, file in changes.fresh.items()}
    remembered.observe(present, changed_at, now)


def _complete(remembered: Memory, markers: Mapping[str, Found], config: WatchConfig, now: float) -> set[str]:
    """Names of what is pending that go into a batch now."""
    marked = [_folder(name) for name, marker in markers.items() if remembered.markers.get(name) != marker.stamp]
    ready = {name for name in remembered.pending if any(_is_below(name, folder) for folder in marked)}
    if config.quiet_seconds is None:
        return ready
    settled = {name for name, marker in remembered.pending.items() if now - marker.changed >= config.quiet_seconds}
    longest = max((now - marker.first for marker in remembered.pending.values()), default=0.0)
    if len(settled | ready) == len(remembered.pending) or longest >= config.longest_wait_seconds:
        ready |= settled
    return ready


def _folder(marker: str) -> str:
    return PurePosixPath(marker).parent.as_posix()


def _is_below(name: str, folder: str) -> bool:
    return folder == "." or name.startswith(f"{folder}/")


def _contents(
    source: Source, files: Mapping[str, Found], remembered: Memory, lake: Lake, dataset: str, progress: Progress
) -> tuple[dict[str, str], dict[str, str]]:
    """The content hash of each file that is really complete, also remembered; remote ones are in the spool then.

    And why a file cannot be had; its hash is empty.
    """
    spool = Spool.of(lake, dataset, source.location)
    refused = {name: file.problem for name, file in files.items() if file.problem}
    hashes = dict.fromkeys(refused, "")
    for name, file in files.items():
        content = remembered.content(name, file)
        if content and (isinstance(source, LocalSource) or spool.holds(content)):
            hashes[name] = content
    unread = {name: file for name, file in files.items() if name not in hashes}
    failures: dict[str, Exception] = {}
    for name, sha256 in _read(source, spool, unread, progress):
        if isinstance(sha256, Exception):
            failures[name] = sha256
        elif sha256 is not None:
            remembered.known[name] = Known(stamp=files[name].stamp, sha256=sha256)
            hashes[name] = sha256
    if failures:
        refused |= _refused(source, files, failures)
        hashes |= {name: "" for name in failures if name in refused}
    return hashes, refused


def _refused(source: Source, files: Mapping[str, Found], failures: Mapping[str, Exception]) -> dict[str, str]:
    """Which files cannot be had although the source is there, with the reason; a later look tries again.

    Raises:
        UnreachableError: the source is not there now.
    """
    listed = source.contents().files
    still = {name for name in failures if name in listed and listed[name].stamp == files[name].stamp}
    return {name: _why(error) for name, error in failures.items() if name in still}


def _why(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{Reason.UNREADABLE}: it is listed, and nothing is there under its name; rename the object"
    if isinstance(error, PermissionError):
        return f"{Reason.UNREADABLE}: it must not be read; give the right to"
    return f"{Reason.UNREADABLE}: {error.what if isinstance(error, CvglError) else printable(str(error))}"


def _read(
    source: Source, spool: Spool, files: Mapping[str, Found], progress: Progress
) -> Iterator[tuple[str, str | Exception | None]]:
    """Each file with its hash, with what stands in the way, or with nothing where it is still being written."""

    def read(name: str) -> str | Exception | None:
        if isinstance(source, RemoteSource):
            return _fetched(source, spool, name, files[name])
        return _hashed(source, name, files[name]) if isinstance(source, LocalSource) else None

    with ThreadPoolExecutor(READERS, thread_name_prefix="arrival") as threads:
        for done, (name, came) in enumerate(zip(files, threads.map(read, files), strict=True), start=1):
            progress(done, len(files), "reading what has arrived")
            yield name, came


def _fetched(source: RemoteSource, spool: Spool, name: str, file: Found) -> str | Exception | None:
    try:
        return spool.fetch(source, name, file.stamp)
    except ChangedError:
        return None
    except (UnreachableError, FileNotFoundError, PermissionError) as error:  # one file must not hold up the others
        return error


def _hashed(source: LocalSource, name: str, file: Found) -> str | None:
    """None for a file that is still written, or gone; empty for one that cannot be read, which ingestion refuses."""
    path = source.root / name
    try:
        sha256 = sha256_file(path)
        status = path.stat()
    except FileNotFoundError:
        return None
    except OSError:
        return ""
    return sha256 if f"{status.st_size}-{status.st_mtime_ns}" == file.stamp else None


def _close(
    lake: Lake,
    dataset: str,
    location: str,
    hashes: Mapping[str, str],
    refused: Mapping[str, str],
    changes: _Changes,
    ready: Iterable[str],
    ledger: Mapping[str, str],
) -> Batch | None:
    new = {name: sha256 for name, sha256 in sorted(hashes.items()) if ledger.get(name) != sha256}
    removed = tuple(sorted(changes.gone & set(ready)))
    if not new and not removed:
        return None
    size = sum(changes.fresh[name].size for name in new)
    reasons = {name: refused[name] for name in new if name in refused}
    return batches.close(lake, dataset, location, batches.Contents(files=new, removed=removed, refused=reasons), size)


def _forget(
    remembered: Memory,
    ready: Iterable[str],
    hashes: Mapping[str, str],
    files: Mapping[str, Found],
    markers: Mapping[str, Found],
) -> None:
    """What has come in a batch is pending no longer, and its marker has done its work."""
    taken = {name for name in ready if name in hashes or not remembered.pending[name].stamp}
    for name in taken:
        del remembered.pending[name]
    for name in set(remembered.known) - set(files):
        del remembered.known[name]
    used = {name: marker.stamp for name, marker in markers.items() if any(_is_below(file, _folder(name)) for file in taken)}
    markers_left = {name: stamp for name, stamp in remembered.markers.items() if name in markers}
    remembered.markers = {**markers_left, **used}
