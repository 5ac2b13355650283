"""The lake: one folder that holds everything, written so that a process may die at any moment.

Rules, kept here so that no other module has to: a file appears under its final name only when complete (temporary name,
fsync, rename); names are content hashes or ids derived from content, so writing twice is harmless and skipping finished
work is a look at the disk; rows are joined by image_id, never by position.
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cvgl.errors import ConfigError, LakeError

if TYPE_CHECKING:
    import pyarrow as pa

TEMPORARY_PREFIX = ".tmp-"


@dataclass(frozen=True, slots=True)
class Lake:
    """Paths of one lake. Making one touches nothing on disk."""

    root: Path

    @classmethod
    def at(cls, location: str | Path) -> Lake:
        """A lake at a local path.

        Raises:
            ConfigError: `location` is a URL, or an existing file.
        """
        text = str(location)
        if "://" in text:
            raise ConfigError(
                f"the lake '{text}' is a URL, and this version keeps lakes on local disks only",
                where="--lake",
                fix="give a local or mounted folder",
            )
        root = Path(text).expanduser().resolve()
        if root.exists() and not root.is_dir():
            raise ConfigError("the lake must be a folder, but this is a file", where=root, fix="give another --lake")
        return cls(root)

    def images(self, dataset: str) -> Path:
        return self.root / "images" / f"dataset={dataset}"

    def ground_truth(self, dataset: str) -> Path:
        return self.root / "ground_truth" / f"dataset={dataset}"

    def quarantine(self, dataset: str) -> Path:
        return self.root / "quarantine" / f"dataset={dataset}"

    def scans(self, dataset: str) -> Path:
        """What is known about source files by name, size and time: a cache, safe to delete."""
        return self.root / "cache" / "scans" / f"dataset={dataset}"

    def features(self, fingerprint: str, dataset: str) -> Path:
        return self.root / "features" / f"model={fingerprint}" / f"dataset={dataset}"

    def adapter(self, run: str) -> Path:
        return self.root / "adapters" / run

    def evaluation(self, run: str) -> Path:
        return self.root / "evaluations" / run

    def report(self, run: str) -> Path:
        return self.root / "reports" / run

    def registration(self, run: str) -> Path:
        """What the registry and its gate said of a run, for readers without the registry."""
        return self.root / "registrations" / f"{run}.json"

    def map(self, dataset: str) -> Path:
        """Versions of a dataset's map, each a folder: see `cvgl.localization.bundle`."""
        return self.root / "maps" / f"dataset={dataset}"

    def champion(self, dataset: str) -> Path:
        """Which version of a map serves: a small JSON file that the gate moves."""
        return self.map(dataset) / "current.json"

    @property
    def prefect_home(self) -> Path:
        return self.root / "prefect"

    @property
    def mlflow_database(self) -> Path:
        return self.root / "mlflow" / "mlflow.db"

    @property
    def mlflow_artifacts(self) -> Path:
        return self.root / "mlflow" / "artifacts"

    def datasets(self) -> list[str]:
        """Names of the datasets that have been ingested, sorted."""
        return sorted(path.name.removeprefix("dataset=") for path in (self.root / "images").glob("dataset=*"))


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a temporary path beside `path`; on a clean exit makes it durable and moves it to `path` in one step.

    The temporary file is removed when the body fails. When the process dies, it stays behind under a name that starts
    with `.tmp-`, which no reader looks at and `sweep` removes: the lock on it has died with its writer.
    """
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


def read_json(path: Path) -> Any:
    """Reads a JSON file of the lake.

    Raises:
        LakeError: the file is missing or not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise LakeError("a file of the lake is missing", where=path, fix="run the stage that writes it again") from error
    except ValueError as error:
        raise LakeError(f"a file of the lake is not JSON: {error}", where=path, fix="delete it and run again") from error


def write_parquet(path: Path, table: pa.Table, metadata: Mapping[str, str] | None = None) -> None:
    """Writes a table as Parquet, atomically. `metadata` goes into the file's schema.

    Uncompressed features (compression gains 8 % on float32 and costs time) and the same bytes for the same table. Each page
    bears its checksum, without which a damaged descriptor would be read as another one.
    """
    import pyarrow.parquet as pq

    if metadata:
        table = table.replace_schema_metadata({**(table.schema.metadata or {}), **metadata})
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="none", write_statistics=True, store_schema=True, write_page_checksum=True)


def read_parquet(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Reads one Parquet file, with its schema metadata.

    Raises:
        LakeError: missing or damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # ParquetFile, not read_table: the latter would add the folder's `dataset=` as a column.
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            return file.read(columns=columns)
    except FileNotFoundError as error:
        raise LakeError("a file of the lake is missing", where=path, fix="run the stage that writes it again") from error
    except (pa.ArrowInvalid, OSError) as error:
        raise LakeError(f"a file of the lake is damaged: {error}", where=path, fix="delete it and run again") from error


def parquet_files(folder: Path) -> list[Path]:
    """The finished Parquet files of a folder, sorted by name; empty when there is no such folder."""
    return sorted(path for path in folder.glob("*.parquet") if not path.name.startswith(TEMPORARY_PREFIX))


def sweep(folder: Path, *, is_stale: Callable[[Path], bool] = lambda path: True) -> int:
    """Removes what killed processes left behind under temporary names; returns how many files went.

    A file that is being written by a living process is locked and stays.
    """
    found = [path for path in folder.rglob(f"{TEMPORARY_PREFIX}*") if path.is_file() and is_stale(path)]
    return sum(_swept(path) for path in found)


def _swept(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
    except (FileNotFoundError, BlockingIOError):
        return False
    return True
