"""Which known kind of file that is no image for this library some bytes or a name are, and what to do with it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file.

    Attributes:
        name: with its article, completing "the file is ...".
        fix: what to do instead, as an instruction.
    """

    name: str
    fix: str

    @property
    def is_video(self) -> bool:
        """Whether it is one."""
        return self is _VIDEO


_REMOVE = "remove it from the images"
_EXPORT = "export it as JPEG, PNG or TIFF"
_HEIC = Kind("a HEIC/HEIF image", "convert it to JPEG or PNG, or install the extra that reads it: pip install 'cvgl[heif]'")
_AVIF = Kind("an AVIF image, which this installation of Pillow does not read", _EXPORT)
_RAW = Kind("a camera's raw file", "develop it: export the full image as JPEG or TIFF (its preview is never used)")
_VIDEO = Kind("a video", "take single frames out of it, e.g. ffmpeg -i VIDEO -vf fps=1 frame-%05d.jpg")
_JXL = Kind("a JPEG XL image", "convert it to JPEG (djxl does so without loss) or PNG")
_ARCHIVE = Kind("an archive", "unpack it")
_PDF = Kind("a PDF", "export its pages as PNG or TIFF")
_SVG = Kind("an SVG drawing", "export it as PNG")
_PHOTOSHOP = Kind("a Photoshop file", _EXPORT)
_POSTSCRIPT = Kind("PostScript, which is never opened", _EXPORT)
_HTML = Kind("a web page, perhaps an error message saved in place of an image", "download the image again")
_DATABASE = Kind("a database (SQLite, GeoPackage or MBTiles)", "export the images or tiles in it")
_RASTER = "convert it to GeoTIFF, e.g. gdal_translate IN OUT.tif"

