"""From the names in a table to the images on the disk, where case, Unicode form, separators or folders are written otherwise.

A name is taken for an image's where only one can be meant. Nothing is guessed: where two can, both are named.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from functools import cached_property
from itertools import islice
from pathlib import Path
from urllib.parse import unquote

from cvgl.config import Layout
from cvgl.ingestion.entries import Listing, Reason, RefusedError, printable
from cvgl.ingestion.walking import IMAGE_SUFFIXES, files_below

_MAX_FILES = 1_000_000  # looked through for images that are not where a manifest says; more is no folder of images
_MAX_EXAMPLES = 4  # names in a sentence
_DRIVE = re.compile(r"[A-Za-z]:[\\/]|\\\\|//")  # also a share of a network
_FILE_ADDRESS = re.compile(r"^file:/+(localhost/)?", re.IGNORECASE)


class Match(IntEnum):
    """How a name was recognised, the surest first."""

    EXACT = 0
    SPELLING = 1  # case, Unicode form, separators, blanks, %20, or no ending
    LAST_PARTS = 2  # of a path of another computer

    @property
    def remark(self) -> str | None:
        """What a note says of it."""
        return {
            Match.SPELLING: "images are named in another spelling than on the disk (case, Unicode, blanks, %20, ending)",
            Match.LAST_PARTS: "images are named by paths of another place and were recognised by the last parts of these",
        }.get(self)


def is_foreign(name: str) -> bool:
    """Whether a name is an absolute path: of this computer or another one, of Windows or not."""
    return name.startswith("/") or _DRIVE.match(name) is not None or name.lower().startswith("file:/")


class ImageNames:
    """Images by everything that they may be called.

    Args:
        paths: of the images, absolute.
        bases: folders that names may start from; the later one goes first where both lead to an image.
    """

    def __init__(self, paths: Sequence[Path], bases: Sequence[Path]) -> None:
        self._bases = bases
        self._relative = {name: path for base in bases for path in paths if (name := _relative_to(path, base)) is not None}
        self._paths = paths

    @cached_property
    def _same_name(self) -> Mapping[str, list[Path]]:
        return self._by(lambda path: path.name)

    @cached_property
    def _same_stem(self) -> Mapping[str, list[Path]]:
        return self._by(lambda path: path.stem)

    def _by(self, part: Callable[[Path], str]) -> Mapping[str, list[Path]]:
        groups: dict[str, list[Path]] = defaultdict(list)
        for path in self._paths:
            if path.suffix.lower() in IMAGE_SUFFIXES:
                groups[_folded(part(path))].append(path)
        return groups

    @classmethod
    def below(cls, root: Path) -> ImageNames:
        """All images below a folder; none where it holds more files than any folder of images does."""
        unnoted = Listing(Layout.MANIFEST, root)  # what cannot be entered is passed over: nobody has named it
        files = list(islice(files_below(root, root, unnoted), _MAX_FILES + 1))
        return cls([] if len(files) > _MAX_FILES else files, [root])

    @property
    def no_match_detail(self) -> str:
        """The detail of a refusal where no image has a name that comes near."""
        return f"no such image in {self._bases[0].name}/"

    def find(self, name: str) -> tuple[Path, Match]:
        """The image that a name means.

        Raises:
            RefusedError: several can be meant, or none.
        """
        for spelling in _spellings(name):
            path = self._relative.get(spelling)
            if path is not None:
                return path, Match.EXACT if spelling == _slashed(name) else Match.SPELLING
        for spelling in _spellings(name):
            match = self._matched(spelling.split("/"), name)
            if match is not None:
                return match
        raise RefusedError(Reason.MISSING, self._missing(name))

    def _matched(self, parts: list[str], name: str) -> tuple[Path, Match] | None:
        if ".." in parts or not parts[-1]:
            return None
        parts = [part for part in parts if part]  # those of //share and of a//b
        candidates = self._same_name.get(_folded(parts[-1]), [])
        if not candidates and Path(parts[-1]).suffix.lower() not in IMAGE_SUFFIXES:
            parts = [*parts[:-1], parts[-1].strip()]
            candidates = self._same_stem.get(_folded(parts[-1]), [])
            by_stem = True
        else:
            by_stem = False
        for spelt, match in ((_as_written, Match.EXACT), (_folded, Match.SPELLING)):
            wanted = [spelt(part) for part in parts]
            ends = {path: _common_end(wanted, path, spelt, by_stem=by_stem) for path in candidates}
            whole = [path for path, count in ends.items() if count == len(wanted)]
            # The folder that names start from goes before the same name further below.
            nearest = [path for path in whole if any(len(path.parts) - len(base.parts) == len(wanted) for base in self._bases)]
            if len(nearest) == 1 or len(whole) == 1:
                return (nearest if len(nearest) == 1 else whole)[0], Match.SPELLING if by_stem else match
            if whole:
                raise _ambiguous(whole, self._bases)
        if is_foreign(name) and candidates:
            most = max(ends.values())
            best = [path for path, count in ends.items() if count == most]
            if len(best) > 1:
                raise _ambiguous(best, self._bases)
            return best[0], Match.LAST_PARTS
        return None

    def _missing(self, name: str) -> str:
        nothing = self.no_match_detail
        last = (_spellings(name) or [""])[-1].rpartition("/")[2]
        others = self._same_name.get(_folded(last), []) or self._same_stem.get(_folded(Path(last).stem), [])
        if not others:
            return nothing
        kind = "the same name" if _folded(others[0].name) == _folded(last) else "the same name but for its ending"
        verb = "has" if len(others) == 1 else "have"
        return f"{nothing}; {_names(others, self._bases)} {verb} {kind}"


def _relative_to(path: Path, base: Path) -> str | None:
    return path.relative_to(base).as_posix() if path.is_relative_to(base) else None


def _spellings(name: str) -> list[str]:
    """A name as written, and as it may be meant: Windows' separators, blanks and quotes around it, escapes of addresses."""
    plain = _slashed(name)
    trimmed = plain.strip().strip("\"'").strip()
    trimmed = _FILE_ADDRESS.sub("", trimmed)
    trimmed = _normal(trimmed)
    spellings = [plain, trimmed]
    if "%" in trimmed:
        spellings.append(_normal(unquote(trimmed)))
    return list(dict.fromkeys(spelling for spelling in spellings if spelling))


