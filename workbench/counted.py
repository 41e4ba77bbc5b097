"""A number and its noun, as a sentence has them: "1 person", "2,000 people"."""

from __future__ import annotations


def counted(number: int, one: str, many: str = "") -> str:
    """The number with thousands separated, and the noun in its singular or plural; ``many`` where an s does not make it."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
