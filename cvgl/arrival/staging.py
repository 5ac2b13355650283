"""Files from elsewhere, copied into the lake before anything reads them: by content, each once, resumed where a copy ended.

    spool/dataset=<name>/<source>/objects/<2>/<sha256>      one file for each content
    spool/dataset=<name>/<source>/partial/<hash>            copies under way
    spool/dataset=<name>/<source>/tree/<path>               the source as it was when a batch closed: links to the objects

Whatever a key looks like, its content is kept; `cvgl.arrival.bucket_keys` gives the path that it gets in the tree. The tree is
moved on batch by batch, so what ingestion reads does not depend on what has arrived since.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cvgl.arrival.bucket_keys import paths_of
from cvgl.arrival.source import RemoteSource, reaching, source_digest
from cvgl.errors import LakeError
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
        """Staging area of a source, below the lake."""
        return cls(lake.root / "spool" / f"dataset={dataset}" / source_digest(location))

    @property
    def tree(self) -> Path:
        """Folder in which copies lie under the paths of their originals."""
        return self.root / "tree"

    def holds(self, sha256: str) -> bool:
        """Whether a content is here."""
        return self._object(sha256).is_file()

    def fetch(self, source: RemoteSource, name: str, stamp: str) -> str:
        """Copies one file; goes on where an earlier copy of the same version broke off.

        Args:
            source: where it is.
            name: its key, relative to the source.
            stamp: its version, as listed.

        Returns:
            The sha256 of its content, under which it lies here now.

        Raises:
            ChangedError: it is being written; the next look will find it complete.
            FileNotFoundError: nothing is there under this name.
            PermissionError: it must not be read.
            DataError: it cannot be reached.
        """
        partial = self.root / "partial" / digest_json([name, stamp])
        partial.parent.mkdir(parents=True, exist_ok=True)
        with reaching(f"{source.location}/{name}", source.secrets):
            self._copy(source, name, partial)
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

    def paths(self, files: Iterable[str]) -> dict[str, str]:
        """Where in the tree each of these keys is, when exactly they are shown."""
        return paths_of(files, folds=self._folds())

    def show(self, files: Mapping[str, str]) -> dict[str, str]:
        """Makes the tree hold exactly these files (key -> sha256). Doing it again changes nothing.

        Args:
            files: an empty hash is a file that could not be had, and is not shown.

        Returns:
            Files that the file system does not take, with the reason; the others are there.

        Raises:
            LakeError: a content is missing.
        """
        self.tree.mkdir(parents=True, exist_ok=True)
        paths = self.paths(name for name, sha256 in files.items() if sha256)
        hashes = {path: files[name] for name, path in paths.items()}
        self._clear(hashes)
        refused: dict[str, str] = {}
        for name, path in sorted(paths.items()):
            try:
                self._link(path, files[name])
            except OSError as error:
                refused[name] = f"the spool's file system does not take it: {error.strerror or error}"
        return refused

    def _clear(self, hashes: Mapping[str, str]) -> None:
        """Removes what is not to be there, and folders where a file is to be."""
        present = {path.relative_to(self.tree).as_posix(): path for path in self.tree.rglob("*") if path.is_file()}
        for name, path in present.items():
            if name not in hashes or path.name.startswith(TEMPORARY_PREFIX):
                path.unlink()
        for folder in sorted((path for path in self.tree.rglob("*") if path.is_dir()), reverse=True):
            if folder.relative_to(self.tree).as_posix() in hashes:
                shutil.rmtree(folder)  # empty but for folders

    def _link(self, path: str, sha256: str) -> None:
        held, visible = self._object(sha256), self.tree / path
        if not held.is_file():
            raise LakeError(
                "a file of the spool is missing",
                where=held,
                fix="restore it from a backup, or write the object into the bucket again",
            )
        if visible.is_file() and (visible.samefile(held) or _is_copy(visible, held, sha256)):
            return
        visible.parent.mkdir(parents=True, exist_ok=True)
        temporary = visible.parent / f"{TEMPORARY_PREFIX}{sha256[:16]}"
        temporary.unlink(missing_ok=True)
        try:
            os.link(held, temporary)
        except OSError:  # no links on this file system, or no more of this file
            shutil.copyfile(held, temporary)
        temporary.replace(visible)

    def _folds(self) -> bool:
        """Whether names that differ in case only are one name here."""
        self.root.mkdir(parents=True, exist_ok=True)
        probe = self.root / f"{TEMPORARY_PREFIX}probe-{os.getpid()}-a"
        try:
            probe.touch()
            return probe.with_name(f"{probe.name[:-1]}A").exists()
        finally:
            probe.unlink(missing_ok=True)

    def _object(self, sha256: str) -> Path:
        return self.root / "objects" / sha256[:2] / sha256


def _is_copy(visible: Path, held: Path, sha256: str) -> bool:
    """Whether a file that is no link to a content is a copy of it."""
    return visible.stat().st_size == held.stat().st_size and sha256_file(visible) == sha256