def _slashed(name: str) -> str:
    return name.replace("\\", "/").removeprefix("./")


def _normal(name: str) -> str:
    """Without ``./``, ``//`` and ``a/..``, which say nothing."""
    return os.path.normpath(name).removeprefix("//") if name else name


def _as_written(part: str) -> str:
    return part


def _folded(part: str) -> str:
    """One spelling for all that look alike: composed and decomposed letters, small and capital ones, blanks, %20."""
    plain = unicodedata.normalize("NFC", unquote(part)).casefold()
    return " ".join(unicodedata.normalize("NFC", plain).split())


def _common_end(wanted: list[str], path: Path, spelt: Callable[[str], str], *, by_stem: bool) -> int:
    """How many of the last parts of a path are those of a name."""
    parts = [*path.parts[1:-1], path.stem if by_stem else path.name]
    count = 0
    for mine, other in zip(reversed(wanted), reversed(parts), strict=False):
        if mine != spelt(other):
            break
        count += 1
    return count


def common_parts(name: str, path: Path) -> int:
    """How many of the last parts of a path are those of a name, whatever the spelling."""
    return max((_common_end(_folded_parts(spelling), path, _folded, by_stem=False) for spelling in _spellings(name)), default=0)


def _folded_parts(spelling: str) -> list[str]:
    return [_folded(part) for part in spelling.split("/") if part]


def _ambiguous(paths: Sequence[Path], bases: Sequence[Path]) -> RefusedError:
    count = "two" if len(paths) == 2 else str(len(paths))
    return RefusedError(
        Reason.AMBIGUOUS, f"{count} images have this name: {_names(paths, bases)}; write the folder in front of it, too"
    )


def _names(paths: Sequence[Path], bases: Sequence[Path]) -> str:
    names = [_relative_to(path, bases[0]) or str(path) for path in sorted(paths)]
    return printable(
        ", ".join(names[:_MAX_EXAMPLES]) + (f" and {len(names) - _MAX_EXAMPLES} more" if len(names) > _MAX_EXAMPLES else "")
    )
