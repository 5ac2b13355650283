"""Images with metadata as cameras write it: EXIF built byte by byte, XMP packets, boxes of JPEG 2000."""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from typing import Any

from PIL import Image

BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, SRATIONAL, DOUBLE = 1, 2, 3, 4, 5, 7, 10, 12
_FORMATS = {BYTE: "B", ASCII: "s", SHORT: "H", LONG: "L", RATIONAL: "LL", UNDEFINED: "s", SRATIONAL: "ll", DOUBLE: "d"}
Field = tuple[int, Any]

JP2_EXIF, JP2_XMP = b"JpgTiffExif->JP2", bytes.fromhex("be7acfcb97a942e89c71999491e3afac")


def text(value: str | bytes) -> Field:
    """An ASCII field."""
    return ASCII, value.encode("latin-1") if isinstance(value, str) else value


def rationals(*pairs: tuple[int, int] | int) -> Field:
    """A field of numerators and denominators; signed where one is negative."""
    flat = [pair if isinstance(pair, tuple) else (pair, 1) for pair in pairs]
    return SRATIONAL if any(n < 0 or d < 0 for n, d in flat) else RATIONAL, flat


def exif_bytes(main: Mapping[int, Field] = {}, fields: Mapping[int, Field] = {}, gps: Mapping[int, Field] = {}) -> bytes:
    """EXIF as it stands in a JPEG, with its leading mark."""
    out = bytearray(b"II*\0\x08\0\0\0")
    folders = dict(main)
    size = _size({**folders, 0x8769: (LONG, [0]), 0x8825: (LONG, [0])})
    exif_at = 8 + size
    gps_at = exif_at + _size(fields)
    folders |= {0x8769: (LONG, [exif_at]), 0x8825: (LONG, [gps_at])}
    for folder in (folders, fields, gps):
        out += _folder(folder, len(out))
    return b"Exif\0\0" + bytes(out)


def xmp_packet(attributes: str = "", elements: str = "") -> bytes:
    """A packet as DJI writes it."""
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
        ' xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"'
        ' xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"'
        ' xmlns:drone-dji="http://www.dji.com/drone-dji/1.0/" xmlns:drone-parrot="http://www.parrot.com/drone-parrot/1.0/"'
        ' xmlns:drone-skydio="https://www.skydio.com/drone-skydio/1.0/" xmlns:Camera="http://pix4d.com/camera/1.0/"'
        ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
        f" {attributes}>{elements}</rdf:Description></rdf:RDF></x:xmpmeta>"
        '\n<?xpacket end="w"?>' + " " * 40
    ).encode()


def jpeg(exif: bytes = b"", xmp: bytes = b"") -> tuple[Image.Image, io.BytesIO]:
    """A decoded JPEG and its stream."""
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "JPEG", exif=exif, **({"xmp": xmp} if xmp else {}))
    return opened(stream)


def opened(stream: io.BytesIO) -> tuple[Image.Image, io.BytesIO]:
    """A stream's image, decoded."""
    stream.seek(0)
    image = Image.open(stream)
    image.load()
    return image, stream


def jp2(*boxes: tuple[bytes, bytes]) -> bytes:
    """A JPEG 2000 file with more boxes behind its header."""
    stream = io.BytesIO()
    Image.new("RGB", (16, 16)).save(stream, "JPEG2000")
    data = stream.getvalue()
    place = data.index(b"jp2c") - 4
    return data[:place] + b"".join(struct.pack(">I", 8 + len(body)) + kind + body for kind, body in boxes) + data[place:]


def _size(folder: Mapping[int, Field]) -> int:
    return 2 + 12 * len(folder) + 4 + sum(len(data) for data in map(_data, folder.values()) if len(data) > 4)


def _data(field: Field) -> bytes:
    kind, values = field
    if isinstance(values, bytes):
        return values
    flat = [number for value in values for number in (value if isinstance(value, tuple) else (value,))]
    return struct.pack("<" + _FORMATS[kind] * len(values), *flat)


def _folder(folder: Mapping[int, Field], start: int) -> bytes:
    """A folder that begins at `start`, its values behind it."""
    values_at = start + 2 + 12 * len(folder) + 4
    head, values = struct.pack("<H", len(folder)), b""
    for tag, field in sorted(folder.items()):
        data = _data(field)
        count = len(data) if isinstance(field[1], bytes) else len(field[1])
        if len(data) > 4:
            head += struct.pack("<HHLL", tag, field[0], count, values_at + len(values))
            values += data
        else:
            head += struct.pack("<HHL", tag, field[0], count) + data.ljust(4, b"\0")
    return head + bytes(4) + values
