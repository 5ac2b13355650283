"""Keys of a bucket as paths of a folder: any key has one, no two share one, and an ordinary key is its own path.

A key may be what no path can be: another key's folder, longer than a name may be, with parts that are empty, `.` or `..`, with
a NUL, or, on some file systems, another key in other letters. Images and the files beside them (world files, tables) find one
another by their paths, so as much of a key as possible stays as it is, and keys that differ in their endings only stay so.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from itertools import count

from cvgl.hashing import digest_json

LONGEST_NAME = 255  # bytes, on every file system in use
_DIGEST = 12
_STEM = 200  # bytes that are left of a name, the same whatever its ending
# Up to three endings, as in picture.jpg.aux.xml: the rest of the name is what belongs together.
_ENDING = re.compile(r"(?:\.[A-Za-z][A-Za-z0-9]{0,7}){1,3}$")


def paths_of(keys: Iterable[str], *, folds: bool = False) -> dict[str, str]:
    """A path for each key, relative and with '/'. The same keys always have the same paths.

    Args:
        keys: all that lie in the folder together.
        folds: names that differ in case or in how accents are written are one name there.
    """
    fold = _folded if folds else str
    keys = set(keys)
    plain = {key: "/".join(part for part in key.split("/") if part not in ("", ".")) for key in keys}
    paths: dict[str, str] = {}
    taken: set[str] = set()
    # Keys that are paths as they are come first: nothing that is odd takes their place.
    ordered = sorted(keys, key=lambda key: (plain[key] != key or not _is_usable(key), key))
    folders = {fold(folder) for key in ordered for folder in _folders(_usable(plain[key] or key))}
    for key in ordered:
        for path in _candidates(key, plain[key]):
            if fold(path) not in taken and fold(path) not in folders and not _is_below_a_file(path, taken, fold):
                break
        paths[key] = path
        taken.add(fold(path))
        folders.update(map(fold, _folders(path)))
    return paths


def _candidates(key: str, plain: str) -> Iterable[str]:
    """Paths for a key, the most readable first; there is no end of them."""
    if plain:
        yield _usable(plain)
    name = key.split("/")[-1]
    for attempt in count():
        folder, slash, _ = _usable(key, attempt).rpartition("/")
        yield folder + slash + _escaped(key, name, f"file {attempt}")


def _is_below_a_file(path: str, taken: set[str], fold: Callable[[str], str]) -> bool:
    return any(fold(folder) in taken for folder in _folders(path))


def _folders(path: str) -> Iterable[str]:
    parts = path.split("/")[:-1]
    return ("/".join(parts[: number + 1]) for number in range(len(parts)))


def _usable(key: str, attempt: int = 0) -> str:
    """A key with those of its parts escaped that cannot be names, or all; files beside one another stay beside one another."""
    parts = key.split("/")
    last = len(parts) - 1
    return "/".join(
        _escaped("/".join(parts[: number + 1]), part, f"{'file' if number == last else 'folder'} {attempt}")
        if attempt or not _is_usable(part)
        else part
        for number, part in enumerate(parts)
    )


def _is_usable(name: str) -> bool:
    return all(
        part not in ("", ".", "..") and "\0" not in part and len(part.encode("utf-8", "surrogatepass")) <= LONGEST_NAME
        for part in name.split("/")
    )


def _escaped(prefix: str, part: str, kind: str) -> str:
    """What a part is called instead: its beginning, a hash of the key up to here without the ending, and the ending."""
    match = _ENDING.search(part)
    ending = match[0] if match and match.start() > 0 else ""
    digest = digest_json([prefix.removesuffix(ending), kind])[:_DIGEST]
    stem = part.removesuffix(ending).replace("\0", "_").lstrip(".") or "_"
    return f"{stem.encode()[:_STEM].decode('utf-8', 'ignore')}~{digest}{ending}"


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
