"""Which of the things that say where an image lies counts: a table, then the raster or what lies beside it, then its camera.

Among a raster's own the order is GDAL's, for the transform and the CRS each: `.aux.xml`, the tags in the file, and then the
world file and the `.prj`.
"""

from __future__ import annotations

from dataclasses import dataclass

from cvgl.geo import LOCAL_CRS, Position
from cvgl.ingestion.entries import Entry, Georeference, PositionSource, Reason, RefusedError, Transform, WorldFile
from cvgl.ingestion.fields import planar
from cvgl.ingestion.scan_cache import Scan

_MAX_DEGREES_PER_PIXEL = 0.01
_AS_DEGREES = (
    "the coordinates look like degrees, and no CRS is stated; put a .prj or an .aux.xml beside the image, or, for a metric"
    " frame of its own, give x, y and the crs 'local' in a table"
)


@dataclass(frozen=True, slots=True)
class SourcedPosition:
    """The position of an image and its source.

    Attributes:
        position: of its middle; None where nothing usable says it.
        source: what said it.
        remark: what a person should know about it; empty where there is nothing.
    """

    position: Position | None = None
    source: PositionSource | None = None
    remark: str = ""


def position_of(entry: Entry, scan: Scan) -> SourcedPosition:
    """The position of an image: from its layout, else its files, else its camera.

    Raises:
        RefusedError: a file that somebody put beside the image to place it makes no sense.
    """
    if entry.position is not None:
        return SourcedPosition(entry.position, entry.position_source)
    sourced = _by_raster(entry, scan)
    if sourced.position is None and entry.from_camera and scan.latitude is not None:
        position = Position(latitude=scan.latitude, longitude=scan.longitude)
        return SourcedPosition(position, scan.position_source or PositionSource.EXIF, sourced.remark)
    return sourced


def _by_raster(entry: Entry, scan: Scan) -> SourcedPosition:
    own = scan.raster if entry.from_raster else None
    sides = [each for each in (entry.georeference, own) if each is not None]
    remark = next((each.problem for each in sides if each.problem), "")
    crs = next((each.crs for each in sides if each.crs is not None), entry.projection)
    for each in sides:
        if each.transform is not None:
            return _by_transform(each.transform, each.source, crs, remark, scan)
    if entry.side_problem:
        raise RefusedError(Reason.BAD_POSITION, entry.side_problem)
    if entry.world_file is not None:
        return _by_world_file(entry.world_file, entry.georeference, crs, scan)
    return SourcedPosition(remark=remark or _without_transform(entry, scan, own))


def _by_transform(transform: Transform, source: PositionSource, crs: str | None, remark: str, scan: Scan) -> SourcedPosition:
    a, b, c, d, e, f = transform
    width, height = scan.stored_size or (scan.width, scan.height)
    centre = (a * width / 2 + b * height / 2 + c, d * width / 2 + e * height / 2 + f)
    try:
        if crs is None and _looks_like_degrees(*centre, a, b, d, e):
            raise RefusedError(Reason.BAD_POSITION, _AS_DEGREES)
        position = planar(*centre, crs or LOCAL_CRS)
    except RefusedError as refused:
        if source is PositionSource.AUX_XML:
            raise
        # A program wrote this into the image, and nobody meant it as the last word: the image itself is sound.
        return SourcedPosition(remark=f"its own position is not used: {refused.detail}")
    if crs is None:
        remark = remark or "no CRS is stated: x and y are taken for metres of a frame without a place on Earth ('local')"
    return SourcedPosition(position, source, remark)


def _by_world_file(world: WorldFile, beside: Georeference | None, crs: str | None, scan: Scan) -> SourcedPosition:
    crs = crs or (world.crs if world.crs != LOCAL_CRS else None)
    centre = world.centre(*(scan.stored_size or (scan.width, scan.height)))
    if crs is None:
        if beside is not None and beside.problem:
            raise RefusedError(Reason.BAD_POSITION, f"the CRS of its world file cannot be read: {beside.problem}")
        if _looks_like_degrees(*centre, world.a, world.b, world.d, world.e):
            raise RefusedError(Reason.BAD_POSITION, f"the world file has no CRS: {_AS_DEGREES}")
    return SourcedPosition(planar(*centre, crs or LOCAL_CRS), PositionSource.WORLD_FILE)


def _without_transform(entry: Entry, scan: Scan, own: Georeference | None) -> str:
    """A remark on a position source that is present and not used; empty where there is none."""
    if scan.raster is not None and scan.raster.transform is not None and own is None:
        return "it has a position in its own tags, which does not count here (docs/how-to/ingestion.md)"
    if entry.georeference is not None and entry.georeference.crs is not None:
        return "its .aux.xml states a CRS, and nothing states where in it the image lies"
    if own is not None and own.crs is not None:
        return "its tags state a CRS, and nothing states where in it the image lies"
    return "a .prj lies beside it, and no world file" if entry.projection is not None else ""


def _looks_like_degrees(x: float, y: float, a: float, b: float, d: float, e: float) -> bool:
    """Whether pixels of this size at these numbers are degrees: in metres they would be finer than a centimetre."""
    return max(map(abs, (a, b, d, e))) < _MAX_DEGREES_PER_PIXEL and abs(x) <= 180 and abs(y) <= 90
