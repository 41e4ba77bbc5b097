"""Data stays data: no value becomes SQL, SOQL, a path, markup or a spreadsheet's formula. How many payloads: see `PAYLOADS`."""

from __future__ import annotations

import ast
import csv
import io
import unicodedata
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import product
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import workbench
from workbench.handout import Section, page
from workbench.org import OrgError
from workbench.panels import wording
from workbench.person import salesforce_id_18
from workbench.reports.tables import csv_text
from workbench.salesforce.bulk import JOB_ID
from workbench.salesforce.soql import quoted, usable_ids
from workbench.scratch_org.soql.grammar import parsed

HOUSE = Path(workbench.__file__).parent

# --- SQL -------------------------------------------------------------------------------------------------------------------------

SENDS = {"execute", "executemany", "executescript", "exec_driver_sql", "text", "literal_column", "TextClause"}

FROM_LISTS = {
    "store/database.py:insert_many": "compiled by SQLAlchemy from a table's definition",
    "store/records.py:_literal": "a moment as the database's own text: digits and signs",
    "store/postgresql.py:engine.begin": "numbers of ours",
    "store/postgresql.py:as_owner": "the owner's name, quoted by SQLAlchemy",
    "store/copying.py:copy": "a sentence of ours",
    "store/sqlite.py:_prepare": "names of pragmas from a list of ours",
    "store/sqlite.py:_begin": "one of two words",
    "store/schema.py:": "names of columns",
    "store/mismatches/near.py:_edge": "names of tables and columns from a list of ours",
    "store/mismatches/near.py:alone": "names of tables from the schema, the schema's own name quoted by the server",
    "store/mismatches/near.py:_keep_links": "the schema's name, quoted by the server",
    "store/mismatches/near.py:_places": "a question of ours in two parts",
    "store/migrations/versions/0006_touched.py:upgrade": "names from its list, the schema's name quoted by the server",
    "store/migrations/versions/0006_touched.py:downgrade": "names from its list",
    "store/roles/__init__.py:set_up": "names of tables from the schema, of roles quoted by SQLAlchemy",
}
"""Where a statement is put together, each with what it is put together from. A new place is looked at before it is added here."""


def put_together(tree: ast.Module) -> Iterator[str]:
    """The functions that send text which is not written there as it is; f-strings, %, +, format, and names for raw text."""

    def within(node: ast.AST, names: tuple[str, ...]) -> Iterator[str]:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names = (*names, node.name)
        if isinstance(node, ast.Call) and node.args:
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called == "text" and ast.unparse(node.func) not in ("sa.text", "sqlalchemy.text"):
                called = ""  # a function of ours
            first = node.args[0]
            made = isinstance(first, (ast.JoinedStr, ast.BinOp)) or (
                isinstance(first, ast.Call) and isinstance(first.func, ast.Attribute) and first.func.attr in ("format", "join")
            )
            raw = called in SENDS - {"execute", "executemany"} and not isinstance(first, ast.Constant)
            if called in SENDS and (made or raw):
                yield ".".join(names)
        for child in ast.iter_child_nodes(node):
            yield from within(child, names)

    yield from within(tree, ())


def places() -> set[str]:
    found = set()
    for file in [*HOUSE.glob("*.py"), *(f for f in HOUSE.rglob("*/*.py") if "scratch_org" not in f.parts)]:
        module = file.relative_to(HOUSE).as_posix()
        found |= {f"{module}:{name}" for name in put_together(ast.parse(file.read_text(encoding="utf-8")))}
    return found


def test_no_module_takes_the_text_of_statements_in_by_another_name() -> None:
    for file in HOUSE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sqlalchemy"):
                assert not {one.name for one in node.names} & SENDS, file


def test_statements_are_put_together_in_known_places_only() -> None:
    assert places() == FROM_LISTS.keys()


@pytest.mark.parametrize(
    "planted",
    [
        "def f(tx, x): tx.execute(f'SELECT {x}')",
        "def f(tx, x): tx.execute('SELECT ' + x)",
        "def f(tx, x): tx.execute('SELECT %s' % x)",
        "def f(tx, x): tx.execute('SELECT {}'.format(x))",
        "def f(tx, x): tx.execute(sa.text(x))",
        "def f(tx, x): tx.exec_driver_sql(x)",
        "def f(x): return sa.literal_column(x)",
    ],
)
def test_a_planted_statement_is_found(planted: str) -> None:
    assert list(put_together(ast.parse(planted))) != []


# --- SOQL and ids ----------------------------------------------------------------------------------------------------------------

WRONG_IDS = [
    before + middle + after
    for before, middle, after in product(
        ("", "00Qxx0000000001", "../", "003xx0000000001AAA"),
        (
            "/",
            "..",
            "?x=1",
            "#",
            "%2F",
            "%2e%2e%2f",
            "\\",
            "' OR Id != '",
            "\n",
            "\x00",
            ";",
            "@",
            ":",
            "*",
            "&",
            "=",
            '"',
            "{}",
            "é",
        ),
        ("", "describe", "/composite", "00Qxx0000000001", "/../../../limits", " "),
    )
]


