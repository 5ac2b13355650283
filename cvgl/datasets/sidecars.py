"""What lies beside pictures and says where they are: world files, projections, and CSVs with positions."""

from __future__ import annotations

import math
from pathlib import Path

from cvgl.datasets.entries import Reason, RefusedError, WorldFile
from cvgl.datasets.walking import check_side_file
from cvgl.geo import LOCAL_CRS

# First and last letter of the picture's ending with a w, or all of it with a w; projections; what GDAL leaves behind.
SIDECAR_SUFFIXES = frozenset(
    {".wld", ".jgw", ".jpgw", ".jpegw", ".pgw", ".pngw", ".tfw", ".tifw", ".tiffw", ".bpw", ".bmpw", ".gfw", ".gifw"}
    | {".j2w", ".jp2w", ".wpw", ".webpw", ".prj", ".xml", ".ovr"}
)
_MOST_BYTES = 65_536  # of a world file or a projection; more is something else under their name


class Sidecars:
    """The names in one folder, read once, so that finding a sidecar whatever its case costs nothing.

    Args:
        folder: that holds the pictures.
        root: the source, resolved: a sidecar that links out of it is not opened.
    """

    def __init__(self, folder: Path, root: Path) -> None:
        self._root = root
        self._names = {name.name.lower(): name for name in sorted(folder.iterdir())}

    def world_file(self, picture: Path) -> WorldFile | None:
        """The world file of a picture, or None.

        Raises:
            RefusedError: there is one, and it makes no sense.
        """
        suffix = picture.suffix[1:]
        for ending in (f"{suffix[:1]}{suffix[-1:]}w", f"{suffix}w", "wld"):
            path = self._names.get(f"{picture.stem}.{ending}".lower())
            if path is not None:
                return read_world_file(path, self._root, self._crs(picture))
        return None

    def _crs(self, picture: Path) -> str:
        path = self._names.get(f"{picture.stem}.prj".lower())
        if path is None:
            return LOCAL_CRS
        return _read_small(path, self._root) or LOCAL_CRS


def read_world_file(path: Path, root: Path, crs: str) -> WorldFile:
    """Reads the six lines of a world file (a, d, b, e, c, f).

    Raises:
        RefusedError: it does not hold six finite numbers, or its pixels have no area.
    """
    try:
        numbers = [float(word) for word in _read_small(path, root).split()]
    except ValueError as error:
        raise RefusedError(Reason.BAD_POSITION, f"the world file {path.name} holds something else than numbers") from error
    if len(numbers) != 6 or not all(map(math.isfinite, numbers)):
        raise RefusedError(Reason.BAD_POSITION, f"the world file {path.name} does not hold six numbers")
    a, d, b, e, c, f = numbers
    if a * e - b * d == 0:
        raise RefusedError(Reason.BAD_POSITION, f"the pixels of the world file {path.name} have no area")
    return WorldFile(a, d, b, e, c, f, crs)


def _read_small(path: Path, root: Path) -> str:
    check_side_file(path, root)
    if not path.is_file():
        raise RefusedError(Reason.BAD_POSITION, f"{path.name} is not a file")
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise RefusedError(Reason.BAD_POSITION, f"{path.name} is too long for what its name says")
        return path.read_text("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise RefusedError(Reason.BAD_POSITION, f"{path.name} is not text") from error
    except OSError as error:
        raise RefusedError(Reason.BAD_POSITION, f"{path.name} cannot be read: {error.strerror}") from error
