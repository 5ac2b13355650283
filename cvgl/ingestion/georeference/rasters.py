"""Where a raster says that it lies: GeoTIFF and GeoJP2 by their own tags, anything by GDAL's `.aux.xml` beside it.

GDAL reads the tags, so its conventions hold: a transform is about the corners of pixels, and PixelIsPoint is half a pixel
off. It is given the open file and nothing else: no second file, no link, no address is ever followed. Pixels are not read.
"""

from __future__ import annotations

import functools
import io
import logging
import math
import os
import re
import threading
import uuid
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO, NamedTuple

from cvgl.errors import DataError
from cvgl.geo import LOCAL_CRS, canonical_crs, is_local
from cvgl.ingestion.entries import Georeference, PositionSource, Transform
from cvgl.ingestion.georeference.tiff_tags import RPC, problem_of_tags, read_tags

# An image of one pixel: what GDAL reads an `.aux.xml` beside of. (PNM would do, but GDAL 3.10 leaves its transform unset.)
_PIXEL = (
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0:~\x9bU\0\0\0\nIDATx\x9cc`\0\0\0\x02\0\x01H\xaf\xa4q"
    b"\0\0\0\0IEND\xaeB`\x82"
)
_TIFF_HEADERS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the latter two: BigTIFF
_JP2_HEADER = b"\0\0\0\x0cjP  \r\n\x87\n"  # a bare code stream has no place for a position
_IDENTITIES = ((1.0, 0.0, 0.0, 0.0, 1.0, 0.0), (1.0, 0.0, 0.0, 0.0, -1.0, 0.0))
_MAX_MISFIT = 0.01  # of the image's diagonal: control points that a plane misses by more than this describe no plane
# What the environment may say otherwise. GDAL gets no second file to look into, whatever is set here.
_OPTIONS = {
    "GDAL_PAM_ENABLED": "YES",
    "GDAL_GEOREF_SOURCES": "PAM,INTERNAL",
    "GDAL_DISABLE_READDIR_ON_OPEN": "FALSE",
    "GTIFF_POINT_GEO_IGNORE": "FALSE",
}
_ASCII = bytes(byte if byte < 128 else ord("?") for byte in range(256))
_LOGGERS = ("rasterio", "rasterio.env", "rasterio.io", "rasterio._base", "rasterio._env", "rasterio._err", "rasterio._io")


class Header(NamedTuple):
    """What the header of a TIFF or JPEG 2000 says.

    Attributes:
        georeference: where the raster lies; None where nothing says it, or the file is of another format.
        pages: how many images follow the first, which is the one that counts.
        size: width and height as stored, before any orientation; None where they are not known.
    """

    georeference: Georeference | None = None
    pages: int = 0
    size: tuple[int, int] | None = None


def read_own(stream: BinaryIO) -> Header:
    """Reads what a TIFF or JPEG 2000 says of where it lies.

    Args:
        stream: an open regular file; its position is left where it was.
    """
    driver = _driver(stream)
    if driver is None:
        return Header()
    source = PositionSource.GEOTIFF if driver == "GTiff" else PositionSource.GEOJP2
    tags = read_tags(stream.fileno())
    problem = problem_of_tags(tags)
    if problem is not None:
        return Header(Georeference(source, problem=problem))
    with _quiet() as messages:
        import rasterio

        def opener(path: str, mode: str = "rb") -> BinaryIO:
            if path.lstrip("/") != "raster":
                raise FileNotFoundError(path)
            return io.BufferedReader(_Positioned(stream.fileno(), tags.letters))

        try:
            with rasterio.Env(**_OPTIONS), rasterio.open("/raster", driver=driver, opener=opener) as dataset:
                georeference = _georeference(dataset, source)
                size = (dataset.width, dataset.height)
                pages = max(0, len(dataset.subdatasets) - 1)  # of one page there is no list
        except Exception as error:  # noqa: BLE001  # whatever a library makes of hostile tags: the image itself is sound
            return Header(Georeference(source, problem=f"it cannot be read: {_plain(str(error))}"))
    if georeference is None and RPC in tags.values:
        problem = "it has rational polynomials (RPC) only, which need a height to say where the image lies"
        return Header(Georeference(source, problem=problem), pages, size)
    if messages and (georeference is None or georeference.crs is None):
        georeference = Georeference(source, problem=f"it cannot be read: {_plain(messages[0])}")
    return Header(georeference, pages, size)


