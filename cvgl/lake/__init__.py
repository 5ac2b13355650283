"""The lake: one folder that holds everything, written so that a process may die at any moment.

Rules, kept here so that no other module has to: a file appears under its final name only when complete (temporary name,
fsync, rename); names are content hashes or ids derived from content, so writing twice is harmless and skipping finished
work is a look at the disk; rows are joined by image_id, never by position.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cvgl.errors import UnreadableError
from cvgl.lake import formats
from cvgl.lake.paths import Lake, checked_name
from cvgl.lake.reading import read_bytes, read_json, read_parquet, read_schema, read_versioned, unreadable
from cvgl.lake.seal import add_seal

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "DAMAGED",
    "TEMPORARY_PREFIX",
    "Lake",
    "checked_name",
    "leftovers",
    "parquet_files",
    "read_bytes",
    "read_json",
    "read_parquet",
    "read_schema",
    "read_versioned",
    "replacing",
    "require_writable",
    "set_aside",
    "sweep",
    "sweep_lake",
    "sync_folder",
    "unreadable",
    "write_bytes",
    "write_json",
    "write_parquet",
    "write_versioned",
    "writing",
]

TEMPORARY_PREFIX = ".tmp-"
DAMAGED = ".damaged-"  # and a number: the end of the name of what was set aside, which no reader looks at
_NOT_WRITABLE = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
# Not swept: the databases of others, and images, of which there may be millions; who writes those sweeps its own.
_NOT_OURS = ("mlflow", "prefect", "spool", "world", "reproductions/worlds")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Within the block, what the system refuses for want of rights becomes an error of the lake.

    A full disk and the like stay what they are: whoever started the work tries it again.

    Raises:
        UnreadableError: the lake is read-only, or not this user's.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _NOT_WRITABLE:
            raise
        raise _not_writable(error.strerror, error.filename or path) from error


def _not_writable(reason: str | None, path: object) -> UnreadableError:
    return UnreadableError(
        f"the lake cannot be written: {reason}",
        where=path,
        fix="give this user the right to write to it, mount it writable, or give another --lake",
    )


def require_writable(lake: Lake) -> None:
    """Raises an UnreadableError for a lake in which nothing can be made; nothing is tried out."""
    nearest = next(folder for folder in (lake.root, *lake.root.parents) if folder.exists())
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise _not_writable("it is read-only for this user", nearest)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a temporary path beside `path`; on a clean exit makes it durable and moves it to `path` in one step.

    The temporary file is removed when the body fails. When the process dies, it stays behind under a name that starts
    with `.tmp-`, which no reader looks at and `sweep` removes: the lock on it has died with its writer.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = _locked_temporary(path)
    try:
        yield temporary
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        # mkstemp makes files private to their owner; a lake is read by the whole team.
        temporary.chmod(0o644)
        temporary.replace(path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)
        os.close(handle)


def _locked_temporary(path: Path) -> tuple[int, Path]:
    while True:
        handle, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, suffix=path.suffix, dir=path.parent)
        fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return handle, Path(name)
        os.close(handle)  # swept before it was locked


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_bytes(path: Path, data: bytes) -> None:
    """Writes a whole file, atomically and durably."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_json(path: Path, value: Any) -> None:
    """Writes JSON with sorted keys (the same value always gives the same bytes), atomically."""
    write_bytes(path, (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode())


def write_versioned(path: Path, kind: str, value: Mapping[str, Any]) -> None:
    """Writes a JSON record with its version.

    Args:
        path: of the file.
        kind: one of `formats.RECORDS`.
        value: its fields.
    """
    write_json(path, formats.versioned(kind, value))


def write_parquet(path: Path, table: pa.Table, metadata: Mapping[str, str] | None = None, *, kind: str | None = None) -> None:
    """Writes a table as Parquet, atomically, with its version where it has a kind.

    Uncompressed features (compression gains 8 % on float32 and costs time) and the same bytes for the same table. Each page
    bears its checksum, without which a damaged descriptor would be read as another one, and the footer a seal (see
    `cvgl.lake.seal`).

    Args:
        path: of the file.
        table: what is written.
        metadata: goes into the file's schema.
        kind: one of `formats.TABLES`. References of a map bear neither version nor seal: the version of the map is a hash
            over the file, which its manifest holds, and must stay what it was.
    """
    import pyarrow.parquet as pq

    added: dict[bytes | str, bytes | str] = dict(table.schema.metadata or {})
    added.update((metadata or {}).items())
    is_of_a_map = kind == "map_references"
    if kind is not None and not is_of_a_map:
        added[formats.PARQUET_FORMAT] = str(formats.TABLES[kind])
    if added:
        table = table.replace_schema_metadata(added)
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="none", write_statistics=True, store_schema=True, write_page_checksum=True)
        if not is_of_a_map:
            add_seal(temporary)


def parquet_files(folder: Path) -> list[Path]:
    """The finished Parquet files of a folder, sorted by name; empty when there is no such folder."""
    return sorted(path for path in folder.glob("*.parquet") if not path.name.startswith(TEMPORARY_PREFIX))


def set_aside(path: Path) -> Path:
    """Renames a damaged file or folder to a name that no reader looks at; gives the new path. Nothing is deleted."""
    for number in count(1):
        target = path.with_name(f"{path.name}{DAMAGED}{number}")
        if not target.exists():
            with writing(path):
                path.rename(target)
            return target
    raise AssertionError("unreachable")


def sweep(folder: Path, *, is_stale: Callable[[Path], bool] = lambda path: True) -> int:
    """Removes what killed processes left behind under temporary names; returns how many files went.

    A file that is being written by a living process is locked and stays.
    """
    left = [path for path in folder.rglob(f"{TEMPORARY_PREFIX}*") if path.is_file() and is_stale(path)]
    return sum(_swept(path) for path in left)


def leftovers(lake: Lake) -> Iterator[Path]:
    """Files under temporary names anywhere in a lake, those that are being written included.

    The databases of others and folders of images are left out, so that a look costs what the tables cost.
    """
    skipped = {lake.root / name for name in _NOT_OURS}
    for folder, below, files in os.walk(lake.root):
        here = Path(folder)
        below[:] = sorted(name for name in below if here / name not in skipped)
        yield from (here / name for name in sorted(files) if name.startswith(TEMPORARY_PREFIX))


def sweep_lake(lake: Lake) -> int:
    """As `sweep`, for the whole of a lake; what cannot be removed stays."""
    removed = 0
    for path in leftovers(lake):
        with suppress(OSError):
            removed += _swept(path)
    return removed


def _swept(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
    except (FileNotFoundError, BlockingIOError):
        return False
    return True
