"""Coordinate reference systems: which one a text names, whether positions can be in it, and its own degrees.

What a CRS is decides pyproj, never the spelling of its name. Everywhere x is east and y is north, whatever order the CRS
itself has (pyproj's ``always_xy``).
"""

from __future__ import annotations

import math
import re
import warnings
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from cvgl.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Float64Array = NDArray[np.float64]

LOCAL_CRS = "local"
WGS84 = "EPSG:4326"

_MAX_CHARACTERS = 65_536
_EARTH_RADII_M = (6.3e6, 6.45e6)  # of every ellipsoid and sphere that stands for the Earth
_FIX = "write it like EPSG:32632, or 'local' for a metric frame without a place on Earth"
_CODE = re.compile(r"(?:\+init=)?(epsg):+(\d+)|(\d+)", re.IGNORECASE)
# Texts that say themselves what they are. Others are names, which PROJ also answers for when they are only a part of one.
_FORMAL = re.compile(r"[a-z_][\w.]*:[^\s]+$|\+|\{|[a-z_]\w*\s*[\[(]", re.IGNORECASE)
_SHORT_NAMES = {"crs84": "OGC:CRS84", "wgs84": WGS84, "wgs 84": WGS84, "nad83": "EPSG:4269", "nad27": "EPSG:4267"}
_UNUSABLE = {
    "Geocentric CRS": "has three axes from the middle of the Earth, not x east and y north",
    "Vertical CRS": "says only how high something is",
    "Temporal CRS": "says only when something was",
    "Engineering CRS": "has no place on Earth",
    "Parametric CRS": "has no place on Earth",
}


@dataclass(frozen=True)
class Frame:
    """A CRS that horizontal positions can be in.

    Attributes:
        name: as it is stored: ``EPSG:n`` where the CRS is exactly that one, else the text as given.
        crs: pyproj's, of the horizontal part; where the text brings its own way to WGS 84, with that.
    """

    name: str
    crs: Any

    @cached_property
    def horizontal(self) -> Any:
        """The horizontal CRS without a way to another datum."""
        return _flat(self.crs.source_crs if self.crs.is_bound else self.crs)

    @cached_property
    def geodetic(self) -> Any:
        """The geographic CRS of the same datum that it is made from."""
        crs = self.horizontal
        while crs.is_derived and crs.is_geographic:  # a turned pole
            crs = crs.source_crs
        return _flat(crs if crs.is_geographic else crs.geodetic_crs)

    @cached_property
    def geod(self) -> Any:
        """pyproj.Geod of its own ellipsoid."""
        import pyproj

        ellipsoid = self.geodetic.ellipsoid
        return pyproj.Geod(a=ellipsoid.semi_major_metre, b=ellipsoid.semi_minor_metre)

    @property
    def label(self) -> str:
        """Its name in sentences: the code, or the name within a long text."""
        return self.name if len(self.name) <= 60 else str(self.horizontal.name)

    @property
    def is_geographic(self) -> bool:
        """Whether x and y are longitude and latitude."""
        return bool(self.horizontal.is_geographic) and not self.horizontal.is_derived

    @property
    def unit(self) -> tuple[str, float]:
        """Name of the unit of x and y, and metres (of an angle: radians) in it."""
        axis = self.horizontal.axis_info[0]
        return str(axis.unit_name), float(axis.unit_conversion_factor)

    @property
    def north_first(self) -> bool:
        """Whether the CRS itself names north before east."""
        first, second = (axis.direction.lower() for axis in self.horizontal.axis_info[:2])
        return first in ("north", "south") and second in ("east", "west")

    @cached_property
    def _to_geodetic(self) -> Any:
        from pyproj import Transformer

        return Transformer.from_crs(self.horizontal, self.geodetic, always_xy=True)

    def degrees(self, x: ArrayLike, y: ArrayLike) -> tuple[Float64Array, Float64Array]:
        """x, y -> (longitude, latitude) in degrees of its own datum and meridian; exact, since no datum is left.

        NaN where x and y are no place of this CRS.
        """
        x, y = np.asarray(x, float), np.asarray(y, float)
        if not self.is_geographic:
            x, y = (np.asarray(values) for values in self._to_geodetic.transform(x, y))
        scale = math.degrees(self.geodetic.axis_info[0].unit_conversion_factor)
        longitude, latitude = np.asarray(x * scale, float), np.asarray(y * scale, float)
        nowhere = ~(np.isfinite(longitude) & (np.abs(latitude) <= 90 + 1e-9))
        return np.where(nowhere, np.nan, longitude), np.where(nowhere, np.nan, latitude)

    @cached_property
    def meridian(self) -> float:
        """Degrees of its prime meridian east of Greenwich."""
        meridian = self.geodetic.prime_meridian
        return math.degrees(meridian.longitude * meridian.unit_conversion_factor)


