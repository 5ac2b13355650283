"""Content hashes. Every name in the lake that must not lie about its content is made here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

IMAGE_ID_LENGTH = 32  # 128 bits: a collision among 10^9 images has probability 10^-21
SHORT = 16


def sha256_bytes(data: bytes) -> str:
    """SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """SHA-256 of the content of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def image_id(data: bytes) -> str:
    """The id of an image is a hash of its file's bytes, so one image under two names is one image."""
    return sha256_bytes(data)[:IMAGE_ID_LENGTH]


def digest_json(value: Any) -> str:
    """Hash of a JSON-able value, independent of key order.

    Raises:
        TypeError: `value` holds something that JSON has no form for.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return sha256_bytes(text.encode())[:SHORT]


def digest_lines(lines: Iterable[str]) -> str:
    """Hash of an ordered sequence of strings, none of which holds a newline."""
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode())
        digest.update(b"\n")
    return digest.hexdigest()[:SHORT]
