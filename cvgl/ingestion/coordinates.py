"""Coordinates as people write them: decimal points and commas, degrees with minutes and seconds, letters, units.

What can be read in one way only is read; all else is refused with what it looks like. A number is never guessed.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping
from decimal import Decimal

from cvgl.ingestion.entries import Reason, RefusedError

DECIMAL_COMMA = "decimal commas"
DEGREES_MINUTES_SECONDS = "degrees, minutes and seconds"
LETTER_OR_UNIT = "a letter or a unit beside the number"

_PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
_COMMA = re.compile(r"[+-]?\d+,\d+")
_GROUPED = re.compile(
    r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?|[+-]?\d{1,3}(\.\d{3}){2,}|[+-]?\d{1,3}(\.\d{3})+,\d*|[+-]?\d{1,3}([ '_]\d{3})+([.,]\d*)?"
)
_MISUSED = re.compile(r"[+-]?\d+([.,' _]\d+)+")
# Degrees and minutes, or degrees, minutes and seconds; only the last of them may have a fraction.
_SEXAGESIMAL = re.compile(
    r"(?P<sign>[+-]?)(?P<degrees>\d{1,3})\s*(?P<mark>°|d(?:eg(?:rees)?)?|:|\s)\s*"
    r"(?P<minutes>\d{1,2}(?:[.,]\d*)?)\s*(?:(?:′|m(?:in(?:utes)?)?|:|\s)\s*(?:(?P<seconds>\d{1,2}(?:[.,]\d*)?)\s*(?:″|s(?:ec(?:onds)?)?)?)?)?",
    re.IGNORECASE,
)
_XMP = re.compile(r"(\d{1,3}),(\d{1,2})(?:,(\d{1,2})|(\.\d+))")  # DDD,MM,SS and DDD,MM.mm of XMP's exif:GPSLatitude
_DEGREES = re.compile(r"(.*?)\s*(?:°|d|deg\.?|degrees?)", re.IGNORECASE)
_METRES = re.compile(r"(.*?\d)\s*(?:m|metres?|meters?)", re.IGNORECASE)
# One letter, before or behind the number, that is no part of a word.
_DIRECTION = re.compile(
    r"(?P<first>[NSEWO])(?![a-z])\s*(?P<after>.+)|(?P<before>.+?)\s*(?<![a-z])(?P<last>[NSEWO])", re.IGNORECASE
)
_SECONDS_TO_COME = re.compile(r"(m(in(utes)?)?|′)\s*\d+([.,]\d*)?\s*$", re.IGNORECASE)
_WORDS = re.compile(r"\b(north|south|east|west|ost)\b", re.IGNORECASE)
_NMEA = re.compile(r"\d{3,5}\.\d+,?\s*[NSEW]?", re.IGNORECASE)

_SYMBOLS = str.maketrans(
    {
        **dict.fromkeys("º˚∘ᵒ", "°"),
        **dict.fromkeys("'’‘ʹʼ´`′＇", "′"),
        **dict.fromkeys('"”“ʺ˝″＂〃', "″"),
        **dict.fromkeys("−–—‐‑‒﹣－", "-"),
        "٫": ".",
        "٬": ",",
        "\u200e": None,  # marks of direction, and blanks of no width
        "\u200f": None,
        "\u202a": None,
        "\u202c": None,
        "\u200b": None,
        "\ufeff": None,
    }
)
_LIMITS: Mapping[str, int] = {"latitude": 90, "longitude": 180}
_LETTERS: Mapping[str, Mapping[str, int]] = {"latitude": {"N": 1, "S": -1}, "longitude": {"E": 1, "W": -1}}


def read_number(cell: object, name: str) -> tuple[float, str | None]:
    """Reads a coordinate.

    Args:
        cell: a number, or text.
        name: latitude, longitude, x or y.

    Returns:
        The value, and what about its form is worth a note (`DECIMAL_COMMA` and its like), or None.

    Raises:
        RefusedError: it is no number, or may be read in more than one way.
    """
    if isinstance(cell, bool) or not isinstance(cell, (str, int, float, Decimal)):
        raise _refusal(name, cell, "is not a number")
    if not isinstance(cell, str):
        return _finite(cell, name), None
    written = _plain_symbols(cell)
    if _PLAIN.fullmatch(written):
        return _finite(written, name), None
    if re.fullmatch(r"[+-]?inf(inity)?", written, re.IGNORECASE):
        raise _refusal(name, cell, "is not a place")
    return (_angle if name in _LIMITS else _length)(written, name, cell)


def _finite(number: float | Decimal | str, name: str) -> float:
    try:
        value = float(number)
    except OverflowError as error:
        raise _refusal(name, number, "is not a place") from error
    if not math.isfinite(value):
        raise _refusal(name, number, "is not a place")
    return value


def _plain_symbols(cell: str) -> str:
    """Full-width and other digits, signs, primes and blanks as the plain ones of ASCII, with ° ′ ″."""
    text = unicodedata.normalize("NFKC", cell.translate(_SYMBOLS)).translate(_SYMBOLS)
    text = "".join(_ascii_digit(letter) for letter in text)
    text = " ".join(text.replace("′′", "″").split())
    return text[1:] if re.match(r"′[+-]?\d", text) else text  # how spreadsheets mark a number as text


def _ascii_digit(letter: str) -> str:
    return str(unicodedata.digit(letter)) if letter.isdigit() and not letter.isascii() else letter


def _length(written: str, name: str, cell: object) -> tuple[float, str | None]:
    match = _METRES.fullmatch(written)
    remark = None
    if match:
        written, remark = match[1], LETTER_OR_UNIT
    if _PLAIN.fullmatch(written):
        return _finite(written, name), remark
    if _GROUPED.fullmatch(written.replace("′", "'")):
        raise _grouped(name, cell)
    if _COMMA.fullmatch(written):
        return _finite(written.replace(",", "."), name), DECIMAL_COMMA
    raise _unreadable(written, name, cell)


def _angle(written: str, name: str, cell: object) -> tuple[float, str | None]:
    rest, letter = _letter(written, name, cell)
    value, remark = _degrees(rest, name, cell, with_letter=letter is not None)
    if letter is None:
        return value, remark
    negative = rest.startswith("-")
    if negative and _LETTERS[name][letter] > 0:
        raise _refusal(name, cell, f"has a minus and the letter {letter}, which contradict one another")
    # Some write the sign as well as the letter; both say the same.
    return abs(value) * _LETTERS[name][letter], remark or LETTER_OR_UNIT


def _letter(written: str, name: str, cell: object) -> tuple[str, str | None]:
    """What is left without the letter of a direction, and the letter."""
    text = _WORDS.sub(lambda word: "E" if word[0].lower() == "ost" else word[0][0].upper(), written)
    match = _DIRECTION.fullmatch(text)
    if match is None:
        return text, None
    rest, written_letter = match["after"] or match["before"], match["first"] or match["last"]
    letter = written_letter.upper()
    if letter == "S" and match["last"] and _SECONDS_TO_COME.search(rest):
        if written_letter == "s":
            return text, None  # 52d31m12s
        raise _refusal(name, cell, "ends in S, which may be south or seconds: write decimal degrees, such as 52.5200")
    if letter in _LETTERS[name]:
        return rest, letter
    if letter == "O":
        raise _refusal(name, cell, "has the letter O, which is east in some languages and west in others: write E or W")
    other = "longitude" if name == "latitude" else "latitude"
    raise _refusal(name, cell, f"has the letter {letter}, which is a {other}'s: latitude and longitude look exchanged")


def _degrees(written: str, name: str, cell: object, *, with_letter: bool) -> tuple[float, str | None]:
    if _PLAIN.fullmatch(written):
        return _finite(written, name), None
    match = _DEGREES.fullmatch(written)
    if match and _PLAIN.fullmatch(match[1]):
        return _finite(match[1], name), LETTER_OR_UNIT
    number = match[1] if match else written
    if _COMMA.fullmatch(number):
        value = _finite(number.replace(",", "."), name)
        if abs(value) > _LIMITS[name]:
            raise _refusal(name, cell, f"has a decimal comma and lies outside -{_LIMITS[name]}..{_LIMITS[name]}")
        return value, DECIMAL_COMMA  # no thousands: these would lie off the globe
    xmp = _XMP.fullmatch(written)
    if xmp and with_letter:
        minutes = f"{xmp[2]}{xmp[4] or ''}"
        return _sexagesimal(xmp[1], minutes, xmp[3], name, cell), DEGREES_MINUTES_SECONDS
    match = _SEXAGESIMAL.fullmatch(written)
    if match and _is_unambiguous(match, with_letter=with_letter):
        if match["seconds"] and not match["minutes"].isdigit():
            raise _refusal(name, cell, "has a fraction of minutes, and seconds beside it")
        value = _sexagesimal(match["degrees"], match["minutes"], match["seconds"], name, cell)
        return (-value if match["sign"] == "-" else value), DEGREES_MINUTES_SECONDS
    raise _unreadable(written, name, cell)


def _is_unambiguous(match: re.Match[str], *, with_letter: bool) -> bool:
    """Bare numbers with blanks in between are degrees where three of them stand in a row, or a letter beside two."""
    return with_letter or match["seconds"] is not None or bool(match["mark"].strip(" :"))


def _sexagesimal(degrees: str, minutes: str, seconds: str | None, name: str, cell: object) -> float:
    whole, sixtieth, second = (float(part.replace(",", ".")) for part in (degrees, minutes, seconds or "0"))
    # 60 is what a rounded 59.999 is written as.
    if sixtieth > 60 or second > 60:
        raise _refusal(name, cell, "has more than 60 minutes or seconds")
    return (whole * 3600 + sixtieth * 60 + second) / 3600


def _unreadable(written: str, name: str, cell: object) -> RefusedError:
    plain = written.replace("′", "'")
    if _GROUPED.fullmatch(plain):
        return _grouped(name, cell)
    if any(mark in written for mark in "°′″:") or (
        name in _LIMITS and re.fullmatch(r"[+-]?\d{1,3}( \d+(\.\d*)?){1,2}", written)
    ):
        return _refusal(
            name, cell, "looks like degrees, minutes and seconds and is no such angle: write decimal degrees, such as 52.5200"
        )
    if _MISUSED.fullmatch(plain):
        return _refusal(name, cell, "has more than one decimal point or decimal comma: write one decimal point")
    if name in _LIMITS and _NMEA.fullmatch(written):
        return _refusal(name, cell, "looks like degrees and minutes in one number, as NMEA has them: write decimal degrees")
    return _refusal(name, cell, "is not a number")


def _grouped(name: str, cell: object) -> RefusedError:
    return _refusal(
        name, cell, "may have a decimal comma or thousands separators: write it with a decimal point and no separators"
    )


def _refusal(name: str, cell: object, problem: str) -> RefusedError:
    return RefusedError(Reason.BAD_POSITION, f"the {name} '{cell}' {problem}")