def canonical_crs(text: str) -> str:
    """The text under which a CRS is stored: ``"local"``, ``EPSG:n`` where it is exactly that one, else as given.

    Args:
        text: a code, a name in full, WKT (ESRI's too), PROJJSON or a PROJ string; or ``"local"``.

    Raises:
        DataError: PROJ does not know it, or horizontal positions on Earth cannot be in it.
    """
    return LOCAL_CRS if is_local(text) else frame_of(text).name


def is_local(text: str) -> bool:
    """Whether a text means the metric frame without a place on Earth."""
    return text.strip().lower() == LOCAL_CRS


def is_wgs84(text: str) -> bool:
    """Whether x and y in this CRS are longitude and latitude in degrees of WGS 84.

    Raises:
        DataError: see `canonical_crs`.
    """
    if is_local(text):
        return False
    frame = frame_of(text)
    return not frame.crs.is_bound and _same(frame.horizontal, _parsed(WGS84))


def full_turn(crs: str) -> float | None:
    """What x counts once around the Earth where it is a longitude (360 degrees, 400 grads); None where it is a distance."""
    if is_local(crs) or not frame_of(crs).is_geographic:
        return None
    return 2 * math.pi / frame_of(crs).unit[1]


def same_crs(first: str, second: str) -> bool:
    """Whether two texts are the same CRS; False where one of them is none."""
    try:
        return first == second or canonical_crs(first) == canonical_crs(second)
    except DataError:
        return False


@lru_cache(maxsize=512)
def frame_of(text: str) -> Frame:
    """The CRS that a text means.

    Raises:
        DataError: PROJ does not know it, or horizontal positions on Earth cannot be in it; ``"local"`` is none, either.
    """
    text = text.strip()
    if is_local(text):
        raise DataError("a local metric frame has no latitude and longitude", where="crs", fix="give the CRS of the map")
    crs = _without_null_shift(_parsed(text))
    code = _code_of(crs)
    # What a code says is all that counts: a text that is equivalent may call its datum by a name that PROJ knows no shift of.
    frame = (
        Frame(text, _horizontal(crs, text)) if code is None else Frame(f"EPSG:{code}", _horizontal(_parsed_epsg(code), text))
    )
    _check_usable(frame, text)
    return frame


def _parsed(text: str) -> Any:
    import pyproj

    pyproj.network.set_network_enabled(active=False)  # where an image lies is the same with and without a network
    if len(text) > _MAX_CHARACTERS or not text:
        raise DataError(f"{_short(text)} is not a coordinate reference system", where="crs", fix=_FIX)
    code = _CODE.fullmatch(text)
    wanted = _SHORT_NAMES.get(text.lower(), f"EPSG:{code[2] or code[3]}" if code else text)
    if "+init=" in wanted.lower():
        raise DataError(f"{_short(text)} names a file of definitions, which is not read", where="crs", fix=_FIX)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            crs = pyproj.CRS.from_user_input(wanted)
    except pyproj.exceptions.CRSError as error:
        raise DataError(f"{_short(text)} is not a coordinate reference system", where="crs", fix=_FIX) from error
    if not _FORMAL.match(wanted) and _plain(crs.name) != _plain(wanted):
        # PROJ takes 'beijing' for 'New Beijing'.
        raise DataError(f"{_short(text)} is not the name of a coordinate reference system", where="crs", fix=_FIX)
    return crs


