"""What the header of an image tells before anything is decoded: its pages, its memory, whether the file can be whole."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from cvgl.imaging.errors import DECODER_ERRORS, NotAnImageError, TooLargeImageError, TruncatedImageError
from cvgl.imaging.kinds import RAW

if TYPE_CHECKING:
    from PIL.Image import Image

_MIB = 1 << 20
# No photograph or map has so many pixels a byte; formats that could (WebP, AVIF, JPEG 2000, fax) hold one colour then.
_MAX_PIXELS_PER_BYTE = 50_000
_ALWAYS_PLAUSIBLE_PIXELS = 16 * _MIB
_DEFLATE = 1032  # bytes that one byte of deflate can stand for
_TIFF_RATIOS = {1: 1, 5: 4096, 8: _DEFLATE, 32946: _DEFLATE, 32773: 64}  # by compression: none, LZW, deflate, PackBits
_JPEG_PIXELS_PER_BYTE = 512  # a block of 64 pixels takes a bit at least
_ONLY_BY_GDAL = (34887, 50001, 50002)  # compressions of TIFF: LERC, WebP, JPEG XL
_ARITHMETIC_JPEG = frozenset({0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})
_MAX_PAGES = 1000
_WIDTH, _HEIGHT, _SUBFILE, _OLD_SUBFILE, _COMPRESSION, _PHOTOMETRIC = 256, 257, 254, 255, 259, 262
_SUB_IFDS, _DNG_VERSION, _BITS, _SAMPLE_FORMAT, _ROWS, _TILE_WIDTH, _TILE_HEIGHT = 330, 50706, 258, 339, 278, 322, 323
_RAW_PHOTOMETRICS = (32803, 34892)  # colour filter array, linear raw


@dataclass(frozen=True, slots=True)
class TiffPage:
    """The page of a TIFF that counts.

    Attributes:
        number: from 0.
        width, height: in pixels.
        compression: the tag's number.
        bits: of a sample.
        samples: of a pixel.
        sample_format: 1 unsigned, 2 signed, 3 floating point.
        block_pixels: of a strip or tile, which is decoded as a whole.
        nodata: GDAL's value for "nothing here"; None where there is none.
    """

    number: int
    width: int
    height: int
    compression: int
    bits: int
    samples: int
    sample_format: int
    block_pixels: int
    nodata: float | None

    @property
    def is_beyond_pillow(self) -> bool:
        """Whether Pillow opens it and decodes it wrongly or not at all."""
        unsigned32, signed8 = (self.bits, self.sample_format) == (32, 1), (self.bits, self.sample_format) == (8, 2)
        return self.compression in _ONLY_BY_GDAL or unsigned32 or signed8


def is_tiff(head: bytes) -> bool:
    """Whether a file begins like a TIFF or BigTIFF."""
    return head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def tiff_page(stream: BinaryIO, source: object) -> TiffPage | None:
    """The first page, unless that is a reduced copy: then the largest that is none. None where the tags cannot be read.

    Raises:
        NotAnImageError: a camera's raw file, or one that holds nothing but reduced copies.
    """
    pages = list(_pages(stream))
    if not pages:
        return None
    first = pages[0]
    if _DNG_VERSION in first or any(page.get(_PHOTOMETRIC) in _RAW_PHOTOMETRICS for page in pages):
        raise NotAnImageError(f"the file is {RAW.name}, not an image of a known format", where=source, fix=RAW.fix)
    whole = [number for number, page in enumerate(pages) if not _is_reduced(page)]
    if not whole:
        if _SUB_IFDS in first:
            raise NotAnImageError(f"the file is {RAW.name}, not an image of a known format", where=source, fix=RAW.fix)
        # A lone page that calls itself reduced is all there is; of several, the largest.
        whole = list(range(len(pages)))
    elif 0 in whole:
        whole = [0]
    number = max(whole, key=lambda index: (_number(pages[index], _WIDTH) * _number(pages[index], _HEIGHT), -index))
    return _page(number, pages[number])


def decoding_bytes(image: Any, stream: BinaryIO, page: TiffPage | None) -> int:
    """Most bytes that decoding an opened image takes, by its header: pixels, the decoder's own buffers, and the file."""
    pixels = image.width * image.height
    stored = pixels * _bytes_per_pixel(image.mode)
    kind = image.format
    if kind in ("JPEG", "MPO"):
        buffers = pixels * 2 * len(image.getbands()) if image.info.get("progressive") else 0
    elif kind in ("WEBP", "AVIF", "HEIF"):
        buffers = 12 * pixels
    elif kind == "GIF":
        buffers = 4 * pixels
    elif kind == "JPEG2000":
        buffers = _jpeg2000_tile_pixels(stream, pixels) * 12 * len(image.getbands())
    elif page is not None and page.compression != 1:
        buffers = min(page.block_pixels, pixels) * max(1, page.bits * page.samples // 8)
    else:
        buffers = 0
    return int(stored + buffers + size_of(stream))


def check_plausible(image: Image, stream: BinaryIO, page: TiffPage | None, source: object) -> None:
    """Refuses, before anything is decoded, files that are too short for the pixels that they declare.

    Raises:
        TruncatedImageError: the compression cannot have made so few bytes of so many pixels.
        TooLargeImageError: it could, of a single colour.
    """
    size, pixels = size_of(stream), image.width * image.height
    if pixels > size * _max_pixels_per_byte(image, stream, page) + 4096:
        raise TruncatedImageError(
            f"the end of the image is missing: {size} bytes are too few for {image.width} x {image.height} pixels",
            where=source,
            fix="replace or remove the file",
        )
    if pixels > _ALWAYS_PLAUSIBLE_PIXELS and pixels > size * _MAX_PIXELS_PER_BYTE:
        raise TooLargeImageError(
            f"{image.width} x {image.height} pixels in {size} bytes are no photograph and no map",
            where=source,
            fix="remove the file",
        )


def size_of(stream: BinaryIO) -> int:
    """Bytes of an open file; its place stays."""
    place = stream.tell()
    size = stream.seek(0, 2)
    stream.seek(place)
    return size


def jpeg_markers(data: bytes) -> Iterator[tuple[int, int]]:
    """The markers of a JPEG's header with their places, up to and with the first start of scan."""
    place = 2
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        yield marker, place
        if marker == 0xDA:
            return
        place += 1 if marker == 0xFF else 2 + int.from_bytes(data[place + 2 : place + 4], "big")


def without_text(data: bytes) -> bytes:
    """A PNG without its texts and colour profile, which say nothing about pixels and may be longer than Pillow takes."""
    parts, place = [data[:8]], 8
    while place + 12 <= len(data):
        after = place + 12 + int.from_bytes(data[place : place + 4], "big")
        if data[place + 4 : place + 8] not in (b"tEXt", b"zTXt", b"iTXt", b"iCCP"):
            parts.append(data[place:after])
        place = after
    parts.append(data[place:])
    return b"".join(parts)


def is_deep(image: Any, page: TiffPage | None) -> bool:
    """Whether samples of several channels may have been cut from 16 bits to 8 by Pillow, which cannot give all of them."""
    if image.mode not in ("RGB", "RGBA", "LA", "RGBX"):
        return False
    if page is not None:
        return page.bits == 16
    return image.format == "JPEG2000" or (image.format == "PNG" and any(";16" in str(tile[3]) for tile in image.tile))


def _pages(stream: BinaryIO) -> Iterator[Any]:
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    try:
        stream.seek(0)
        head = stream.read(16)
        wide = head[2] == 43 or head[3] == 43
        directory: Any = ImageFileDirectory_v2(head if wide else head[:8])
        offsets: set[int] = set()
        while directory.next and directory.next not in offsets and len(offsets) < _MAX_PAGES:
            offsets.add(directory.next)
            stream.seek(directory.next)
            following: Any = ImageFileDirectory_v2(head if wide else head[:8])
            following.load(stream)
            yield following
            directory = following
    except DECODER_ERRORS:
        return
    finally:
        stream.seek(0)


def _is_reduced(page: Any) -> bool:
    """A copy in lower resolution, or a transparency mask."""
    return bool(_number(page, _SUBFILE) & 0b101) or _number(page, _OLD_SUBFILE) == 2


def _number(page: Any, tag: int, default: int = 0) -> int:
    try:
        value = page.get(tag, default)
        return int(value[0] if isinstance(value, tuple) else value)
    except DECODER_ERRORS:
        return default


def _page(number: int, page: Any) -> TiffPage:
    width, height = _number(page, _WIDTH), _number(page, _HEIGHT)
    rows = min(_number(page, _ROWS, height) or height, height)
    across, down = _number(page, _TILE_WIDTH), _number(page, _TILE_HEIGHT)
    try:
        nodata = float(str(page[42113]).strip("\0 "))
    except DECODER_ERRORS:
        nodata = None
    return TiffPage(
        number=number,
        width=width,
        height=height,
        compression=_number(page, _COMPRESSION, 1),
        bits=_number(page, _BITS, 1),
        samples=_number(page, 277, 1),
        sample_format=_number(page, _SAMPLE_FORMAT, 1),
        block_pixels=across * down if across else width * rows,
        nodata=nodata,
    )


def _bytes_per_pixel(mode: str) -> int:
    """As Pillow stores it: one channel of 8 bits takes one byte, whatever has more takes four."""
    return {"1": 1, "L": 1, "P": 1}.get(mode, 2 if mode.startswith("I;16") else 4)


def _max_pixels_per_byte(image: Any, stream: BinaryIO, page: TiffPage | None) -> float:
    if image.format == "PNG":
        stream.seek(24)
        bits, colours = stream.read(2)
        return _DEFLATE * 8 / (bits * {2: 3, 4: 2, 6: 4}.get(colours, 1))
    if image.format in ("JPEG", "MPO"):
        stream.seek(0)
        markers = {marker for marker, _ in jpeg_markers(stream.read(_MIB))}
        return float("inf") if markers & _ARITHMETIC_JPEG else _JPEG_PIXELS_PER_BYTE
    if page is not None:
        ratio = _TIFF_RATIOS.get(page.compression)
        return float("inf") if ratio is None else ratio * 8 / max(1, page.bits)
    if image.tile and all(tile[0] == "raw" for tile in image.tile):
        mode = str(image.tile[0][3][0] if isinstance(image.tile[0][3], tuple) else image.tile[0][3])
        depth = re.search(r";(\d+)", mode)
        return 8 / (1 if mode.startswith("1") else min(8, int(depth[1])) if depth else 8)
    return float("inf")


def _jpeg2000_tile_pixels(stream: BinaryIO, pixels: int) -> int:
    """Pixels of a tile, which the decoder holds as whole numbers; all of the image where the header does not say."""
    stream.seek(0)
    head = stream.read(65536)
    place = head.find(b"\xff\x4f\xff\x51")
    if place < 0 or len(head) < place + 32:
        return pixels
    across, down = struct.unpack(">II", head[place + 24 : place + 32])
    return int(min(pixels, across * down))
