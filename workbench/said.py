"""Sentences that a screen may say in another language: English text that remembers what it was made from.

Trail, evidence, files and the command line take such a sentence as the English text that it is; only a panel looks its template up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self


class Said(str):
    """An English sentence with its template, and the named values that stand in it. A plural has ``many`` and ``number``."""

    __slots__ = ("many", "number", "template", "values")
    template: str
    many: str
    number: int
    values: Mapping[str, object]

    @classmethod
    def of(cls, template: str, values: Mapping[str, object], *, many: str = "", number: int = 1) -> Self:
        """Fill the template, or its plural where the number asks for it."""
        made = cls(filled(many if many and number != 1 else template, values))
        made.template, made.many, made.number, made.values = template, many, number, dict(values)
        return made


def said(template: str, /, **values: object) -> Said:
    """A sentence with named places such as ``{name}``; whole numbers in them get their thousands separated."""
    return Said.of(template, values)


def kept(english: str) -> str:
    """Mark a sentence, or the template of one, that is put together or stored as plain text and recognised when a screen shows it."""
    return english


def said_of(one: str, many: str, number: int, /, **values: object) -> Said:
    """A sentence about a ``{number}`` of things, in its singular or plural."""
    return Said.of(one, {"number": number, **values}, many=many, number=number)


def joined(separator: str, parts: Sequence[str]) -> Said:
    """Parts with a separator between them; those that were ``said`` are told one by one."""
    values = {f"part{number}": part for number, part in enumerate(parts)}
    return Said.of(separator.join(f"{{{name}}}" for name in values), values)


def filled(template: str, values: Mapping[str, object], *, separator: str = ",") -> str:
    """The template with its places filled; ``separator`` stands between the thousands of whole numbers."""
    return template.format_map({name: _spelt(value, separator) for name, value in values.items()})


def _spelt(value: object, separator: str) -> object:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return f"{value:,}".replace(",", separator) if whole else value
