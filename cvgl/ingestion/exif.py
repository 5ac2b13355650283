"""What a camera wrote into an image: where and when it was taken (EXIF 2.32, its GPS fields, and XMP)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

from cvgl.ingestion.camera.clock import read_capture_time
from cvgl.ingestion.camera.containers import MALFORMED_ERRORS, exif_of, is_cut_off, xmp_of
from cvgl.ingestion.camera.position import position_of, text
from cvgl.ingestion.camera.record import CameraRecord, Remark, sort_remarks
from cvgl.ingestion.camera.xmp import Xmp, read_xmp

if TYPE_CHECKING:
    from PIL.Image import Exif, Image

_EXIF_FOLDER, _GPS_FOLDER = 0x8769, 0x8825
# Tags that stand in the folders: one in which there is none of them is read from a wrong place.
_TAGS = {_EXIF_FOLDER: range(0x829A, 0xA501), _GPS_FOLDER: range(32)}
_MAKE, _MODEL = 0x010F, 0x0110


def read_exif(image: Image, stream: BinaryIO | None = None) -> CameraRecord:
    """Reads where and when an image was taken, from EXIF, else XMP.

    A broken field is no reason to refuse an image: nobody stated it, a device wrote it. What was dropped or interpreted is
    among the record's remarks.

    Args:
        image: opened by Pillow.
        stream: the file itself, for formats whose metadata Pillow passes over (JPEG 2000); its place is moved.
    """
    remarks: set[Remark] = set()
    exif = exif_of(image, stream, remarks)
    xmp = read_xmp(xmp_of(image, stream, remarks), remarks)
    written = image.info.get("exif")
    data = written if isinstance(written, bytes) else b""
    fields, gps = _folder(exif, _EXIF_FOLDER, data, remarks), _folder(exif, _GPS_FOLDER, data, remarks)
    camera = _camera(exif, xmp)
    position, source = position_of(gps, xmp.position(), remarks)
    # Some programs write the fields of the Exif folder beside it.
    time_fields = {**_plain(exif), **fields}
    longitude = None if position is None else position[1]
    taken = read_capture_time(time_fields, gps, xmp, longitude, remarks, has_camera=bool(camera))
    return CameraRecord(
        position=position,
        position_source=source,
        captured_at=taken.at,
        zone_source=taken.zone_source,
        utc_offset=taken.utc_offset,
        camera=camera,
        remarks=sort_remarks(remarks),
    )


def _folder(exif: Exif, tag: int, data: bytes, remarks: set[Remark]) -> Mapping[int, Any]:
    try:
        fields = dict(exif.get_ifd(tag))
        start = exif.get(tag)
        is_damaged = bool(data) and isinstance(start, int) and is_cut_off(data, start)
        is_damaged |= bool(fields) and not any(field in _TAGS[tag] and field not in _TAGS for field in fields)
    except MALFORMED_ERRORS:
        fields, is_damaged = {}, True
    if is_damaged:
        remarks.add(Remark.EXIF_DAMAGED)
    return fields


def _plain(exif: Exif) -> Mapping[int, Any]:
    try:
        return dict(exif)
    except MALFORMED_ERRORS:
        return {}


def _camera(exif: Exif, xmp: Xmp) -> str:
    """Make and model."""
    words = []
    for tag, name in ((_MAKE, "Make"), (_MODEL, "Model")):
        try:
            word = text(exif.get(tag))
        except MALFORMED_ERRORS:
            word = ""
        words.append(word or xmp.text("tiff", name))
    return " ".join(word for word in words if word)
