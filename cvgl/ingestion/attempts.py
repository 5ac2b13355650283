"""Marks of images that are being decoded and are so large that this may end the process.

A mark is written before the pixels are decoded and removed after. It is locked as long as its writer lives, so one that can be
locked was left behind by a process that died, and the image that it names may be why.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from cvgl.hashing import digest_json
from cvgl.lake import TEMPORARY_PREFIX, sync_folder

Key = tuple[str, int, int]  # absolute name, size in bytes, time of the last change in nanoseconds


def key_of(path: Path) -> Key | None:
    """What tells a file from another one, and from itself before a change; None where it is not there."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return str(path), status.st_size, status.st_mtime_ns


@dataclass(slots=True)
class Attempts:
    """The marks in one folder.

    Attributes:
        folder: made when the first mark is.
        isolated: images whose marks say that a process of their own was started for them; of those left behind.
    """

    folder: Path
    isolated: dict[Key, bool] = field(default_factory=dict)

    def left_behind(self) -> Mapping[Key, bool]:
        """The images that were being decoded when a process died, and whether that had been one of their own."""
        self.isolated = dict(self._dead_marks())
        return self.isolated

    def forget(self, keys: Iterator[Key] | Mapping[Key, bool]) -> None:
        """Removes marks that were left behind."""
        for key in keys:
            self._file(key).unlink(missing_ok=True)

    @contextmanager
    def trying(self, key: Key, *, isolated: bool = False) -> Iterator[Callable[[int, int], None]]:
        """Gives a function (width, height) that marks the image; the mark goes with the end of the `with` block."""
        handles: list[int] = []

        def mark(_width: int, _height: int) -> None:
            with suppress(OSError):  # a lake that cannot be written to must not keep an image from being looked at
                handles.append(self._write(key, isolated=isolated))

        try:
            yield mark
        finally:
            for handle in handles:
                self._file(key).unlink(missing_ok=True)
                os.close(handle)

    def _write(self, key: Key, *, isolated: bool) -> int:
        self.folder.mkdir(parents=True, exist_ok=True)
        final = self._file(key)
        temporary = final.with_name(f"{TEMPORARY_PREFIX}{os.getpid()}-{final.name}")
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        fcntl.flock(handle, fcntl.LOCK_EX)
        os.write(handle, json.dumps({"key": key, "isolated": isolated}).encode())
        os.fsync(handle)
        temporary.replace(final)
        sync_folder(self.folder)
        return handle

    def _file(self, key: Key) -> Path:
        return self.folder / f"{digest_json(list(key))}.json"

    def _dead_marks(self) -> Iterator[tuple[Key, bool]]:
        for path in sorted(self.folder.glob("*.json")):
            if path.name.startswith(TEMPORARY_PREFIX):
                continue
            with suppress(OSError, ValueError, LookupError, TypeError), path.open("rb") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                record = json.load(stream)
                name, size, changed = record["key"]
                yield (str(name), int(size), int(changed)), bool(record["isolated"])
