"""Salesforce record ids: 15 characters as stored, 18 with a case checksum as sent.

Ids made here carry the marker ``SCR`` after the object's three-character prefix, so nobody takes one for a real id.
"""

import re
from functools import lru_cache

_SUFFIXES = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_BITS = {ord(c): "1" if "A" <= c <= "Z" else "0" for c in _DIGITS}
_SHAPE = re.compile(r"[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?", re.ASCII)

MARKER = "SCR"


def checksum(fifteen: str) -> str:
    """The three characters that make a 15-character id safe to compare without case."""
    return _suffix(fifteen[:5]) + _suffix(fifteen[5:10]) + _suffix(fifteen[10:])


@lru_cache(maxsize=100_000)
def _suffix(block: str) -> str:
    return _SUFFIXES[int(block[::-1].translate(_BITS), 2)]


def long_id(text: str) -> str | None:
    """The 18-character form of a 15- or 18-character id; None when it is no id at all.

    An 18-character id whose letters changed case is repaired from its checksum, as Salesforce does.
    """
    if not _SHAPE.fullmatch(text):
        return None
    if len(text) == 15:
        return text + checksum(text)
    if checksum(text[:15]) == text[15:]:
        return text
    return _repaired(text)


def _repaired(text: str) -> str | None:
    suffix = text[15:].upper()
    if any(c not in _SUFFIXES for c in suffix):
        return None
    letters = [c.upper() if _SUFFIXES.index(suffix[i // 5]) >> (i % 5) & 1 else c.lower() for i, c in enumerate(text[:15])]
    fifteen = "".join(letters)
    return fifteen + suffix if checksum(fifteen) == suffix else None


def numbered_id(prefix: str, number: int) -> str:
    """The 18-character id of the ``number``-th record of an object, e.g. ``00QSCR000000001AAA``."""
    digits = ""
    while number:
        number, rest = divmod(number, 62)
        digits = _DIGITS[rest] + digits
    fifteen = f"{prefix}{MARKER}{digits.rjust(9, '0')}"
    return fifteen + checksum(fifteen)


def number_of(record_id: str) -> int:
    """The number inside an id made here; 0 for any other id."""
    if record_id[3:6] != MARKER:
        return 0
    number = 0
    for digit in record_id[6:15].lstrip("0"):
        number = number * 62 + _DIGITS.index(digit)
    return number
