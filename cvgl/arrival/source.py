"""What lies in a watched source: a folder on this machine, or one behind any address that fsspec knows."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from cvgl.arrival.credentials import FIX
from cvgl.config import Layout, WatchConfig
from cvgl.errors import ConfigError, CvglError, DataError, require
from cvgl.hashing import digest_json
from cvgl.ingestion.entries import Listing, Reason, printable
from cvgl.ingestion.walking import IMAGE_SUFFIXES, files_below, is_system_file
from cvgl.masking import MASK, scrubbed, secret_values, without_secrets

FEWEST_LOST = 10  # files: below, a share says nothing about a disk that is not mounted


class UnreachableError(DataError):
    """The source, or most of it, cannot be reached now: nothing is wrong with what it holds, and trying again can help."""


@dataclass(frozen=True, slots=True)
class Found:
    """One file as a listing shows it.

    Attributes:
        size: bytes.
        stamp: differs whenever the content may differ: size and time, or the store's own tag.
        changed_at: seconds since 1970 of the last change; None where the store does not tell.
        problem: why it can never be read under this name; empty where it may be.
    """

    size: int
    stamp: str
    changed_at: float | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Contents:
    """A listing.

    Attributes:
        files: by path relative to the source, with '/'.
        complete: every folder could be looked into, so that what is not listed is not there.
        problems: what could not be looked into, for people.
    """

    files: Mapping[str, Found]
    complete: bool = True
    problems: tuple[str, ...] = ()


class Source(Protocol):
    """Something that files arrive in."""

    @property
    def location(self) -> str:
        """The absolute folder, or the address."""
        ...

    def contents(self) -> Contents:
        """Everything in it, hidden files left out.

        Raises:
            DataError: it is not there, or cannot be reached.
        """
        ...


def source_digest(location: str) -> str:
    """A short name for a source, the same whatever the password in its address is."""
    return digest_json(without_secrets(location))


def open_source(location: str, storage_options: Mapping[str, Any]) -> Source:
    """A source at a path or an address.

    Raises:
        DataError: the path is no folder, or the address's protocol is unknown.
        MissingDependencyError: fsspec, or the package for this protocol, is not installed.
    """
    protocol, separator, rest = location.partition("://")
    if not separator:
        return LocalSource.at(location)
    if protocol in ("file", "local"):
        return LocalSource.at("/" + rest.lstrip("/"))
    return RemoteSource.at(location, storage_options)


@dataclass(frozen=True, slots=True)
class LocalSource:
    """A folder of this machine; links are followed as long as they stay inside."""

    root: Path

    @classmethod
    def at(cls, location: str) -> LocalSource:
        """The folder, resolved.

        Raises:
            DataError: there is no such folder.
        """
        root = Path(location).expanduser().resolve()
        _check_folder(root)
        return cls(root)

    @property
    def location(self) -> str:
        """Folder or address of the source."""
        return str(self.root)

    def contents(self) -> Contents:
        """List the files of the source, with what is refused."""
        before = _check_folder(self.root)
        listing = Listing(Layout.FOLDER, self.root)
        files: dict[str, Found] = {}
        for path in files_below(self.root, self.root, listing):
            try:
                status = path.stat()
            except OSError:  # gone, or a link that leads nowhere: the next look tells
                if not path.is_symlink():
                    listing.refuse(path, Reason.UNREADABLE, "the file went, or its folder, while the source was looked through")
                continue
            name = path.relative_to(self.root).as_posix()
            if not stat.S_ISREG(status.st_mode) and path.suffix.lower() in IMAGE_SUFFIXES:
                files[name] = Found(0, Reason.NOT_A_FILE, None, _NOT_A_FILE)
            elif stat.S_ISREG(status.st_mode):
                changed = max(status.st_mtime, status.st_ctime)  # a copy may bring an old time along, but not this one
                files[name] = Found(status.st_size, f"{status.st_size}-{status.st_mtime_ns}", changed)
        for refusal in listing.refusals:
            if refusal.reason is Reason.BAD_NAME:  # a batch comes of it, so that it is refused where people look
                files[refusal.uri.removeprefix(f"{self.root}/")] = Found(0, refusal.reason, None, _BAD_NAME)
        if _check_folder(self.root) != before:
            raise UnreachableError("the watched source was replaced while it was looked through", where=self.root, fix=_FIX)
        unread = tuple(
            f"{unreadable.uri}: {unreadable.detail}"
            for unreadable in listing.refusals
            if unreadable.reason is Reason.UNREADABLE
        )
        return Contents(files, not unread, unread)


_BAD_NAME = "bad_name: the name is not valid UTF-8; rename the file"
_NOT_A_FILE = "not_a_file: the name is an image's, but this is a pipe, socket or device"
_FOLDERS_NAME = "bad_name: the name ends with '/', as a folder's does; rename the object"
_FIX = "check the path, its rights, and whether its disk is mounted"


def _check_folder(root: Path) -> tuple[int, int]:
    """Which folder it is, whatever its name: another one after a disk was mounted over it, or is mounted no longer."""
    try:
        if not root.is_dir():
            raise UnreachableError("the watched source is no folder", where=root, fix=_FIX)
        next(root.iterdir(), None)
        status = root.stat()
    except OSError as error:
        raise UnreachableError(f"the watched source cannot be read: {error.strerror or error}", where=root, fix=_FIX) from error
    return status.st_dev, status.st_ino


def check_present(root: Path, names: Collection[str], config: WatchConfig) -> None:
    """Makes sure that a source on this machine is there, and not most of its files gone.

    Args:
        root: its folder.
        names: of files that were there, relative to it.
        config: which loss is not believed.

    Raises:
        UnreachableError: it cannot be read, a file in it cannot be asked for, or more is missing than a person deletes.
    """
    _check_folder(root)
    missing = 0
    for name in names:
        try:
            os.lstat(root / name)
        except (FileNotFoundError, NotADirectoryError):
            missing += 1
        except OSError as error:
            raise UnreachableError(
                f"the watched source cannot be read: {error.strerror or error}", where=root / name, fix=_FIX
            ) from error
    _check_folder(root)
    if too_many(missing, len(names), config):
        raise UnreachableError(f"{missing} of {len(names)} files of the watched source are missing", where=root, fix=_FIX)


def too_many(missing: int, present: int, config: WatchConfig) -> bool:
    """Whether so many files have gone that a disk is not mounted, rather than that they were deleted."""
    return missing >= FEWEST_LOST and missing > config.largest_loss * present


@dataclass(frozen=True, slots=True)
class RemoteSource:
    """A folder behind an address.

    Attributes:
        address: with its protocol, without a slash at the end, and without a password or signature.
        filesystem: fsspec's.
        root: the folder as the file system names it.
        secrets: that it was opened with, to be taken out of its messages.
    """

    address: str
    filesystem: Any = field(repr=False)
    root: str = field(repr=False)  # may end in the signature of the address
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def at(cls, address: str, storage_options: Mapping[str, Any]) -> RemoteSource:
        """The folder at an address.

        Raises:
            DataError: fsspec does not know the protocol, or cannot reach the store.
            MissingDependencyError: the package for the protocol is not installed.
            ConfigError: the password was masked when the address was stored.
        """
        fsspec = require("fsspec", extra="pipeline", purpose="watch a source that is not a local folder")
        if MASK in address:
            raise ConfigError("the password was masked when the address was stored", where=address, fix=FIX)
        secrets = (*secret_values({**storage_options, "address": address}),)
        with reaching(address, secrets):
            # Without listings_cache a file that has arrived since would not be seen.
            try:
                filesystem, root = fsspec.core.url_to_fs(address, use_listings_cache=False, **storage_options)
            except PermissionError as error:
                raise _unreachable(error, address, secrets) from None
        return cls(without_secrets(address).rstrip("/"), filesystem, str(root).rstrip("/"), secrets)

    @property
    def location(self) -> str:
        """Folder or address of the source."""
        return self.address

    def contents(self) -> Contents:
        """List the files of the source, with what is refused."""
        with reaching(self.address, self.secrets):
            self.filesystem.invalidate_cache()
            try:
                listed = self.filesystem.find(self.root, withdirs=False, detail=True)
            except FileNotFoundError as error:
                raise UnreachableError(
                    "the watched source is not there", where=self.address, fix="check the address"
                ) from error
            except PermissionError as error:
                raise UnreachableError(
                    f"the watched source must not be read: {scrubbed(printable(str(error)), self.secrets)}",
                    where=self.address,
                    fix="check the keys and the rights",
                ) from None
        files: dict[str, Found] = {}
        for path, details in listed.items():
            name = str(path)[len(self.root) :].removeprefix("/")
            legible = printable(name)
            entry = _found(details)
            # Object stores list an empty object that stands for the folder itself.
            if not name or (name.endswith("/") and not entry.size) or _is_hidden(name):
                continue
            problem = _BAD_NAME if legible != name else _FOLDERS_NAME if name.endswith("/") else ""
            files[legible] = replace(entry, problem=problem)
        return Contents(files)

    def stamp(self, name: str) -> str:
        """The present stamp of one file; empty when it is gone."""
        with reaching(self.address, self.secrets):
            self.filesystem.invalidate_cache()
            try:
                return _found(self.filesystem.info(f"{self.root}/{name}")).stamp
            except FileNotFoundError:
                return ""


def _is_hidden(name: str) -> bool:
    return any(is_system_file(part) for part in name.split("/") if part not in (".", ".."))  # which are no names of files


_TIMES = ("LastModified", "last_modified", "mtime", "modified", "updated")
_TAGS = ("ETag", "etag", "md5", "content_hash", "sha256")


def _found(details: Mapping[str, Any]) -> Found:
    """One entry of fsspec's listing; stores name the time and the tag of the content differently."""
    size = int(details.get("size") or 0)
    moment = next((details[key] for key in _TIMES if details.get(key)), None)
    tag = next((details[key] for key in _TAGS if details.get(key)), None)
    created = details.get("created")  # one store tells it as a number in a listing, and as a date of a single file
    version = tag or moment or _seconds(created) or created or ""
    return Found(size, f"{size}-{version}", _seconds(moment))


