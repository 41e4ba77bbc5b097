"""Every report template over a register full of formulas and markup: the page gets no tag of theirs, no cell of a table runs."""

from __future__ import annotations

import csv
import json
import os
import re
import sqlite3
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import sqlalchemy as sa
from openpyxl.utils.escape import unescape
from pypdf import PdfReader
from test_injection import FORMULAS, MARKUP, first_seen

from workbench import demo, reports
from workbench.bench import Workbench
from workbench.errors import ReportError
from workbench.person import new_id
from workbench.reports import pdf
from workbench.spreadsheet import FORMULA_SIGNS, restored
from workbench.store import schema as s

NAMES = [template.name for template in reports.templates()]
BEGAN = datetime(2020, 1, 1, tzinfo=UTC)
JINJA = [
    "{{ 7*7 }}",
    "{% raw %}",
    "{# x #}",
    "{{ report.style|safe }}",
    "{{ ''.__class__.__mro__ }}",
    "{% include 'report.css' %}",
]
LISTED = Path(os.environ.get("WORKBENCH_CORPORA", "nowhere")) / "naughty-strings.json"
NAUGHTY = [text for text in json.loads(LISTED.read_text(encoding="utf-8")) if text] if LISTED.is_file() else []
TEXTS = [*JINJA, *MARKUP, *NAUGHTY, *FORMULAS]  # a page shows a table's first rows: what is meant for it comes first
PARTS = r"\[Content_Types\]\.xml|_rels/\.rels|docProps/(app|core)\.xml|xl/(workbook|styles|theme/theme1|worksheets/sheet\d+|_rels/workbook\.xml)\.(xml|rels)"
PAYLOADS = {"texts in a register of which each report template is issued": len(TEXTS)}


class Page(HTMLParser):
    """The tags with the names of their attributes, and all text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[tuple[str, tuple[str, ...]]] = Counter()
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        # The class of a cell is chosen by how long its text is.
        self.tags[tag, tuple(name for name, _ in attrs if (tag, name) != ("td", "class"))] += 1

    def handle_comment(self, data: str) -> None:
        self.tags["!--", ()] += 1

    def handle_data(self, data: str) -> None:
        self.text += data


@contextmanager
def rewritable(wb: Workbench) -> Iterator[None]:
    """The register's guards on unsubscribes are off for one block, so that the same episodes can tell something else."""
    with closing(sqlite3.connect(str(wb.store.url.database))) as bare:
        wanted = "FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'unsubscribe'"
        guards = bare.execute(f"SELECT name, sql {wanted}").fetchall()
        for name, _ in guards:
            bare.execute(f"DROP TRIGGER {name}")
        bare.commit()
        yield
        for _, sql in guards:
            bare.execute(sql)
        bare.commit()


def fill(wb: Workbench, texts: Sequence[str]) -> None:
    """Put the texts wherever a register keeps one: past the intake, which would turn some of them away."""
    with rewritable(wb), wb.store.write() as tx:
        for n, person in enumerate(tx.execute(sa.select(s.person.c.person_id).order_by(s.person.c.person_id)).scalars().all()):
            text = texts[n % len(texts)]
            names = dict.fromkeys(("first_name", "last_name", "company", "title"), text)
            mail = {"email": f"{text}{n}@example.org", "email_as_given": f"{text}{n}@example.org"}
            tx.execute(sa.update(s.person).where(s.person.c.person_id == person).values(names | mail))
        for n, record in enumerate(
            tx.execute(sa.select(s.org_record.c.record_id).order_by(s.org_record.c.record_id)).scalars().all()
        ):
            change = sa.update(s.org_record).where(s.org_record.c.record_id == record)
            tx.execute(change.values(email=f"{texts[n % len(texts)]}@example.org"))
        keys = (s.consent_evidence.c.consent_id, s.consent_evidence.c.sha256)
        for n, (consent, digest) in enumerate(tx.execute(sa.select(*keys).order_by(*keys)).all()):
            change = sa.update(s.consent_evidence).where(keys[0] == consent, keys[1] == digest)
            tx.execute(change.values(original_name=f"{texts[n % len(texts)]}.pdf"))
        for n, text in enumerate(texts):
            told = s.unsubscribe.c.opted_out_at == BEGAN + timedelta(minutes=n)
            tx.execute(sa.update(s.unsubscribe).where(told).values(detail=text))


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], tuple[Page, Page, Any]]]:
    """Each template's page over harmless texts, the one over the payloads, and the report that the second is of."""
    with demo.prepare(tmp_path_factory.mktemp("hostile") / "demo") as played:
        assert demo.run(played, lambda _: None)
        wb, now = played.wb, played.wb.clock()
        person = str(wb.coverage()["person_id"].iloc[0])
        with wb.store.write() as tx:
            for n in range(len(TEXTS)):
                at = BEGAN + timedelta(minutes=n)
                values = {"unsubscribe_id": new_id(), "person_id": person, "opted_out_at": at, "source": "manual", "detail": ""}
                tx.execute(sa.insert(s.unsubscribe).values(values | {"recorded_at": at, "recorded_by": "ada", "closed_at": at}))
        given: dict[str, dict[str, Any]] = {
            "resubscription-audit": {
                "since": f"{now - timedelta(days=30):%Y-%m-%d}",
                "until": f"{now + timedelta(days=1):%Y-%m-%d}",
            },
            "monthly-compliance": {"month": f"{now:%Y-%m}"},
            "person-history": {"person": person},
            "consent-register": {"expiring_within_days": 100_000},
        }
        try:
            pdf.chromium()
            printed = True
        except ReportError:
            printed = False

        def issue(name: str) -> reports.IssuedReport:
            return reports.run(
                wb, name, given.get(name, {}) | {"personal_data": "full"}, pdf=printed and name == "person-history"
            )

        fill(wb, [f"Harmless {n}" for n in range(len(TEXTS))])
        harmless = {name: Page(issue(name).html.read_text(encoding="utf-8")) for name in NAMES}
        fill(wb, TEXTS)
        hostile = {name: issue(name) for name in NAMES}
        yield lambda name: (harmless[name], Page(hostile[name].html.read_text(encoding="utf-8")), hostile[name])


