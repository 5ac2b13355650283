"""A checksum of what tells how a Parquet file is to be read, in the file itself.

Each page of a Parquet file bears a checksum of its content; the footer - columns, types, offsets, and the statistics by which
readers leave rows out - bears none, and one wrong bit there gives other rows without an error. So the SHA-256 of the footer
stands right before it, where readers see bytes that no offset leads to:

    PAR1 | pages | SEAL, digest | footer, its length, PAR1
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

SEAL = b"cvglSEAL"
_END = 8  # the footer's length in four bytes, and PAR1
_DIGEST = hashlib.sha256().digest_size


class Footer(StrEnum):
    """What the seal says of a footer."""

    WHOLE = "whole"
    DAMAGED = "damaged"
    UNSEALED = "unsealed"  # of a file that was written by an earlier version, or by another program


def add_seal(path: Path) -> None:
    """Seals a finished Parquet file, in place. The same file gives the same bytes."""
    with path.open("r+b") as stream:
        start, footer = _footer(stream)
        stream.seek(start)
        stream.write(SEAL + hashlib.sha256(footer).digest() + footer)


def look_at_footer(path: Path) -> tuple[Footer, str]:
    """What the seal says, and the hex digest of the footer as it is (empty where there is none).

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as stream:
        start, footer = _footer(stream)
        if not footer:
            return Footer.UNSEALED, ""
        digest = hashlib.sha256(footer)
        begin = start - len(SEAL) - _DIGEST
        if begin < 0:
            return Footer.UNSEALED, digest.hexdigest()
        stream.seek(begin)
        seal = stream.read(len(SEAL) + _DIGEST)
    if not seal.startswith(SEAL):
        return Footer.UNSEALED, digest.hexdigest()
    return (Footer.WHOLE if seal[len(SEAL) :] == digest.digest() else Footer.DAMAGED), digest.hexdigest()


def _footer(stream: BinaryIO) -> tuple[int, bytes]:
    """Where the footer starts, and it with its length and magic bytes; empty where the end tells of none."""
    size = stream.seek(0, 2)
    if size < _END:
        return size, b""
    stream.seek(size - _END)
    start = size - _END - int.from_bytes(stream.read(4), "little")
    if start < 0:
        return size, b""
    stream.seek(start)
    return start, stream.read()