def read_aux_xml(data: bytes) -> Georeference | None:
    """Reads the content of a `.aux.xml`, GDAL's or ESRI's: CRS, transform, or ground control points.

    Returns:
        What it says of where its raster lies, None where it says nothing of that.
    """
    try:
        elements = _elements(data)
    except ValueError as error:
        return Georeference(PositionSource.AUX_XML, problem=str(error))
    if elements.keys() & {"GCPList", "GeodataXform"}:
        return _by_gdal(data)
    return _by_elements(elements.get("SRS"), elements.get("GeoTransform"))


def _by_elements(srs: str | None, numbers: str | None) -> Georeference | None:
    """The two elements that nearly all have: x is east and y is north, whatever order the CRS has."""
    source = PositionSource.AUX_XML
    crs = _stored(srs) if srs else None
    try:
        c, a, b, f, d, e = map(float, numbers.split(",")) if numbers else (0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    except ValueError:
        return Georeference(source, crs=crs, problem="its GeoTransform does not hold six numbers")
    transform = (a, b, c, d, e, f)
    is_placed = transform not in _IDENTITIES
    problem = (problem_of(transform) if is_placed else None) or _problem_of_crs(crs)
    if crs is None and not is_placed:
        return None
    return Georeference(source, transform if is_placed and not problem else None, crs if not problem else None, problem or "")


def _problem_of_crs(crs: str | None) -> str | None:
    if crs is None or is_local(crs):
        return None
    try:
        canonical_crs(crs)
    except DataError as error:
        return error.what
    return None


def _by_gdal(data: bytes) -> Georeference | None:
    """Ground control points, GDAL's and ESRI's."""
    folder = uuid.uuid4().hex
    with _quiet():
        import rasterio
        from rasterio.io import MemoryFile

        try:
            with (
                rasterio.Env(**_OPTIONS),
                MemoryFile(data, dirname=folder, filename="x.png.aux.xml"),
                MemoryFile(_PIXEL, dirname=folder, filename="x.png") as pixel,
                pixel.open(driver="PNG") as dataset,
            ):
                return _georeference(dataset, PositionSource.AUX_XML)
        except Exception as error:  # noqa: BLE001  # see `read_own`
            return Georeference(PositionSource.AUX_XML, problem=f"it cannot be read: {_plain(str(error))}")


def _driver(stream: BinaryIO) -> str | None:
    head = os.pread(stream.fileno(), len(_JP2_HEADER), 0)
    if head == _JP2_HEADER:
        return "JP2OpenJPEG"
    return "GTiff" if head.startswith(_TIFF_HEADERS) else None


def _elements(data: bytes) -> dict[str, str]:
    """Texts of what a PAMDataset holds, by name."""
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        root = fromstring(data, forbid_dtd=True)
    except (ParseError, DefusedXmlException, LookupError, ValueError) as error:
        raise ValueError(f"it is not sound XML: {_plain(str(error))}") from error
    if root.tag != "PAMDataset":
        return {}
    return {node.tag: (node.text or "").strip() for node in (*root, *root.iter("GeodataXform"))}


def _georeference(dataset: Any, source: PositionSource) -> Georeference | None:
    points, points_crs = dataset.gcps
    a, b, c, d, e, f = map(float, dataset.transform[:6])
    transform = (a, b, c, d, e, f)
    if transform not in _IDENTITIES:
        problem = problem_of(transform)
        return Georeference(source, None if problem else transform, _crs_text(dataset.crs), problem or "")
    if points:
        return _by_control_points(points, _crs_text(points_crs), dataset.width, dataset.height, source)
    crs = _crs_text(dataset.crs)
    return None if crs is None else Georeference(source, crs=crs)


def problem_of(transform: Transform) -> str | None:
    """What is wrong with six numbers that place pixels, or None."""
    if not all(map(math.isfinite, transform)):
        return "its transform is not a number"
    a, b, _, d, e, _ = transform
    return "its pixels have no area" if a * e - b * d == 0 else None


def _by_control_points(points: list[Any], crs: str | None, width: int, height: int, source: PositionSource) -> Georeference:
    """The plane through ground control points, by least squares."""
    import numpy as np

    if len(points) < 3:
        return Georeference(source, crs=crs, problem="it has fewer than three ground control points")
    pixels = np.array([(point.col, point.row, 1.0) for point in points])
    places = np.array([(point.x, point.y) for point in points])
    if not (np.isfinite(pixels).all() and np.isfinite(places).all()):
        return Georeference(source, crs=crs, problem="a ground control point is not a number")
    middle = places.mean(axis=0)  # coordinates are large beside their differences
    coefficients, _, rank, _ = np.linalg.lstsq(pixels, places - middle, rcond=None)
    (a, d), (b, e), (c, f) = coefficients
    if rank < 3 or a * e - b * d == 0:
        return Georeference(source, crs=crs, problem="its ground control points lie on one line")
    misfit = (pixels @ coefficients + middle - places) @ np.linalg.inv(np.array([[a, d], [b, e]]))
    worst = float(np.hypot(*misfit.T).max())
    span = np.ptp(pixels[:, :2], axis=0)
    if worst > _MAX_MISFIT * max(math.hypot(width, height) if width > 1 else 0.0, math.hypot(*span)):
        problem = f"its ground control points lie on no plane: they are up to {worst:.0f} pixels off"
        return Georeference(source, crs=crs, problem=problem)
    fitted = (float(a), float(b), float(c + middle[0]), float(d), float(e), float(f + middle[1]))
    return Georeference(source, fitted, crs)


def _crs_text(crs: Any) -> str | None:
    return _stored(crs.to_wkt()) if crs else None


@functools.lru_cache(maxsize=64)
def _stored(wkt: str) -> str:
    """A CRS as it is stored; one without a place on Earth is "local". What PROJ refuses stays, to be refused with its words."""
    import pyproj

    try:
        crs = stated = pyproj.CRS.from_user_input(wkt)
        if crs.type_name == "Engineering CRS" and all(axis.unit_conversion_factor == 1 for axis in crs.axis_info):
            return LOCAL_CRS
        if crs.is_compound:
            crs = crs.sub_crs_list[0]
        if not crs.is_bound and len(crs.axis_info) == 3:
            crs = crs.to_2d()
        return canonical_crs(wkt if crs is stated else crs.to_wkt())
    except (pyproj.exceptions.CRSError, DataError):
        return wkt


class _Positioned(io.RawIOBase):
    """A reader of an open file with a place of its own: the file's other readers stay where they are.

    Args:
        descriptor: of the file.
        texts: from where to where there is text, in which everything beyond ASCII becomes a question mark: rasterio's handler
            of GDAL's messages fails where they quote other bytes, and Python tells of that on the terminal.
    """

    def __init__(self, descriptor: int, texts: Sequence[tuple[int, int]]) -> None:
        super().__init__()
        self._descriptor, self._texts, self._place = descriptor, texts, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = os.pread(self._descriptor, len(buffer), self._place)
        buffer[: len(data)] = data
        for text in self._texts:
            first, last = (min(max(place - self._place, 0), len(data)) for place in text)
            buffer[first:last] = bytes(buffer[first:last]).translate(_ASCII)
        self._place += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: os.fstat(self._descriptor).st_size}[whence]
        self._place = max(0, start + offset)
        return self._place


