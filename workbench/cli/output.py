"""Data on stdout: as a table for people, as JSON, or as CSV that spreadsheets only show."""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

import typer

from workbench.reports.tables import csv_text, plain, plain_text, records

Form = Literal["table", "json", "csv"]
FormatOption = Annotated[Form, typer.Option("--format", help="How to print: table, json or csv.")]

WIDEST_CELL = 72
UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
UNSAFE_IN_JSON = re.compile(r"[\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def emit(table: Any, form: Form, *, columns: Sequence[str] | None = None) -> None:
    """Print a DataFrame, or a list of mappings with the same keys; ``columns`` chooses some for the table form only."""
    names, rows = records(table)
    if form == "json":
        emit_json([{name: row.get(name) for name in names} for row in rows])
    elif form == "csv":
        write(csv_text(names, rows))
    else:
        write(table_text([name for name in columns if name in names] if columns else names, rows))


def emit_json(value: Any) -> None:
    """Print one JSON value; characters that could steer a terminal are written as escapes."""
    text = json.dumps(plain(value), ensure_ascii=False, indent=2)
    write(UNSAFE_IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", text) + "\n")


def write(text: str) -> None:
    """Data to stdout."""
    sys.stdout.write(text)
    sys.stdout.flush()


def table_text(columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> str:
    """Aligned columns with a header line; unprintable characters shown as �, long cells cut where a person reads on a terminal."""
    if not columns or not rows:
        return ""
    cells = [[_shown(row.get(name)) for name in columns] for row in rows]
    heads = [name.replace("_", " ") for name in columns]
    widths = [max(map(_width, column)) for column in zip(heads, *cells, strict=True)]
    lines = [heads, ["-" * width for width in widths], *cells]
    return "".join(_line(line, widths) for line in lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell + " " * (width - _width(cell)) for cell, width in zip(cells, widths, strict=True))
    return "  ".join(padded).rstrip() + "\n"


def _shown(value: Any) -> str:
    is_moment = isinstance(value, datetime) and value == value  # noqa: PLR0124 - NaT differs from itself
    text = UNSAFE.sub("\ufffd", f"{value:%Y-%m-%d %H:%M:%SZ}" if is_moment else plain_text(value))
    return text if len(text) <= WIDEST_CELL or not sys.stdout.isatty() else f"{text[: WIDEST_CELL - 1]}…"


def _width(text: str) -> int:
    """Columns that a text takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
