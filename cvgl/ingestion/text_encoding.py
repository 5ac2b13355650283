"""Text as other programs write it: UTF-8 and UTF-16 with or without a mark, and what Windows wrote before."""

from __future__ import annotations

import codecs

# The longer marks first: that of UTF-32 in little endian begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_FALLBACK = "cp1252"


def decode_text(data: bytes) -> tuple[str, str | None]:
    """Decodes text of an unknown encoding.

    Returns:
        The text without byte-order marks, and the name of the encoding where it was guessed; None where it is certain.

    Raises:
        UnicodeDecodeError: it is none of them.
    """
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _without_marks(data.decode(encoding)), None
    guess = _unmarked_utf16(data)
    if guess is not None:
        return _without_marks(data.decode(guess)), guess
    try:
        return data.decode("utf-8"), None
    except UnicodeDecodeError as error:
        try:
            return data.decode(_FALLBACK), _FALLBACK
        except UnicodeDecodeError:
            raise error from None


def _unmarked_utf16(data: bytes) -> str | None:
    """UTF-16 in which every other byte of the first hundred characters is zero, as it is for Latin letters."""
    head = data[: 2 * 100]
    if len(head) < 4 or len(data) % 2:
        return None
    for encoding, zeros, letters in (("utf-16-le", head[1::2], head[::2]), ("utf-16-be", head[::2], head[1::2])):
        if zeros.count(0) > 0.9 * len(zeros) and 0 not in letters:
            return encoding
    return None


def _without_marks(text: str) -> str:
    return text.lstrip("\ufeff")