def test_no_crafted_id_reaches_a_path() -> None:
    for crafted in WRONG_IDS:
        if crafted.strip() in ("00Qxx0000000001", "003xx0000000001AAA"):  # blanks around an id are taken off, not sent
            assert salesforce_id_18(crafted).isalnum()
        else:
            with pytest.raises(ValueError, match="Salesforce id"):
                salesforce_id_18(crafted)
            with pytest.raises(OrgError):
                usable_ids(["00Qxx0000000001", crafted])
        assert not JOB_ID.fullmatch(crafted)


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1, max_size=5))
def test_whatever_is_quoted_is_one_literal_each(values: list[str]) -> None:
    query = parsed(f"SELECT Id FROM Lead WHERE Email IN {quoted(values)}")
    assert [one.text for one in query.where.literals] == values


# --- spreadsheets ----------------------------------------------------------------------------------------------------------------

UNSEEN = ["", " ", "  ", "\t", "\n", "\r", "\r\n", "\x0b", "\x0c", "\x00", "\x1f", "\x7f", "\xa0", "\xad", "\u200b", "\u200e", "\u2028", "\u2060", "\u3000", "\ufeff", "\ufeff ", " \u200b", "\x00\x00", "\u202e"]  # fmt: skip
STARTS = ["=", "+", "-", "@", "|", "\uff1d", "\uff0b", "\uff0d", "\uff20", "=-", "=+", "@="]
RUNS = [
    "1+1",
    "SUM(A1)",
    "cmd|' /C calc'!A0",
    'HYPERLINK("http://x","y")',
    "IMPORTXML(A1)",
    'DDE("a";"b")',
    "'",
    '"',
    "\n=1",
    ",",
]
FORMULAS = ["".join(parts) for parts in product(UNSEEN, STARTS, RUNS)]


def first_seen(cell: str) -> str:
    """The first character that a spreadsheet does not pass over."""
    return next((c for c in cell if not c.isspace() and unicodedata.category(c)[0] not in "CZ"), "")


def test_no_cell_of_a_table_runs() -> None:
    assert len(FORMULAS) >= 2000
    written = csv_text(["text", "=heading"], [{"text": text} for text in FORMULAS])
    rows = list(csv.reader(io.StringIO(written, newline="")))
    assert len(rows) == len(FORMULAS) + 1
    assert [row[0] for row in rows[1:] if row[0][:1] != "'"] == []
    assert {first_seen(row[0]) for row in rows[1:]} == {"'"}
    assert rows[0][1] == "'=heading"


# --- markup ----------------------------------------------------------------------------------------------------------------------

MARKUP = [
    before + payload
    for before, payload in product(
        ("", "'", '"', "</td>", "-->", "]]>", "</script>", "&lt;", "\x00", "\u202e", "{{7*7}}", "</title>"),
        (
            "<script>alert(1)</script>",
            "<img src=x onerror=alert(1)>",
            "<svg/onload=alert(1)>",
            "<iframe srcdoc='<script>1</script>'>",
            "<a href=javascript:alert(1)>x</a>",
            " onmouseover=alert(1) x=",
            "<style>*{background:url(//x)}</style>",
            "<meta http-equiv=refresh content=0>",
            "<!--",
            "<base href=//x>",
            "&#60;script&#62;",
            "<form action=//x><input name=y>",
            "{% for x in ().__class__.__base__.__subclasses__() %}",
            "${7*7}",
            "<math><mi//xlink:href='data:x,<script>1</script>'>",
            "<details open ontoggle=alert(1)>",
        ),
    )
]


class Skeleton(HTMLParser):
    """The tags with the names of their attributes: everything but text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, tuple[str, ...]]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, tuple(name for name, _ in attrs)))

    def handle_endtag(self, tag: str) -> None:
        self.seen.append((f"/{tag}", ()))

    def handle_comment(self, data: str) -> None:
        self.seen.append(("!--", ()))


def pages(text: str) -> dict[str, str]:
    """Everything that we make markup of, with a text in every place."""
    frame = pd.DataFrame({"a": [text, text], text: [text, text]})
    return {
        "table": wording.table(frame, {"a": text, text: text}, caption=text, spell=["a"]),
        "no table": wording.table(frame.head(0), {"a": text}, caption=text, empty=text),
        "heading": wording.heading(text),
        "paragraph": wording.paragraph(text),
        "bullets": wording.bullets([text, text]),
        "handout": page(
            text,
            [Section(text, [(text, text)]), Section(text, [[text, text]], [text, text]), Section(text, [], (), text)],
            language=text,
        ),
    }


def skeletons(text: str) -> dict[str, list[tuple[str, tuple[str, ...]]]]:
    return {name: Skeleton(made).seen for name, made in pages(text).items()}


def test_no_text_becomes_markup() -> None:
    for payload in MARKUP:
        plain = "".join(c if c.isalnum() or c.isspace() else "x" for c in payload)  # as long: long texts are laid out otherwise
        assert skeletons(payload) == skeletons(plain), payload


def test_markup_that_is_not_escaped_is_found() -> None:
    assert Skeleton(f"<p>{MARKUP[0]}</p>").seen != Skeleton("<p>Ann</p>").seen


PAYLOADS = {
    "crafted Salesforce ids": len(WRONG_IDS),
    "formulas in cells": len(FORMULAS),
    "markup in texts (each in every place of six kinds of markup)": len(MARKUP),
}