@pytest.mark.parametrize("name", NAMES)
def test_no_text_of_the_register_becomes_a_tag_or_an_attribute(name: str, pages: Any) -> None:
    harmless, hostile, _ = pages(name)
    assert sum(harmless.tags.values()) > 20
    if name == "trail-verification":  # it counts the reports that were issued meanwhile, and shows nothing else of the register
        assert hostile.tags.keys() == harmless.tags.keys()
    else:
        assert hostile.tags == harmless.tags


def test_markup_and_templates_are_shown_letter_by_letter(pages: Any) -> None:
    _, hostile, _ = pages("person-history")
    assert [text for text in [*JINJA, *MARKUP] if text.strip("\0") not in hostile.text and "\0" not in text] == []


@pytest.mark.parametrize("name", NAMES)
def test_no_cell_of_a_reports_tables_runs(name: str, pages: Any) -> None:
    _, _, made = pages(name)
    tables = sorted((made.folder / "tables").glob("*.csv"))
    assert tables
    for table in tables:
        for row in csv.reader(table.open(encoding="utf-8", newline="")):
            for cell in row:
                number = cell.lstrip("-").replace(".", "", 1).isdigit()
                assert number or first_seen(cell) not in FORMULA_SIGNS or cell[:1] == "'", (table.name, cell)


@pytest.mark.parametrize("name", NAMES)
def test_no_cell_of_a_reports_workbook_runs(name: str, pages: Any) -> None:
    """Each cell is a number or a text, says what the CSV file says, and no part of the file can hold more than that."""
    _, _, made = pages(name)
    book = openpyxl.load_workbook(made.xlsx)
    tables = sorted((made.folder / "tables").glob("*.csv"))
    sheets = {table: "history-2" if table.stem == "history" else table.stem for table in tables}
    assert sorted(book.sheetnames) == sorted(sheets.values())
    for table, sheet in ((table, book[name]) for table, name in sheets.items()):
        rows = list(csv.reader(table.open(encoding="utf-8", newline="")))
        assert (sheet.max_row, sheet.max_column) == (len(rows), len(rows[0]))
        for row, shown in zip(rows, sheet.iter_rows(), strict=True):
            for wanted, cell in zip(row, shown, strict=True):
                assert cell.data_type in ("n", "s", "inlineStr"), (table.name, cell.coordinate)
                assert cell.hyperlink is None
                said = unescape(cell.value) if isinstance(cell.value, str) else "" if cell.value is None else cell.value
                assert said == wanted if isinstance(said, str) else said == float(wanted), (table.name, cell.coordinate)
                assert not isinstance(said, str) or first_seen(said) not in FORMULA_SIGNS or said[:1] == "'"
    with zipfile.ZipFile(made.xlsx) as packed:
        assert not [part for part in packed.namelist() if not re.fullmatch(PARTS, part)]
        for part in packed.namelist():
            assert not re.search(rb"<(f|hyperlink|definedName|oleObject)\b|TargetMode", packed.read(part)), part


def test_thousands_of_hostile_cells_are_in_a_workbook(pages: Any) -> None:
    _, _, made = pages("person-history")
    cells = [str(cell) for row in openpyxl.load_workbook(made.xlsx)["unsubscribes"].values for cell in row]
    assert sum(first_seen(cell) in FORMULA_SIGNS for cell in map(restored, map(unescape, cells))) >= 2000


def test_each_text_comes_back_from_the_table_as_it_was(pages: Any) -> None:
    _, _, made = pages("person-history")
    table = made.folder / "tables" / "unsubscribes.csv"
    rows = list(csv.DictReader(table.open(encoding="utf-8", newline="")))
    assert len(FORMULAS) >= 2000
    assert Counter(TEXTS) - Counter(restored(row["detail"]) for row in rows) == Counter()


def test_the_printed_report_shows_markup_and_templates_as_text(pages: Any) -> None:
    """Compared without blanks: a cell's lines are broken by how wide it is. What is not ASCII is left out: fonts differ."""
    _, _, made = pages("person-history")
    if made.pdf is None:
        pytest.skip("there is no Chromium here to print with")
    printed = "".join("".join(page.extract_text() for page in PdfReader(made.pdf).pages).split())
    wanted = ["".join(text.split()) for text in [*JINJA, *MARKUP] if text.isascii() and text.isprintable()]
    assert len(wanted) > 20
    assert [text for text in wanted if text not in printed] == []


def test_the_printed_report_does_nothing_and_leads_nowhere(pages: Any) -> None:
    _, _, made = pages("person-history")
    if made.pdf is None:
        pytest.skip("there is no Chromium here to print with")
    content = made.pdf.read_bytes()
    assert b"/StructTreeRoot" in content  # its objects can be read, not only compressed ones
    for acts in (b"/JavaScript", b"/URI", b"/Launch", b"/AcroForm", b"/EmbeddedFile"):
        assert acts not in content
