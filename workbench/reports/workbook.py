"""The tables of a report as one workbook, a sheet each: texts are only shown, numbers are numbers, and what had to be cut is said.

No cell is ever a formula or a link: every text is written as a text, behind the apostrophe that it has in the CSV form too, so that
it stays harmless when somebody saves the sheet as CSV. The same tables at the same moment make the same bytes.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.counted import counted
from workbench.reports.tables import read_back

if TYPE_CHECKING:
    from xlsxwriter import Workbook
    from xlsxwriter.format import Format
    from xlsxwriter.worksheet import Worksheet

MOST_ROWS = 1_048_576  # of a sheet, its header among them
MOST_UNITS = 32_767  # of a cell, in UTF-16
MOST_DIGITS = 15  # that a spreadsheet keeps of a number
LONGEST_NAME = 31
TAKEN = frozenset({"history"})  # a sheet's name that Excel keeps for itself
CUT = " … (cut)"
WIDEST, NARROWEST, MEASURED = 60, 8, 200
NOTES = "notes"


@dataclass(frozen=True)
class Kept:
    """A table's CSV form, and the places of its columns that hold numbers and nothing else."""

    text: str
    numbers: Sequence[int] = ()


def write_workbook(tables: Mapping[str, Kept], target: Path, *, title: str, at: datetime, most_rows: int = MOST_ROWS) -> None:
    """Write tables, by their names, to a private file that does not exist yet and make sure it is on the disk.

    A text that a cell can't hold ends in a visible mark, rows that a sheet can't hold are left out; the last sheet says both and
    names the CSV file that has all. ``most_rows`` is how many rows a sheet has at most.

    Raises:
        OSError: the file can't be written.
    """
    from xlsxwriter import Workbook

    with (
        tempfile.TemporaryDirectory(dir=target.parent, prefix=".sheets-") as private,  # it holds people's data on its way
        os.fdopen(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w+b") as file,
    ):
        options = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
        book = Workbook(file, {"constant_memory": True, "tmpdir": private, **options})
        book.use_zip64()
        book.set_properties({"title": title, "created": at.astimezone(UTC).replace(tzinfo=None)})
        head = book.add_format({"bold": True})
        *sheets, last = _sheet_names([*tables, NOTES])
        given = zip(sheets, tables.items(), strict=True)
        notes = [note for sheet, (name, kept) in given for note in _sheet(book, sheet, kept, name, head, most_rows)]
        if notes:
            _fill(book.add_worksheet(last), [["what is not in this workbook"], *([note] for note in notes)], (), head)
        book.close()
        file.flush()
        os.fsync(file.fileno())


def _sheet(book: Workbook, sheet: str, kept: Kept, name: str, head: Format, most_rows: int) -> list[str]:
    """Write one table; returns what had to be left out, in sentences."""
    rows = read_back(kept.text)
    cut = _fill(book.add_worksheet(sheet), islice(rows, most_rows), kept.numbers, head)
    left = sum(1 for _ in rows)
    whole = f"tables/{name}.csv has all of it."
    notes = [f"Sheet {sheet}: {counted(left, 'row')} more than a sheet can hold; {whole}"] if left else []
    return notes + ([f"Sheet {sheet}: {counted(cut, 'text')} longer than a cell can hold, marked{CUT}; {whole}"] if cut else [])


def _fill(sheet: Worksheet, rows: Iterable[Sequence[str]], numbers: Sequence[int], head: Format) -> int:
    """Write rows, the first of them as headings; returns how many texts had to be cut."""
    rows = iter(rows)
    first = list(islice(rows, MEASURED))
    for place, width in enumerate(_widths(first)):
        sheet.set_column(place, place, width)
    sheet.freeze_panes(1, 0)
    cut = 0
    for n, row in enumerate(chain(first, rows)):
        for place, cell in enumerate(row):
            number = _number(cell) if n and place in numbers else None
            if number is not None:
                sheet.write_number(n, place, number)
            elif cell:
                text, whole = _fitting(cell)
                cut += not whole
                _write_text(sheet, n, place, text, None if n else head)
    return cut


def _write_text(sheet: Worksheet, row: int, column: int, text: str, form: Format | None) -> None:
    """Write a text as a text.

    XlsxWriter takes a text between <r> and </r> for its own markup and copies it unescaped: a cell, and a formula, could be begun
    inside of it. In three pieces the same text is escaped.
    """
    if text.startswith("<r>") and text.endswith("</r>"):
        sheet.write_rich_string(row, column, text[0], text[1], text[2:], *([form] if form else []))
    else:
        sheet.write_string(row, column, text, form)


def _fitting(text: str) -> tuple[str, bool]:
    """The text as a cell can hold it, and whether that is all of it.

    Half of a pair of surrogates is spelled out as in the CSV file; too long a text is cut and ends in a mark.
    """
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    units = text.encode("utf-16-le")
    if len(units) <= 2 * MOST_UNITS:
        return text, True
    return units[: 2 * (MOST_UNITS - len(CUT))].decode("utf-16-le", "ignore") + CUT, False


def _number(cell: str) -> float | None:
    """The number that a cell shows; None where there is none, or a spreadsheet would round it."""
    try:
        number = float(cell)
    except ValueError:
        return None
    digits = cell.lstrip("-").partition(".")[0]
    return number if math.isfinite(number) and len(digits) <= MOST_DIGITS else None


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    longest: list[int] = []
    for row in rows:
        longest += [0] * (len(row) - len(longest))
        for place, cell in enumerate(row):
            longest[place] = max(longest[place], len(cell))
    return [min(max(length + 2, NARROWEST), WIDEST) for length in longest]


def _sheet_names(names: Iterable[str]) -> list[str]:
    """A sheet's name for each table: as the table's, short enough, no two alike."""
    given: list[str] = []
    for name in names:
        wanted, n = name[:LONGEST_NAME], 1
        while wanted in TAKEN or wanted in given:
            n += 1
            wanted = f"{name[: LONGEST_NAME - 3]}-{n}"
        given.append(wanted)
    return given
