r"""Text of others on a terminal: file names, reasons and errors are shown, and never obeyed.

A name may hold the codes by which a terminal is driven (colours, titles, links, the clipboard), letters that turn the direction
of writing round, or bytes that are no text at all. Here they become visible escapes such as ``\x1b``.
"""

from __future__ import annotations

import json
import re
from typing import Any

# C0 without the line feed, DEL, C1 (of which CSI and OSC are some), marks of the direction of writing, separators of lines,
# what takes no room (but for the joiners that some scripts are written with), tags, and the halves of characters by which
# Python writes bytes that are not UTF-8.
_DANGEROUS = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)


def legible(text: str, *, one_line: bool = False) -> str:
    """Text that a terminal shows as it is.

    Args:
        text: with anything in it.
        one_line: line feeds become escapes, too, as in a cell of a table; otherwise they stay.
    """
    escaped = _DANGEROUS.sub(_escaped, text)
    return escaped.replace("\n", "\\n") if one_line else escaped


def hanging(text: str, indent: str = "    ") -> str:
    """Text whose further lines are indented, so that none of them can be taken for a line of ours."""
    return legible(text).replace("\n", f"\n{indent}")


def json_text(value: Any, encoding: str | None = "utf-8") -> str:
    """One line of JSON; what a terminal would obey is escaped as JSON does.

    Args:
        value: JSON-able.
        encoding: of the stream that it goes to; letters that it does not have are escaped.

    Raises:
        ValueError: a number is not finite.
    """
    is_unicode = (encoding or "ascii").lower().replace("_", "-") in ("utf-8", "utf8")
    return escaped_json(json.dumps(value, ensure_ascii=not is_unicode, allow_nan=False))


def escaped_json(text: str) -> str:
    """JSON in which a terminal finds nothing to obey. The value stays the same: between strings JSON has line feeds only."""
    return _DANGEROUS.sub(_json_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    if code == 0x09:
        return "\\t"
    if code == 0x0D:
        return "\\r"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _json_escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x10000:
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