_BEGINNINGS: tuple[tuple[bytes, Kind], ...] = (
    (b"\xff\x0a", _JXL),
    (b"\0\0\0\x0cJXL \r\n\x87\n", _JXL),
    (b"8BPS", _PHOTOSHOP),
    (b"%PDF-", _PDF),
    (b"%!PS", _POSTSCRIPT),
    (b"\xc5\xd0\xd3\xc6", _POSTSCRIPT),
    (b"\x1aE\xdf\xa3", _VIDEO),
    (b"\0\0\x01\xba", _VIDEO),
    (b"\0\0\x01\xb3", _VIDEO),
    (b"FLV\x01", _VIDEO),
    (b"0&\xb2u\x8ef\xcf\x11", _VIDEO),
    (b"OggS", _VIDEO),
    (b"FUJIFILMCCD-RAW", _RAW),
    (b"IIRO", _RAW),
    (b"IIRS", _RAW),
    (b"MMOR", _RAW),
    (b"IIU\0", _RAW),
    (b"IIII", _RAW),
    (b"FOVb", _RAW),
    (b"\0MRM", _RAW),
    (b"PK\x03\x04", _ARCHIVE),
    (b"\x1f\x8b", _ARCHIVE),
    (b"7z\xbc\xaf\x27\x1c", _ARCHIVE),
    (b"Rar!\x1a\x07", _ARCHIVE),
    (b"BZh", _ARCHIVE),
    (b"\xfd7zXZ\0", _ARCHIVE),
    (b"(\xb5/\xfd", _ARCHIVE),
    (b"SQLite format 3\0", _DATABASE),
    (b"PMTiles", Kind("a PMTiles archive", "export the tiles in it")),
    (b"\x89HDF\r\n\x1a\n", Kind("an HDF5 or NetCDF file", _RASTER)),
    (b"CDF\x01", Kind("a NetCDF file", _RASTER)),
    (b"CDF\x02", Kind("a NetCDF file", _RASTER)),
    (b"GRIB", Kind("a GRIB file", _RASTER)),
    (b"EHFA_HEADER_TAG", Kind("an ERDAS Imagine raster", _RASTER)),
    (b"msid", Kind("a MrSID raster", _RASTER)),
    (b"NITF", Kind("a NITF raster", _RASTER)),
    (b"SIMPLE  =", Kind("a FITS file", _RASTER)),
    (b"PAR1", Kind("a Parquet table", _REMOVE)),
    (b"v/1\x01", Kind("an OpenEXR image", _EXPORT)),
    (b"#?RADIANCE", Kind("a Radiance HDR image", _EXPORT)),
    (b"DDS ", Kind("a DDS texture", _EXPORT)),
    (b"gimp xcf", Kind("a GIMP file", _EXPORT)),
    (b"\0\0\x01\0", Kind("an icon", _EXPORT)),
    (b"\0\x05\x16\x07", Kind("what macOS keeps about another file", _REMOVE)),
    (b"version https://git-lfs", Kind("a Git LFS pointer, not the image itself", "fetch the content: git lfs pull")),
    (b"/annex/objects/", Kind("a git-annex pointer, not the image itself", "fetch the content: git annex get")),
)
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"})
_SUFFIXES: dict[str, Kind] = {
    **dict.fromkeys((".heic", ".heif", ".hif"), _HEIC),
    **dict.fromkeys(
        (
            *(".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".sr2", ".srf", ".raf", ".orf", ".rw2", ".raw", ".rwl"),
            *(".pef", ".srw", ".3fr", ".fff", ".iiq", ".x3f", ".mrw", ".gpr", ".erf", ".kdc", ".dcr", ".mef", ".mos"),
        ),
        _RAW,
    ),
    **dict.fromkeys(
        (
            *(".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mts", ".m2ts", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp"),
            *(".lrf", ".lrv", ".insv", ".360", ".ts"),
        ),
        _VIDEO,
    ),
    ".jxl": _JXL,
    **dict.fromkeys((".psd", ".psb"), _PHOTOSHOP),
    ".pdf": _PDF,
    **dict.fromkeys((".svg", ".svgz"), _SVG),
    **dict.fromkeys((".eps", ".ps", ".ai"), _POSTSCRIPT),
    **dict.fromkeys((".zip", ".kmz", ".7z", ".rar", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst"), _ARCHIVE),
    **dict.fromkeys((".gpkg", ".mbtiles", ".sqlite"), _DATABASE),
    **dict.fromkeys((".ecw", ".sid", ".img", ".nc", ".hdf", ".h5", ".grib", ".vrt"), Kind("a raster of another kind", _RASTER)),
    **dict.fromkeys((".html", ".htm"), _HTML),
}
_RAW_SUFFIXES = frozenset(suffix for suffix, kind in _SUFFIXES.items() if kind is _RAW)
RAW = _RAW


def kind_of(head: bytes, *, reads_heif: bool = False, reads_avif: bool = True) -> Kind | None:
    """The kind of a file that is no image here, by its first bytes (512 or more); None where it may be one.

    Args:
        head: from the file's beginning.
        reads_heif: whether HEIC is an image, because the package that reads it is installed.
        reads_avif: the same for AVIF.
    """
    if head[4:8] == b"ftyp":
        return _kind_of_container(head, reads_heif=reads_heif, reads_avif=reads_avif)
    if head[4:8] in (b"moov", b"mdat", b"wide", b"free", b"pnot") and head[:3] == b"\0\0\0"[: len(head[:3])]:
        return _VIDEO
    if head[:4] == b"RIFF" and head[8:12] != b"WEBP":
        return _VIDEO if head[8:12] == b"AVI " else Kind("a sound or RIFF file", _REMOVE)
    if head[:2] in (b"II", b"MM") and (head[8:10] == b"CR" or head[6:14] == b"HEAPCCDR"):
        return _RAW
    if len(head) > 376 and head[0] == head[188] == head[376] == 0x47:
        return _VIDEO
    if head[257:262] == b"ustar":
        return _ARCHIVE
    if head[128:132] == b"DICM":
        return Kind("a DICOM file", _EXPORT)
    if head and not head.strip(b"\0"):
        return Kind("nothing but zeros, as a broken copy leaves it", "copy it again")
    return next((kind for beginning, kind in _BEGINNINGS if head.startswith(beginning)), None) or _kind_of_text(head)


def kind_of_suffix(suffix: str) -> Kind | None:
    """The kind that a name's ending, e.g. ``".DNG"``, stands for; None for images and what is not known."""
    return _SUFFIXES.get(suffix.lower())


def is_raw_suffix(suffix: str) -> bool:
    """Whether an ending is a camera's raw file's."""
    return suffix.lower() in _RAW_SUFFIXES


def _kind_of_container(head: bytes, *, reads_heif: bool, reads_avif: bool) -> Kind | None:
    length = min(int.from_bytes(head[:4], "big"), len(head))
    brands = [head[8:12], *(head[place : place + 4] for place in range(16, length - 3, 4))]
    if brands[0] == b"crx ":
        return _RAW
    if b"avif" in brands or b"avis" in brands:
        return None if reads_avif else _AVIF
    if not _HEIF_BRANDS.isdisjoint(brands):
        return None if reads_heif else _HEIC
    return None if brands[0] in (b"jp2 ", b"jpx ", b"jpm ", b"mjp2") else _VIDEO


def _kind_of_text(head: bytes) -> Kind | None:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:512].lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return _HTML
    if text.startswith((b"<svg", b"<!doctype svg")) or (text.startswith((b"<?xml", b"<!--")) and b"<svg" in text):
        return _SVG
    if text.startswith((b"<?xml", b"<kml", b"<gpx", b"<x:xmpmeta", b"<pamdataset")):
        return Kind("an XML document", _REMOVE)
    if text.startswith((b'{"', b"[{", b"{\n", b"{ ", b"{\r")):
        return Kind("a JSON document", _REMOVE)
    return None