def _without_null_shift(crs: Any) -> Any:
    """WGS 84 that is said to be shifted by nothing is WGS 84: GDAL writes it so."""
    if crs.is_bound and not crs.source_crs.is_compound and not any(crs.coordinate_operation.towgs84 or (1,)):
        geodetic = crs.source_crs.geodetic_crs
        if geodetic is not None and _same(_flat(geodetic), _parsed_epsg(4326)):
            return crs.source_crs
    return crs


def _horizontal(crs: Any, text: str) -> Any:
    if crs.is_bound and crs.source_crs.is_compound:
        raise DataError(f"{_short(text)}: a shift to another datum of a compound CRS is not read", where="crs", fix=_FIX)
    return _flat(crs.sub_crs_list[0] if crs.is_compound else crs)


def _flat(crs: Any) -> Any:
    return crs.to_2d() if not crs.is_bound and len(crs.axis_info) == 3 and not crs.is_geocentric else crs


def _check_usable(frame: Frame, text: str) -> None:
    import pyproj

    kind = frame.horizontal.type_name
    problem = next(
        (problem for type_name, problem in _UNUSABLE.items() if kind.endswith(type_name) and type_name != "Geographic CRS"),
        None,
    )
    if problem is None and (len(frame.horizontal.axis_info) != 2 or frame.horizontal.geodetic_crs is None):
        problem = "does not say where x and y lie on Earth"
    if problem is None and not _EARTH_RADII_M[0] < frame.geodetic.ellipsoid.semi_major_metre < _EARTH_RADII_M[1]:
        problem = "is not on Earth"
    if problem is None and not frame.is_geographic:
        try:
            frame.degrees(0.0, 0.0)
        except pyproj.exceptions.ProjError:
            problem = "cannot be computed by the PROJ that is installed"
    if problem is not None:
        raise DataError(f"{_short(text)}, {frame.horizontal.name}, {problem}", where="crs", fix=_FIX)


def _code_of(crs: Any) -> int | None:
    """The EPSG code that a CRS is exactly the same as; None where it is none of them."""
    if crs.is_bound:
        return None
    code = crs.to_epsg()
    if code is None and _same(crs, _parsed_epsg(4326)):
        code = 4326  # CRS84 differs in the order of axes only
    return int(code) if code is not None and _same(crs, _parsed_epsg(code)) else None


@lru_cache(maxsize=512)
def _parsed_epsg(code: int) -> Any:
    import pyproj

    return pyproj.CRS.from_epsg(code)


def _same(first: Any, second: Any) -> bool:
    """Whether x east and y north mean the same in both, to a tenth of a millimetre in the second's area of use."""
    if first.equals(second, ignore_axis_order=True):
        return True
    # PROJ leaves the order of axes out for geographic CRSs only, and an ESRI .prj always begins with east.
    if not (first.is_projected and second.is_projected and second.area_of_use) or first.is_compound or second.is_compound:
        return False
    if not first.geodetic_crs.equals(second.geodetic_crs, ignore_axis_order=True):
        return False
    from pyproj import Transformer

    west, south, east, north = second.area_of_use.bounds
    longitudes = west + (east - west) % 360 * np.array([0.2, 0.5, 0.8, 0.3])
    latitudes = south + (north - south) * np.array([0.3, 0.5, 0.2, 0.8])
    geodetic = second.geodetic_crs
    meridian = geodetic.prime_meridian
    scale = np.degrees(geodetic.axis_info[0].unit_conversion_factor)
    longitudes = (longitudes - np.degrees(meridian.longitude * meridian.unit_conversion_factor)) / scale
    ends = [
        Transformer.from_crs(geodetic, crs, always_xy=True).transform(longitudes, latitudes / scale) for crs in (first, second)
    ]
    return bool(np.isfinite(ends).all() and np.allclose(ends[0], ends[1], rtol=0, atol=1e-4))


def _plain(name: str) -> str:
    return re.sub(r"[\s_]+", " ", name).strip().casefold()


def _short(text: str) -> str:
    text = " ".join(text.split())
    return f"'{text}'" if len(text) <= 60 else f"'{text[:57]}...'"
