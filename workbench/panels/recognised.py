"""Sentences that come as plain text, out of the register or an error, are recognised by the templates of the catalogue."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

PLACE = re.compile(r"\{([a-z_0-9]+)\}")
NUMBER = r"\d[\d,]*"
LEAST_LETTERS = 8  # fewer in a row could stand in anything
LIST = re.compile(r"(, nor |, |; )")
SENTENCE_END = re.compile(r"(?<=[.!?]) (?=[A-Z0-9`])")


OURS = frozenset({"cause", "detail", "error", "how", "place", "records", "sentence", "source", "state", "what", "when", "why"})
"""Places in which words of ours stand, which are translated, too; in any other stand names, addresses, ids and codes."""


@dataclass(frozen=True)
class Template:
    """A marked English text; ``form`` is 1 where it is the plural of ``one``."""

    english: str
    one: str
    form: int

    @cached_property
    def words(self) -> tuple[str, ...]:
        """What stands between its places."""
        return tuple(PLACE.split(self.english)[::2])

    @cached_property
    def telling(self) -> bool:
        """Whether it has enough words of its own that no other text looks like it."""
        return max(len(re.sub("[^A-Za-z]", "", words)) for words in self.words) >= LEAST_LETTERS

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        seen: set[str] = set()
        parts = []
        for number, part in enumerate(PLACE.split(self.english)):
            if number % 2 == 0:
                parts.append(re.escape(part))
            elif part in seen:
                parts.append(f"(?P={part})")
            else:
                seen.add(part)
                parts.append(f"(?P<{part}>{NUMBER if part == 'number' else '.+?'})")
        return re.compile("".join(parts), re.DOTALL)

    def values(self, text: str) -> Mapping[str, str] | None:
        """What stands in its places where ``text`` was made from it; None where it was not."""
        if not all(words in text for words in self.words):
            return None
        found = self._pattern.fullmatch(text)
        values = found.groupdict() if found else None
        return None if values and any(SENTENCE_END.search(v) for name, v in values.items() if name not in OURS) else values


class Templates:
    """The templates with places of a compiled catalogue, those with most words of their own first."""

    def __init__(self, compiled: Path) -> None:
        """Read a ``.mo`` file."""
        made = {t.english: t for t in _templates(compiled.read_bytes()) if len(t.words) > 1}
        self._parts = sorted(made.values(), key=lambda t: -sum(map(len, t.words)))
        self._sentences = [t for t in self._parts if t.telling]

    def find(self, text: str, *, part: bool) -> tuple[Template, Mapping[str, str]] | None:
        """The template that ``text`` was made from, and the values in it; as a ``part`` of a sentence it may be of few words."""
        for template in self._parts if part else self._sentences:
            values = template.values(text)
            if values is not None:
                return template, values
        return None


def sentences(text: str) -> list[str]:
    """A text taken apart where a sentence ends and another begins."""
    return SENTENCE_END.split(text)


def _templates(compiled: bytes) -> Iterator[Template]:
    _magic, _version, count, originals, _translations = struct.unpack("<5I", compiled[:20])
    for number in range(count):
        length, start = struct.unpack_from("<2I", compiled, originals + 8 * number)
        forms = compiled[start : start + length].decode("utf-8").split("\0")
        yield from (Template(english, forms[0], form) for form, english in enumerate(forms))
