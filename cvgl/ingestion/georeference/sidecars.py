"""What lies beside images and says where they are: world files, projections, and GDAL's `.aux.xml`."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

from cvgl.geo import LOCAL_CRS
from cvgl.ingestion.entries import Entry, Georeference, PositionSource, Reason, RefusedError, WorldFile
from cvgl.ingestion.georeference.rasters import read_aux_xml
from cvgl.ingestion.walking import check_side_file

# First and last letter of the image's ending with a w, or all of it with a w; projections; what GDAL leaves behind.
SIDECAR_SUFFIXES = frozenset(
    {".wld", ".jgw", ".jpgw", ".jpegw", ".pgw", ".pngw", ".tfw", ".tifw", ".tiffw", ".bpw", ".bmpw", ".gfw", ".gifw"}
    | {".j2w", ".jp2w", ".wpw", ".webpw", ".prj", ".xml", ".ovr", ".msk", ".aux"}
    # ArcGIS beside a turned raster, MapInfo, rational polynomials.
    | {".jgwx", ".pgwx", ".tfwx", ".tab", ".rpb", ".imd"}
)
_MAX_BYTES = 65_536  # of a world file or a projection; more is something else under their name
_PLACED_BY_THEMSELVES = frozenset({".tif", ".tiff", ".jp2", ".jpx"})
_MAX_AUX_BYTES = 8 * 2**20  # histograms and tables of attributes stand there, too


class Sidecars:
    """The names in one folder, read once, so that finding a sidecar whatever its case costs nothing.

    Args:
        folder: that holds the images.
        root: the source, resolved: a sidecar that links out of it is not opened.
    """

    def __init__(self, folder: Path, root: Path) -> None:
        self._root = root
        self._names = {name.name.lower(): name for name in sorted(folder.iterdir())}
        self._used: set[Path] = set()

    def unused(self) -> list[Path]:
        """Side files that no image's position was looked for in: another's, or of an image that a table places."""
        sides = (path for path in self._names.values() if path.suffix.lower() in SIDECAR_SUFFIXES)
        return [path for path in sides if path not in self._used]

    def _beside(self, name: str) -> Path | None:
        path = self._names.get(name.lower())
        if path is not None:
            self._used.add(path)
        return path

    def world_file(self, image: Path) -> WorldFile | None:
        """The world file of an image, or None. Its CRS stands in the `.aux.xml`, as GDAL writes it, else in the `.prj`.

        Raises:
            RefusedError: there is one, and it makes no sense.
        """
        georeference, projection = self.georeference(image), self.projection(image)
        return self.placed_by(image, (georeference.crs if georeference else None) or projection)

    def placed_by(self, image: Path, crs: str | None) -> WorldFile | None:
        """The world file of an image whose CRS is known, or None.

        Raises:
            RefusedError: there is one, and it makes no sense.
        """
        suffix = image.suffix[1:]
        stem, name = image.stem.lower(), image.name.lower()
        # The last is what gdal_retile writes.
        for side in (f"{stem}.{suffix[:1]}{suffix[-1:]}w", f"{stem}.{suffix}w", f"{stem}.wld", f"{name}.wld"):
            path = self._beside(side)
            if path is not None:
                return read_world_file(path, self._root, crs or LOCAL_CRS)
        return None

    def projection(self, image: Path) -> str | None:
        """The text of an image's `.prj`, or None.

        Raises:
            RefusedError: there is one, and it cannot be read.
        """
        path = self._beside(f"{image.stem}.prj")
        return None if path is None else _read_small(path, self._root) or None

    def georeference(self, image: Path) -> Georeference | None:
        """What an image's `.aux.xml` says of where it lies; its problem says why it cannot be read."""
        path = self._beside(f"{image.name}.aux.xml")
        if path is None:
            return None
        try:
            check_side_file(path, self._root)
            data = _bytes(path, _MAX_AUX_BYTES)
        except RefusedError as refused:
            return Georeference(PositionSource.AUX_XML, problem=refused.detail)
        georeference = read_aux_xml(data)
        if georeference is None or not georeference.problem:
            return georeference
        return replace(georeference, problem=f"{path.name}: {georeference.problem}")


def with_side_files(entry: Entry, sidecars: Sidecars) -> Entry:
    """An entry with what lies beside its image.

    Raises:
        RefusedError: a file beside it makes no sense, and the image is of no format that says itself where it lies.
    """
    georeference, projection, world_file = sidecars.georeference(entry.path), None, None
    try:
        projection = sidecars.projection(entry.path)
        world_file = sidecars.placed_by(entry.path, (georeference.crs if georeference else None) or projection)
    except RefusedError as refused:
        if entry.path.suffix.lower() not in _PLACED_BY_THEMSELVES and not (georeference and georeference.transform):
            raise
        return replace(entry, georeference=georeference, side_problem=refused.detail)
    source = PositionSource.WORLD_FILE if world_file else None
    return replace(entry, georeference=georeference, projection=projection, world_file=world_file, position_source=source)


def read_world_file(path: Path, root: Path, crs: str) -> WorldFile:
    """Reads the six lines of a world file (a, d, b, e, c, f); what follows them does not count.

    Raises:
        RefusedError: it does not hold six finite numbers, or its pixels have no area.
    """
    text = _read_small(path, root)
    lines = [line.split() for line in text.splitlines() if line.strip()]
    words = [line[0] for line in lines] if len(lines) >= 6 else text.split()
    try:
        # Some countries write a decimal comma, and so do their programs.
        numbers = [float(word.replace(",", ".")) for word in words[:6]]
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
    try:
        return _bytes(path, _MAX_BYTES).decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise RefusedError(Reason.BAD_POSITION, f"{path.name} is not text") from error


def _bytes(path: Path, most: int) -> bytes:
    if not path.is_file():
        raise RefusedError(Reason.BAD_POSITION, f"{path.name} is not a file")
    try:
        if path.stat().st_size > most:
            raise RefusedError(Reason.BAD_POSITION, f"{path.name} is too long for what its name says")
        return path.read_bytes()
    except OSError as error:
        raise RefusedError(Reason.BAD_POSITION, f"{path.name} cannot be read: {error.strerror}") from error
