"""Walking through folders that somebody else has filled: links, loops, devices and odd names included."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from cvgl.ingestion.entries import Listing, Reason, RefusedError, printable

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".tif", ".tiff", ".webp", ".bmp", ".dib", ".gif", ".avif"}
    | {".heic", ".heif", ".hif"}  # refused with what to do where the extra that reads them is not installed
    | {".jp2", ".j2k", ".j2c", ".jpx", ".ppm", ".pgm", ".pbm", ".pnm"}
)
# What operating systems and archivers leave in folders; not worth a word.
_SYSTEM_FILES = frozenset(
    {"thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information", "found.000", "__macosx", "icon\r"}
    | {"@eadir", "#recycle", "@recycle", "#snapshot", "@snapshot", "@recently-snapshot", "@tmp", "~snapshot", "lost+found"}
    | {"zbthumbnail.info"}
)


def is_system_file(name: str) -> bool:
    """Whether a file or folder is hidden or an operating system's own, and is passed over without a word."""
    return name.startswith(".") or name.lower() in _SYSTEM_FILES


def is_inside(path: Path, root: Path) -> bool:
    """Whether `path` lies in `root` after all links are followed. `root` is resolved already."""
    return path.resolve().is_relative_to(root)


def check_side_file(path: Path, root: Path) -> None:
    """Makes sure that a file beside images may be opened: a table, a world file, a projection, a list of names.

    Args:
        path: of the file; need not exist.
        root: the source, which no link may leave, resolved.

    Raises:
        RefusedError: it is a link, or lies behind one, that leaves the root or goes in a circle.
    """
    try:
        inside = is_inside(path, root)
    except (OSError, RuntimeError) as error:
        raise RefusedError(Reason.UNREADABLE, f"{path.name} cannot be followed: {error}") from error
    if not inside:
        raise RefusedError(Reason.OUTSIDE_ROOT, f"{path.name} is a link that leaves {root}; copy the file into the source")


def has_side_file(path: Path, root: Path, listing: Listing) -> bool:
    """Whether a file beside images is there and may be opened; one that leaves the root is refused in `listing`."""
    if not path.is_file():
        return False
    try:
        check_side_file(path, root)
    except RefusedError as refused:
        if printable(path) not in {refusal.uri for refusal in listing.refusals}:  # the walk meets it, too
            listing.refuse(path, refused.reason, refused.detail)
        return False
    return True


def files_below(folder: Path, root: Path, listing: Listing) -> Iterator[Path]:
    """All files below `folder`, in the order of their names; folders in between are entered.

    Links are followed as long as they stay inside `root` and do not lead back to a folder above themselves. What cannot
    be entered or leaves the root is refused in `listing`.
    """
    yield from _files_below(folder, root, listing, (folder.resolve(),))


def _files_below(folder: Path, root: Path, listing: Listing, above: tuple[Path, ...]) -> Iterator[Path]:
    for entry in entries_of(folder, root, listing):
        path = Path(entry.path)
        if not entry.is_dir():
            yield path
            continue
        target = path.resolve() if entry.is_symlink() else above[-1] / entry.name
        if any(folder_above.is_relative_to(target) for folder_above in above):
            listing.refuse(path, Reason.UNREADABLE, "the link leads back to a folder above itself")
            continue
        has_files = False
        for file in _files_below(path, root, listing, (*above, target)):
            has_files = True
            yield file
        if not has_files and path.suffix.lower() in IMAGE_SUFFIXES:
            listing.refuse(path, Reason.NOT_A_FILE, "the name is an image's, but this is a folder")


def entries_of(folder: Path, root: Path, listing: Listing) -> list[os.DirEntry[str]]:
    """What lies directly in `folder`, by name, without litter and without what leaves the root or has no printable name."""
    try:
        with os.scandir(folder) as scan:
            entries = sorted(scan, key=lambda entry: entry.name)
    except OSError as error:
        listing.refuse(folder, Reason.UNREADABLE, f"the folder cannot be listed: {error.strerror}")
        return []
    for entry in entries:
        if is_system_file(entry.name):
            listing.skip("hidden, or an operating system's own", entry.path)
    return [entry for entry in entries if not is_system_file(entry.name) and _is_usable(entry, root, listing)]


def _is_usable(entry: os.DirEntry[str], root: Path, listing: Listing) -> bool:
    if printable(entry.name) != entry.name:
        listing.refuse(entry.path, Reason.BAD_NAME, "the name is not valid UTF-8; rename the file")
        return False
    if not entry.is_symlink():
        return True
    try:
        inside = is_inside(Path(entry.path), root)
        entry.stat()
    except FileNotFoundError:
        listing.refuse(entry.path, Reason.MISSING, "the link leads nowhere")
        return False
    except (OSError, RuntimeError) as error:
        listing.refuse(entry.path, Reason.UNREADABLE, f"the link cannot be followed: {error}")
        return False
    if not inside:
        listing.refuse(entry.path, Reason.OUTSIDE_ROOT, f"the link leaves {root}; copy the image into the source")
    return inside
