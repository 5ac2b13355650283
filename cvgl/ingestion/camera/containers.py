"""Where the formats keep EXIF and XMP: what Pillow has read of them, and the boxes and text chunks that it passes over."""

from __future__ import annotations

import binascii
import re
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO, Literal

from cvgl.ingestion.camera.record import Remark

if TYPE_CHECKING:
    from PIL.Image import Exif, Image

MAX_XMP_BYTES = 4 * 2**20
_MAX_BOX_BYTES = 16 * 2**20
_MAX_BOXES = 4096
# A camera's fields are whatever its firmware made of them: absent, of another type, divided by zero.
MALFORMED_ERRORS = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    SyntaxError,
    AttributeError,
    RuntimeError,
    struct.error,
)

_JP2_SIGNATURE = b"\x00\x00\x00\x0cjP  \r\n\x87\n"
_JP2_EXIF = b"JpgTiffExif->JP2"
_JP2_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_XMP_MARK = b"adobe:ns:meta"
_TIFF_XMP = 700
# What ImageMagick writes into PNG: a name, the number of bytes, and the bytes in hexadecimal.
_PROFILES = ("Raw profile type exif", "Raw profile type xmp", "Raw profile type APP1")
_APP1_XMP = b"http://ns.adobe.com/xap/1.0/\0"


def exif_of(image: Image, stream: BinaryIO | None, remarks: set[Remark]) -> Exif:
    """The image's EXIF, empty where there is none or it cannot be read."""
    from PIL.Image import Exif

    try:
        exif = image.getexif()
    except MALFORMED_ERRORS:
        remarks.add(Remark.EXIF_DAMAGED)
        exif = Exif()
    written = image.info.get("exif")
    # Pillow itself writes EXIF without a field: its header, and zeros.
    if isinstance(written, bytes) and written and (is_cut_off(written) or (len(exif) == 0 and any(written[14:]))):
        remarks.add(Remark.EXIF_DAMAGED)
    if len(exif) > 0:
        return exif
    for data in _more_exif(image, stream):
        other = Exif()
        try:
            other.load(data)
        except MALFORMED_ERRORS:
            remarks.add(Remark.EXIF_DAMAGED)
            continue
        if len(other) > 0:
            return other
    return exif


def is_cut_off(data: bytes, start: int | None = None) -> bool:
    """Whether the end of an EXIF folder is missing; Pillow only warns of it, to whom it may concern.

    Args:
        data: EXIF as it stands in the file.
        start: of the folder within it; default: the main one.
    """
    data = data.removeprefix(b"Exif\0\0")
    order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"
    start = int.from_bytes(data[4:8], order) if start is None else start
    count = int.from_bytes(data[start : start + 2], order)
    return len(data) < start + 2 + 12 * count


def xmp_of(image: Image, stream: BinaryIO | None, remarks: set[Remark]) -> bytes:
    """The image's XMP packet; empty where there is none or it is larger than `MAX_XMP_BYTES`."""
    for candidate in _xmp_candidates(image, stream):
        data = candidate.encode("utf-8", "replace") if isinstance(candidate, str) else candidate
        if not isinstance(data, bytes) or not data.strip(b"\0 \r\n\t"):
            continue
        if len(data) > MAX_XMP_BYTES:
            remarks.add(Remark.XMP_TOO_LARGE)
            continue
        return data
    return b""


def _xmp_candidates(image: Image, stream: BinaryIO | None) -> Iterator[object]:
    yield image.info.get("xmp")
    yield image.info.get("XML:com.adobe.xmp")
    tags = getattr(image, "tag_v2", None)
    if tags is not None:
        try:
            packet = tags.get(_TIFF_XMP)
        except MALFORMED_ERRORS:
            packet = None
        yield bytes(packet) if isinstance(packet, tuple) and all(isinstance(part, int) for part in packet) else packet
    for data in _raw_profiles(image):
        if data.startswith(_APP1_XMP):
            yield data.removeprefix(_APP1_XMP)
        elif _XMP_MARK in data:
            yield data
    for kind, payload in _jp2_boxes(stream):
        if (kind == b"uuid" and payload[:16] == _JP2_XMP) or (kind == b"xml " and _XMP_MARK in payload):
            yield payload[16:] if kind == b"uuid" else payload


def _more_exif(image: Image, stream: BinaryIO | None) -> Iterator[bytes]:
    """EXIF that Pillow does not look for."""
    for data in _raw_profiles(image):
        if data[:4] in (b"Exif", b"II*\0", b"MM\0*"):
            yield data
    for kind, payload in _jp2_boxes(stream):
        if kind == b"uuid" and payload[:16] == _JP2_EXIF:
            yield payload[16:]


def _raw_profiles(image: Image) -> Iterator[bytes]:
    for name in _PROFILES:
        text = image.info.get(name)
        if isinstance(text, (str, bytes)):
            written = text if isinstance(text, str) else text.decode("latin-1")
            match = re.fullmatch(r"\s*[\w-]+\s+(\d+)\s+([0-9a-fA-F\s]*)", written)
            if match is not None:
                try:
                    yield binascii.unhexlify(re.sub(r"\s", "", match[2]))
                except binascii.Error:
                    continue


def _jp2_boxes(stream: BinaryIO | None) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of the boxes of a JPEG 2000 file that may hold metadata; nothing for other files."""
    if stream is None:
        return
    try:
        stream.seek(0)
        if stream.read(12) != _JP2_SIGNATURE:
            return
        place = 12
        for _ in range(_MAX_BOXES):
            stream.seek(place)
            header = stream.read(16)
            if len(header) < 8:
                return
            size, kind, skip = int.from_bytes(header[:4], "big"), header[4:8], 8
            if size == 1:
                size, skip = int.from_bytes(header[8:16], "big"), 16
            if kind in (b"uuid", b"xml "):
                stream.seek(place + skip)
                wanted = _MAX_BOX_BYTES if size == 0 else min(size - skip, _MAX_BOX_BYTES)
                yield kind, stream.read(max(wanted, 0))
            if size < skip:  # 0: the box goes to the end of the file; else nonsense
                return
            place += size
    except (OSError, ValueError, OverflowError):
        return
