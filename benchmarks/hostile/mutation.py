"""Small changes of files, drawn from a seed: what bad disks, broken copies and careless editing make of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

CELLS = (
    *("", " ", "NaN", "nan", "NA", "null", "None", "inf", "-inf", "1e999", "0", "-0", "0.0", "999999999999999999999", "12,5"),
    *(
        "N52.5",
        "52.5200,13.4050",
        "52°31'12.0\"N",
        "True",
        "2024-05-01T12:00:00",
        "EPSG:4326",
        "EPSG:99999",
        "epsg:3857",
        "UTM33N",
    ),
    *("local", "[bold]", "=1+1", "..", "../..", "a/b", "é", "ß", ";", "'", '"', "\t", "\\", "/", "\u202e", "\ufeff", "x" * 300),
)


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """A file with one to four changes of its bytes; never the same bytes."""
    changed = data
    for _ in range(int(rng.integers(1, 5))):
        changed = _BYTE_CHANGES[int(rng.integers(len(_BYTE_CHANGES)))](changed, rng)
    return changed if changed != data else data[: len(data) // 2]


def one_damage(data: bytes, rng: np.random.Generator) -> bytes:
    """A file with one bit turned, or one of the other changes."""
    change = _flip if rng.random() < 0.5 else _BYTE_CHANGES[int(rng.integers(len(_BYTE_CHANGES)))]
    changed = change(data, rng)
    return changed if changed != data else _flip(data, rng)


def edited(text: str, rng: np.random.Generator) -> str:
    """A text with one to three changes: cells replaced, lines doubled, dropped or swapped, characters lost."""
    for _ in range(int(rng.integers(1, 4))):
        text = _TEXT_CHANGES[int(rng.integers(len(_TEXT_CHANGES)))](text, rng)
    return text


def _flip(data: bytes, rng: np.random.Generator) -> bytes:
    if not data:
        return b"\0"
    changed = bytearray(data)
    changed[int(rng.integers(len(changed)))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _overwrite(data: bytes, rng: np.random.Generator) -> bytes:
    length = int(rng.integers(1, 9))
    start = int(rng.integers(max(1, len(data) - length)))
    return data[:start] + rng.bytes(length) + data[start + length :]


def _zeros(data: bytes, rng: np.random.Generator) -> bytes:
    length = int(rng.integers(1, 65))
    start = int(rng.integers(max(1, len(data) - length)))
    return data[:start] + bytes(length) + data[start + length :]


def _cut(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: int(rng.integers(len(data) + 1))]


def _drop(data: bytes, rng: np.random.Generator) -> bytes:
    start = int(rng.integers(max(1, len(data))))
    return data[:start] + data[start + int(rng.integers(1, 33)) :]


def _repeat(data: bytes, rng: np.random.Generator) -> bytes:
    start = int(rng.integers(max(1, len(data))))
    return data[:start] + data[start : start + int(rng.integers(1, 65))] * 2 + data[start:]


def _extreme(data: bytes, rng: np.random.Generator) -> bytes:
    """A number in a header that is as large, or as small, as it can be; small ones, so that nothing large is declared often."""
    start = int(rng.integers(max(1, min(len(data), 64))))
    return data[:start] + (b"\xff\xff", b"\0\0", b"\x7f\xff", b"\x80\0")[int(rng.integers(4))] + data[start + 2 :]


def _cell(text: str, rng: np.random.Generator) -> str:
    separator = next((mark for mark in ("\t", ";", ",", " ") if mark in text), ",")
    lines = text.split("\n")
    row = int(rng.integers(len(lines)))
    cells = lines[row].split(separator)
    cells[int(rng.integers(len(cells)))] = CELLS[int(rng.integers(len(CELLS)))]
    lines[row] = separator.join(cells)
    return "\n".join(lines)


def _lines(text: str, rng: np.random.Generator) -> str:
    lines = text.split("\n")
    first, second = (int(rng.integers(len(lines))) for _ in range(2))
    kind = int(rng.integers(3))
    if kind == 0:
        lines.insert(first, lines[second])
    elif kind == 1:
        del lines[first]
    else:
        lines[first], lines[second] = lines[second], lines[first]
    return "\n".join(lines)


def _characters(text: str, rng: np.random.Generator) -> str:
    start = int(rng.integers(max(1, len(text))))
    return text[:start] + text[start + int(rng.integers(1, 4)) :]


def _marks(text: str, rng: np.random.Generator) -> str:
    old, new = ((",", ";"), (".", ","), ("\n", "\r\n"), (",", "\t"), ("-", "−"), ("a", "á"))[int(rng.integers(6))]
    return text.replace(old, new)


_BYTE_CHANGES: Sequence[Callable[[bytes, np.random.Generator], bytes]] = (
    _flip,
    _flip,
    _overwrite,
    _zeros,
    _cut,
    _drop,
    _repeat,
    _extreme,
)
_TEXT_CHANGES: Sequence[Callable[[str, np.random.Generator], str]] = (_cell, _cell, _cell, _lines, _characters, _marks)