def _seconds(moment: Any) -> float | None:
    if isinstance(moment, datetime):
        return moment.timestamp()
    if isinstance(moment, int | float):
        return float(moment)
    try:
        return datetime.fromisoformat(str(moment)).timestamp()
    except ValueError:
        return None


@contextmanager
def reaching(address: str, secrets: Collection[str] = ()) -> Iterator[None]:
    """Turns whatever a remote file system raises into an error that names the address, and no secret.

    Each store's package has exceptions of its own, and fsspec lets them pass. What is not there and what must not be read
    is about a file, and passes.
    """
    try:
        yield
    except (CvglError, FileNotFoundError, PermissionError):
        raise
    except ImportError as error:
        raise DataError(
            f"the package for this kind of address is not installed: {scrubbed(str(error), secrets)}",
            where=address,
            fix="install it, e.g. pip install s3fs",
        ) from error
    except Exception as error:
        if not secrets:
            raise _unreachable(error, address) from error
        raise _unreachable(error, address, secrets) from None  # a cause is shown as it is, and may name the secret


def _unreachable(error: Exception, address: str, secrets: Collection[str] = ()) -> UnreachableError:
    return UnreachableError(
        f"the source cannot be reached: {type(error).__name__}: {scrubbed(printable(str(error)), secrets)}",
        where=address,
        fix="check the address, the network, and the keys in the environment",
    )
