"""Tables as CSV whose cells a spreadsheet only shows, and as plain values."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from workbench.spreadsheet import harmless

def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows as CSV with a header line, UTF-8 text, lines ending in a line feed; texts made harmless (`harmless`)."""
    out = io.StringIO()
    writer = csv.writer(out)  # its own line end, so that a cell with a lone carriage return is quoted: else a new row begins there
    lines = []
    for cells in ([harmless(name) for name in columns], *([_cell(row.get(name)) for name in columns] for row in rows)):
        writer.writerow(cells)
        lines.append(out.getvalue().removesuffix("\r\n") + "\n")
        out.seek(0)
        out.truncate()
    return "".join(lines)


def read_back(text: str) -> Iterator[list[str]]:
    """The rows of `csv_text`, the header first, cell by cell as they stand there; of any length."""
    before = csv.field_size_limit(len(text) + 1)  # it is the whole process's, and 131,072 by default
    try:
        yield from csv.reader(io.StringIO(text, newline=""))
    finally:
        csv.field_size_limit(before)


def number_columns(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> list[int]:
    """The places of the columns that hold numbers, or nothing in some rows, and no text."""
    kinds: list[set[bool]] = [set() for _ in columns]
    for row in rows:
        for kind, name in zip(kinds, columns, strict=True):
            if (cell := _cell(row.get(name))) != "":
                kind.add(not isinstance(cell, str))
    return [place for place, kind in enumerate(kinds) if kind == {True}]


def plain(value: Any) -> Any:
    """A value of a DataFrame or a record as JSON knows it.

    Moments as ISO 8601 in UTC, missing values as None, tuples and sets as lists, numpy's numbers as Python's.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return [plain(item) for item in sorted(value)]
    return _plain_one(value)


def _plain_one(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if value != value:  # noqa: PLR0124 - only NaN and NaT differ from themselves, and pandas stays unimported
        return None
    if isinstance(value, (datetime, date)):
        return value.isoformat().replace("+00:00", "Z")
    if hasattr(value, "item"):  # numpy's scalars
        return plain(value.item())
    return value if isinstance(value, float) else str(value)


def plain_text(value: Any) -> str:
    """A value as one cell of a table for people: nothing for None, yes and no, lists joined by semicolons."""
    value = plain(value)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return "; ".join(plain_text(item) for item in value)
    if isinstance(value, dict):
        return "; ".join(f"{key}: {plain_text(item)}" for key, item in value.items())
    return str(value)


def _cell(value: Any) -> Any:
    shown = plain(value)
    if isinstance(shown, (int, float)) and not isinstance(shown, bool):
        return shown
    return harmless(plain_text(shown))


def records(table: Any) -> tuple[list[str], list[dict[str, Any]]]:
    """Column names and rows of a DataFrame, or of a list of mappings (columns of the first row)."""
    if hasattr(table, "to_dict"):
        return [str(name) for name in table.columns], table.to_dict("records")
    rows = [dict(row) for row in table]
    return list(rows[0]) if rows else [], rows
