"""Cells that a spreadsheet only shows: text that it would run as a formula gets an apostrophe in front, and loses it again.

Source: OWASP, "CSV Injection"; full-width signs and the pipe are taken as formulas by some spreadsheets too.
"""

from __future__ import annotations

FORMULA_SIGNS = frozenset("=+-@\t\r\n|\uff1d\uff0b\uff0d\uff20")


def harmless(text: str) -> str:
    """The text, behind an apostrophe where its first visible character could start a formula."""
    return f"'{text}" if _runs(text) else text


def restored(cell: str) -> str:
    """The text as it was before `harmless`."""
    return cell[1:] if cell[:1] == "'" and _runs(cell[1:]) else cell


def _runs(text: str) -> bool:
    """Whether the first character could start a formula, or the first one that is seen: blanks and invisible ones are passed over."""
    return text[:1] in FORMULA_SIGNS or next((c for c in text if not c.isspace() and c.isprintable()), "") in FORMULA_SIGNS
