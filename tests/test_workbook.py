"""The workbook of a report's tables: what a cell becomes, what does not fit, and the same bytes again."""

from __future__ import annotations

import time
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl.utils.escape import unescape

from workbench.reports.tables import csv_text, number_columns, read_back
from workbench.reports.workbook import CUT, Kept, write_workbook
from workbench.spreadsheet import restored

AT = datetime(2026, 11, 2, 9, tzinfo=UTC)
INSIDE = '<r><t>x</t></r></is></c><c r="B2"><f>HYPERLINK("//example.org","x")</f></c><c r="C2" t="inlineStr"><is><r><t>y</t></r>'
Write = Callable[..., Any]


def kept(columns: list[str], rows: list[dict[str, Any]]) -> Kept:
    return Kept(csv_text(columns, rows), number_columns(columns, rows))


@pytest.fixture
def written(tmp_path: Path) -> Write:
    """Write tables and read the workbook back."""

    def write(tables: dict[str, Kept], **more: Any) -> Any:
        target = tmp_path / f"{len(list(tmp_path.iterdir()))}.xlsx"
        write_workbook(tables, target, title="A report", at=AT, **more)
        assert target.stat().st_mode & 0o077 == 0
        assert not list(tmp_path.glob(".sheets-*"))
        return openpyxl.load_workbook(target)

    return write


def test_numbers_are_numbers_and_text_stays_text(written: Write) -> None:
    rows = [
        {"n": 3, "share": 0.25, "telephone": "0049", "flag": True, "some": None, "mixed": 1, "huge": 2**60},
        {"n": -7, "share": float("nan"), "telephone": "12", "flag": False, "some": 4, "mixed": "1e5", "huge": 1},
    ]
    sheet = written({"t": kept(list(rows[0]), rows)})["t"]
    assert list(sheet.values) == [
        ("n", "share", "telephone", "flag", "some", "mixed", "huge"),
        (3, 0.25, "0049", "yes", None, "1", str(2**60)),
        (-7, None, "12", "no", 4, "1e5", 1),
    ]


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "＝1", "＋1", "－1", "＠1", "|calc", INSIDE, "<r></r>"]
)
def test_no_text_becomes_a_formula(text: str, written: Write) -> None:
    sheet = written({"t": kept([text, "b", "c"], [{text: text}])})["t"]
    assert [cell.data_type for row in sheet.iter_rows() for cell in row if cell.value is not None] == ["s"] * 4
    assert restored(unescape(sheet["A1"].value)) == restored(unescape(sheet["A2"].value)) == text
    assert (sheet["B2"].value, sheet["C2"].value) == (None, None)


@given(st.lists(st.text(st.characters(exclude_categories=()), min_size=1, max_size=40), min_size=1, max_size=20))
def test_any_text_comes_back(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    target = tmp_path_factory.mktemp("any") / "t.xlsx"
    write_workbook({"t": kept(["x"], [{"x": text} for text in texts])}, target, title="A report", at=AT)
    cells = [cell for (cell,) in openpyxl.load_workbook(target)["t"].iter_rows(min_row=2)]
    spelled = [text.encode("utf-8", "backslashreplace").decode() for text in texts]
    assert [restored(unescape(str(cell.value))) for cell in cells] == spelled
    assert {cell.data_type for cell in cells} == {"s"}


def test_too_long_a_text_is_cut_with_a_mark_and_a_note(written: Write) -> None:
    book = written({"t": kept(["x", "y"], [{"x": "\U0001f600" * 20_000, "y": "a" * 32_767}, {"x": "b" * 200_000, "y": "c"}])})
    emoji, whole = book["t"]["A2"].value, book["t"]["B2"].value
    assert emoji.endswith("\U0001f600" + CUT)
    assert len(emoji.encode("utf-16-le")) // 2 <= 32_767
    assert whole == "a" * 32_767
    assert [row for (row,) in book["notes"].values][1:] == [
        f"Sheet t: 2 texts longer than a cell can hold, marked{CUT}; tables/t.csv has all of it."
    ]


def test_rows_beyond_a_sheets_last_are_left_to_the_csv_file_and_said(written: Write) -> None:
    book = written({"t": kept(["n"], [{"n": n} for n in range(12)]), "u": kept(["n"], [{"n": 1}])}, most_rows=10)
    assert [row for (row,) in book["t"].values] == ["n", *range(9)]
    assert [row for (row,) in book["notes"].values][1:] == [
        "Sheet t: 3 rows more than a sheet can hold; tables/t.csv has all of it."
    ]


def test_sheets_have_names_that_a_spreadsheet_takes(written: Write) -> None:
    long = "a-table-with-a-name-that-is-too-long"
    one = kept(["n"], [{"n": 1}])
    book = written(dict.fromkeys(("history", "notes", long, f"{long}-too"), one) | {"n": kept(["n"], [{"n": "x" * 40_000}])})
    assert book.sheetnames == ["history-2", "notes", long[:31], f"{long[:28]}-2", "n", "notes-2"]


def test_the_same_tables_at_the_same_moment_make_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = {"t": kept(["x"], [{"x": f"=text {n}"} for n in range(500)])}
    for name, at, zone in (("a", AT, "UTC"), ("b", AT, "Asia/Tokyo"), ("c", AT + timedelta(seconds=1), "UTC")):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        write_workbook(tables, tmp_path / name, title="A report", at=at)
    monkeypatch.undo()
    time.tzset()
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() != (tmp_path / "c").read_bytes()
    assert b"2026-11-02T09:00:00Z" in zipfile.ZipFile(tmp_path / "a").read("docProps/core.xml")


def test_a_cell_of_any_length_is_read_back() -> None:
    assert list(read_back(csv_text(["x"], [{"x": "a\r\nb" * 100_000}]))) == [["x"], ["a\r\nb" * 100_000]]