class _Collected(logging.Filter):
    """Takes what rasterio logs in a thread that reads for us; other uses of rasterio in the process are left alone."""

    def __init__(self) -> None:
        super().__init__()
        self.thread = threading.local()
        self._lock, self._is_set = threading.Lock(), False

    def filter(self, record: logging.LogRecord) -> bool:
        messages: list[str] | None = getattr(self.thread, "messages", None)
        if messages is None:
            return True
        messages.append(record.getMessage())
        return False

    def install(self) -> None:
        """Puts the filter in front of rasterio's loggers, once, and stops its warning of images without a position."""
        from rasterio.errors import NotGeoreferencedWarning

        with self._lock:
            if not self._is_set:
                for name in _LOGGERS:
                    logging.getLogger(name).addFilter(self)
            self._is_set = True
            if not any(kind is NotGeoreferencedWarning for _, _, kind, _, _ in warnings.filters):
                warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)


_collected = _Collected()


@contextmanager
def _quiet() -> Iterator[list[str]]:
    """Collects what GDAL says meanwhile in this thread, instead of letting it onto the terminal."""
    _collected.install()
    messages: list[str] = []
    _collected.thread.messages = messages
    try:
        yield messages
    finally:
        _collected.thread.messages = None


def _plain(message: str) -> str:
    """A message of GDAL's without the name that the file had for it."""
    quoted = re.search(r"msg='(.*)'$", message)
    message = re.sub(r"^CPLE_\w+ in ", "", quoted[1] if quoted else message)
    return re.sub(r"(/vsi\w+/)?\S*\b(raster|x\.png(\.aux\.xml)?):? ", "", message).strip() or "no reason is stated"
