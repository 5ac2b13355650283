"""Files from elsewhere, copied into the lake before anything reads them: by content, each once, resumed where a copy ended.

    spool/dataset=<name>/<source>/objects/<2>/<sha256>      one file for each content
    spool/dataset=<name>/<source>/partial/<hash>            copies under way
    spool/dataset=<name>/<source>/tree/<path>               the source as it was when a batch closed: links to the objects

The tree is moved on batch by batch, so what ingestion reads does not depend on what has arrived since.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from cvgl.arrival.source import RemoteSource, reaching, source_digest
from cvgl.errors import DataError, LakeError
from cvgl.hashing import digest_json, sha256_file
from cvgl.lake import TEMPORARY_PREFIX, Lake

CHUNK = 1 << 20


class ChangedError(Exception):
    """The file changed while it was copied: it is not complete yet."""


@dataclass(frozen=True, slots=True)
class Spool:
    """The copies of one remote source."""

    root: Path

    @classmethod
    def of(cls, lake: Lake, dataset: str, location: str) -> Spool:
        return cls(lake.root / "spool" / f"dataset={dataset}" / source_digest(location))

    @property
    def tree(self) -> Path:
        return self.root / "tree"

    def holds(self, sha256: str) -> bool:
        """Whether a content is here."""
        return self._object(sha256).is_file()

    def fetch(self, source: RemoteSource, name: str, stamp: str) -> str:
        """Copies one file; goes on where an earlier copy of the same version broke off.

        Args:
            source: where it is.
            name: path relative to the source.
            stamp: its version, as listed.

        Returns:
            The sha256 of its content, under which it lies here now.

        Raises:
            ChangedError: it is being written; the next look will find it complete.
            DataError: it cannot be reached.
        """
        _check_name(name, source.location)
        partial = self.root / "partial" / digest_json([name, stamp])
        partial.parent.mkdir(parents=True, exist_ok=True)
        with reaching(f"{source.location}/{name}"):
            try:
                self._copy(source, name, partial)
            except FileNotFoundError as error:
                raise ChangedError(name) from error
        if source.stamp(name) != stamp:
            partial.unlink(missing_ok=True)
            raise ChangedError(name)
        sha256 = sha256_file(partial)
        target = self._object(sha256)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.replace(target)
        return sha256

    def _copy(self, source: RemoteSource, name: str, partial: Path) -> None:
        with source.filesystem.open(f"{source.root}/{name}", "rb") as remote, partial.open("ab") as copy:
            remote.seek(copy.tell())
            while block := remote.read(CHUNK):
                copy.write(block)
            copy.flush()
            os.fsync(copy.fileno())

    def show(self, files: Mapping[str, str]) -> None:
        """Makes the tree hold exactly these files (path -> sha256). Doing it again changes nothing.

        Raises:
            LakeError: a content is missing.
        """
        self.tree.mkdir(parents=True, exist_ok=True)
        present = {path.relative_to(self.tree).as_posix(): path for path in self.tree.rglob("*") if path.is_file()}
        for name, path in present.items():
            if name not in files or path.name.startswith(TEMPORARY_PREFIX):
                path.unlink()
        for name, sha256 in sorted(files.items()):
            if sha256:
                self._link(name, sha256)

    def _link(self, name: str, sha256: str) -> None:
        _check_name(name, str(self.tree))
        held, shown = self._object(sha256), self.tree / name
        if not held.is_file():
            raise LakeError(
                "a file of the spool is missing",
                where=held,
                fix="restore it from a backup, or write the object into the bucket again",
            )
        if shown.is_file() and shown.samefile(held):
            return
        shown.parent.mkdir(parents=True, exist_ok=True)
        temporary = shown.parent / f"{TEMPORARY_PREFIX}{sha256[:16]}"
        temporary.unlink(missing_ok=True)
        os.link(held, temporary)
        temporary.replace(shown)

    def _object(self, sha256: str) -> Path:
        return self.root / "objects" / sha256[:2] / sha256


def _check_name(name: str, where: str) -> None:
    """An object's key may be anything, and a path must not leave the spool."""
    parts = PurePosixPath(name).parts
    if name.startswith("/") or ".." in parts or "\x00" in name:
        raise DataError(f"the name '{name}' leaves its source", where=where, fix="rename the object")
