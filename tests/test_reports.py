"""Reports: parameters before anything starts, real runs through a real kernel, what the page holds, what a failed run leaves."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from conftest import CONTROLLER, World, contact_id, lead_id, org_line

from workbench import reports
from workbench.bench import Workbench
from workbench.cli.app import run as command
from workbench.errors import ReportError
from workbench.reports import catalogue
from workbench.reports.presentation import Chart, Facts, Note, Table, address
from workbench.reports.resubscription_audit import ResubscriptionAudit
from workbench.reports.tables import csv_text, harmless, plain
from workbench.scratch_org import start_scratch_org

ADA, BEA, EVE = "ada@example.org", "bea@example.net", "<img/src=x/onerror=alert(1)>@example.org"
TEMPLATES = [
    "consent-register",
    "mismatch-review",
    "monthly-compliance",
    "person-history",
    "resubscription-audit",
    "trail-verification",
]
PERIOD = {"since": "2026-01-01", "until": "2100-01-01"}


class Page(HTMLParser):
    """The tags and attributes of a page, as a browser would see them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


# Parameters

TODAY = date(2026, 11, 2)


class OnlyClock:
    """All of a Workbench that may be asked before the parameters are known to fit."""

    def clock(self) -> datetime:
        return datetime.combine(TODAY, time(9), UTC)


@pytest.mark.parametrize(
    ("name", "given", "sentence"),
    [
        ("horoscope", {}, "there is no report of this name"),
        ("../issued/x", {}, "there is no report of this name"),
        ("resubscription-audit", {}, "the report resubscription-audit needs the parameters since, until"),
        ("resubscription-audit", {"since": "2026-10-01"}, "the report resubscription-audit needs the parameter until"),
        ("resubscription-audit", {**PERIOD, "colour": "red"}, "the report resubscription-audit has no parameter colour"),
        ("resubscription-audit", {"since": "2026-11-01", "until": "2026-10-01"}, "the report's period ends before it begins"),
        ("resubscription-audit", {"since": "2026-10-01", "until": "2026-10-01"}, "the report's period ends before it begins"),
        *(
            ("resubscription-audit", {"since": bad, "until": "2026-11-01"}, "the parameter since is not a day")
            for bad in (
                "2026-10",
                "20261001",
                "2026-W40-4",
                "2026-02-30",
                "01.10.2026",
                "yesterday",
                "2026-10-01T00:00",
                20261001,
                True,
                "",
            )
        ),
        ("resubscription-audit", {**PERIOD, "personal_data": "everything"}, "the parameter personal_data is none of its words"),
        (
            "resubscription-audit",
            {**PERIOD, "personal_data": '"; import os #'},
            "the parameter personal_data is none of its words",
        ),
        ("mismatch-review", {"only_over_limit": "perhaps"}, "the parameter only_over_limit is not yes or no"),
        *(
            ("monthly-compliance", {"month": bad}, "the parameter month is not a month")
            for bad in ("2016", "today", "next-month", "2026-13", "2026-10-01", "10/2026", 202610, "2026-1", "")
        ),
        *(
            ("person-history", {"person": bad}, "the parameter person is not a person's id")
            for bad in (ADA, "", "01a21adb", '"); import os #', 7)
        ),
        ("person-history", {}, "the report person-history needs the parameter person"),
        (
            "consent-register",
            {"expiring_within_days": "soon"},
            "the parameter expiring_within_days is not a whole number from 0 on",
        ),
        ("consent-register", {"expiring_within_days": -1}, "the parameter expiring_within_days is not a whole number from 0 on"),
        ("monthly-compliance", {"month": "2999-01"}, "the report's period has not begun yet"),
        ("resubscription-audit", {"since": "2998-01-01", "until": "2999-01-01"}, "the report's period has not begun yet"),
        ("mismatch-review", {"kind": "boredom"}, "the parameter kind is none of its words"),
    ],
)
def test_parameters_that_do_not_fit_stop_before_a_kernel_starts(
    name: str, given: dict[str, Any], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workbench.reports.issuing._Issue", None)  # so that a run that begins after all ends in another error
    with pytest.raises(ReportError) as error:
        reports.run(OnlyClock(), name, given)  # type: ignore[arg-type]  # refused before anything else of the Workbench is looked at
    assert str(error.value) == sentence
    assert error.value.advice


@pytest.mark.parametrize(
    ("today", "given", "run_with"),
    [
        (date(2026, 11, 2), {"since": "last-month", "until": "this-month"}, ("2026-10-01", "2026-11-01")),
        (date(2026, 1, 31), {"since": "last-month", "until": "today"}, ("2025-12-01", "2026-01-31")),
        (date(2028, 3, 1), {"since": "last-month", "until": "today"}, ("2028-02-01", "2028-03-01")),
    ],
)
def test_a_scheduled_report_names_its_period_by_words(today: date, given: dict[str, str], run_with: tuple[str, str]) -> None:
    values = reports.template("resubscription-audit").checked(given, today=today)
    assert (values["since"], values["until"]) == run_with


@pytest.mark.parametrize(("word", "month"), [("last-month", "2025-12"), ("this-month", "2026-01")])
def test_and_its_month(word: str, month: str) -> None:
    assert reports.template("monthly-compliance").checked({"month": word}, today=date(2026, 1, 1))["month"] == month


def test_an_empty_period_by_words_is_refused_as_one_by_days() -> None:
    with pytest.raises(ReportError, match="ends before it begins"):
        reports.template("resubscription-audit").checked({"since": "this-month", "until": "today"}, today=date(2026, 11, 1))


def test_parameters_take_the_form_that_the_notebook_needs() -> None:
    audit, review = reports.template("resubscription-audit"), reports.template("mismatch-review")
    assert audit.checked({"since": date(2026, 10, 1), "until": "2026-11-01"}, today=TODAY) == {
        "since": "2026-10-01",
        "until": "2026-11-01",
        "personal_data": "masked",
    }
    assert review.checked({"only_over_limit": "yes"}, today=TODAY) == {
        "kind": "all",
        "only_over_limit": True,
        "personal_data": "masked",
    }


def test_whole_numbers() -> None:
    limit = catalogue._parameter('limit: "int" = 10  # how many')
    assert (limit.default, limit.help, str(limit)) == (10, "how many", "[limit=int]")
    assert [catalogue._value(limit, given, TODAY) for given in (3, "3", 0)] == [3, 3, 0]
    for bad in (True, 1.5, -3, "-3", "1.5", "", "1e3", "٣"):
        with pytest.raises(ReportError, match="not a whole number"):
            catalogue._value(limit, bad, TODAY)


def test_templates_hold_no_logic_and_no_outputs() -> None:
    found = reports.templates()
    assert [t.name for t in found] == TEMPLATES
    for template in found:
        cells = json.loads(template.path.read_text(encoding="utf-8"))["cells"]
        code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
        assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
        assert not re.search(r"^\s*(for|if|while|def|class|try|with|lambda)\b", "\n".join(code), re.MULTILINE)
        assert sum(source.startswith(("from ", "import ")) for source in code) == 1


def test_a_template_that_can_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken.ipynb").write_text("{", encoding="utf-8")
    monkeypatch.setattr(catalogue, "shipped", lambda _: tmp_path)
    with pytest.raises(ReportError, match="the report template broken has no title or parameters that can be read"):
        reports.templates()


# What cells show


def test_everything_that_is_shown_is_escaped() -> None:
    evil = "<script>alert(1)</script>\"'&"
    shown = [
        Facts(evil, {evil: evil}, frozenset({evil})),
        Table(evil, "t", [evil], [{evil: evil}]),
        Table(evil, "t", [evil], [], evil),
        Note(evil, evil, verbatim=evil),
        Chart(evil, None, evil),
    ]
    for one in shown:
        page = Page(one.html())
        assert "script" not in page.tags
        assert evil in page.text or any(evil in value for _, value in page.attributes)
        assert evil not in repr(one._repr_mimebundle_()[0]["text/html"])


def test_a_long_table_shows_its_first_rows_and_keeps_all_in_its_csv() -> None:
    table = Table("Many", "many", ["n"], [{"n": n, "more": 1} for n in range(700)], more=["more"])
    data, metadata = table._repr_mimebundle_()
    assert data["text/html"].count("<tr>") == 501
    assert "The first 500 of 700 rows" in data["text/html"]
    assert data["text/csv"].splitlines()[0] == "n,more"
    assert len(data["text/csv"].splitlines()) == 701
    assert metadata["text/csv"] == {"name": "many", "numbers": [0, 1]}


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1", " =1", "＝1", "＋1", "－1", "＠1", "|calc"])
def test_a_cell_that_a_spreadsheet_would_run_gets_an_apostrophe(text: str) -> None:
    assert harmless(text) == f"'{text}"


def test_numbers_and_plain_text_stay_as_they_are_in_csv() -> None:
    assert csv_text(["a", "b"], [{"a": -5, "b": "Müller, Ada"}, {"a": None, "b": True}]) == 'a,b\n-5,"Müller, Ada"\n,yes\n'
    assert plain({"a": (1, float("nan"))}) == {"a": [1, None]}


def test_addresses_are_masked_unless_the_whole_is_asked_for() -> None:
    assert address(ADA, "masked") == "a…@….org"
    assert address(ADA, "full") == ADA
    assert address("", "masked") == ""


# Whole runs


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Three people went through a batch: Ada and Eve resubscribed, Bea refused; then Eve unsubscribed again."""
    folder = tmp_path_factory.mktemp("audited")
    os.environ["WORKBENCH_NO_KEYRING"] = "1"
    lines = [org_line("Lead", lead_id(1), ADA, opted_out=True), org_line("Contact", contact_id(2), BEA, opted_out=True)]
    (folder / "org.jsonl").write_text("\n".join([*lines, org_line("Lead", lead_id(3), EVE, opted_out=True)]), encoding="utf-8")
    with start_scratch_org(data=folder / "org.jsonl") as org:
        wb = Workbench.init(folder / "workspace", name="test", url=org.url, controller=CONTROLLER)
        made = World(folder / "workspace", org, wb)
        people = [made.person(ADA), made.person(BEA), made.person(EVE)]
        made.consent(people[0])
        made.consent(people[2])
        plan = wb.propose(people, reason="signed_form")
        wb.approve(plan.id, plan.digest)
        wb.run(plan.id)
        wb.unsubscribe(EVE, source="clicked_link")
        yield made
        wb.close()


@pytest.fixture(scope="module")
def issued(audited: World) -> reports.IssuedReport:
    """The audit of everything, with whole addresses."""
    os.environ["WORKBENCH_NO_KEYRING"] = "1"
    return reports.run(audited.wb, "resubscription-audit", {**PERIOD, "personal_data": "full"})


def test_the_page_names_who_was_resubscribed_and_who_was_not(issued: reports.IssuedReport) -> None:
    text = Page(issued.html.read_text(encoding="utf-8")).text
    for expected in (
        ADA,
        BEA,
        "signed_form",
        "1 intact",
        "no_consent",
        "No consent is on file",
        "relapsed, found",
        "Trail and register agree",
    ):
        assert expected in text


def test_a_hostile_name_stands_on_the_page_as_it_was_typed(issued: reports.IssuedReport) -> None:
    page = Page(issued.html.read_text(encoding="utf-8"))
    assert EVE in page.text
    assert not any(name.startswith("on") for name, _ in page.attributes)


def test_the_page_has_no_outside_address_no_script_and_no_code(issued: reports.IssuedReport) -> None:
    text = issued.html.read_text(encoding="utf-8")
    page = Page(text)
    assert not {"script", "link", "iframe", "object", "embed", "form", "input", "base", "svg"} & set(page.tags)
    assert all(value.startswith("data:image/svg+xml;base64,") for name, value in page.attributes if name == "src")
    assert all(value.startswith("#") for name, value in page.attributes if name == "href")
    assert "http://" not in text
    assert "https://" not in text
    assert "ResubscriptionAudit" not in text
    assert "Workbench.open" not in text
    policy = next(value for name, value in page.attributes if name == "content" and "default-src" in value)
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "style" not in {name for name, _ in page.attributes}


def test_pictures_say_in_words_what_they_show(issued: reports.IssuedReport) -> None:
    page = Page(issued.html.read_text(encoding="utf-8"))
    said = [value for name, value in page.attributes if name == "alt"]
    assert said == ["2 resubscribed, 1 refused, 0 aborted.", "Most often: no_consent 1."]


def test_the_page_prints_the_trails_verdict_and_a_checkpoint_that_verifies(audited: World, issued: reports.IssuedReport) -> None:
    text = Page(issued.html.read_text(encoding="utf-8")).text
    assert "intact" in text
    note = re.search(r"test\n\d+\n[A-Za-z0-9+/=]+\n\n— test [A-Za-z0-9+/=]+\n", text)
    assert note is not None
    assert audited.wb.trail.verify(known=[note[0]]).ok


def test_the_issue_is_on_the_trail_and_in_the_list_of_reports(audited: World, issued: reports.IssuedReport) -> None:
    events = audited.wb.trail.events(action="report_issued", newest=None)
    payloads = [json.loads(text) for text in events["payload"]]
    assert issued.sha256 in {p["file_sha256"] for p in payloads}
    assert {p["file_name"].partition("/")[0] for p in payloads} == {issued.folder.name}
    listed = audited.wb.reports()
    assert list(listed["report_id"]) == [issued.report_id]
    assert int(listed["checkpoint_size"].iloc[0]) > 0
    assert audited.wb.trail.verify().ok


def test_tables_lie_beside_the_page_as_csv(issued: reports.IssuedReport) -> None:
    names = sorted(path.name for path in (issued.folder / "tables").iterdir())
    assert names == [f"{name}.csv" for name in ("aborted", "batches", "differences", "refused", "relapsed", "resubscribed")]
    rows = (issued.folder / "tables" / "resubscribed.csv").read_text(encoding="utf-8").splitlines()
    assert rows[0].endswith("batch,consent,jurisdiction,evidence sha256")
    assert len(rows) == 3


def test_the_notebook_keeps_no_paths_and_no_widget_state(issued: reports.IssuedReport) -> None:
    text = issued.notebook.read_text(encoding="utf-8")
    assert str(issued.folder.parent) not in text
    assert "widget" not in text
    assert "text/csv" not in text


def test_only_the_operator_may_read_what_was_issued(issued: reports.IssuedReport) -> None:
    assert issued.folder.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in issued.folder.rglob("*"))


def test_every_file_verifies_and_one_altered_byte_is_found(audited: World, issued: reports.IssuedReport, tmp_path: Path) -> None:
    assert issued.xlsx is not None
    for file in (issued.html, issued.notebook, issued.folder / "tables" / "refused.csv", issued.xlsx):
        assert reports.verify(audited.wb, file).ok
    copy = tmp_path / "mailed on.html"
    copy.write_bytes(issued.html.read_bytes())
    assert reports.verify(audited.wb, copy).sentence.startswith("Unchanged: resubscription-audit-")
    content = bytearray(issued.html.read_bytes())
    content[len(content) // 2] ^= 1
    copy.write_bytes(content)
    verdict = reports.verify(audited.wb, copy)
    assert not verdict.ok
    assert verdict.sentence.startswith(f"Altered: this is not {issued.folder.name}/report.html as issued ")
    notebook = tmp_path / "other.ipynb"
    notebook.write_text(issued.notebook.read_text(encoding="utf-8") + " ", encoding="utf-8")
    assert not reports.verify(audited.wb, notebook).ok
    copied = shutil.copytree(issued.folder, tmp_path / issued.folder.name)
    for name in ("tables/refused.csv", "tables.xlsx"):
        (copied / name).write_bytes((copied / name).read_bytes() + b" ")
        verdict = reports.verify(audited.wb, copied / name)
        assert not verdict.ok
        assert verdict.sentence.startswith(f"Altered: this is not {issued.folder.name}/{name} as issued ")


def test_a_file_that_is_no_report_is_not_called_altered(audited: World, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("<p>hello", encoding="utf-8")
    with pytest.raises(ReportError, match="belongs to no report"):
        reports.verify(audited.wb, tmp_path / "report.html")
    with pytest.raises(ReportError, match="can't be read"):
        reports.verify(audited.wb, tmp_path / "nowhere.html")
    os.mkfifo(tmp_path / "pipe.html")
    for endless in (tmp_path / "pipe.html", Path("/dev/zero"), tmp_path):
        with pytest.raises(ReportError, match="this is no file"):
            reports.verify(audited.wb, endless)


def test_an_id_may_be_written_in_capitals() -> None:
    chosen, person = reports.template("person-history"), "01a21adb-0000-4000-8000-00000000000f"
    assert chosen.checked({"person": person.upper()}, today=TODAY)["person"] == person


def test_masked_and_counted_reports_hold_no_address(audited: World) -> None:
    for form in ("masked", "counts"):
        audit = ResubscriptionAudit(audited.wb, **PERIOD, personal_data=form)
        parts = (
            audit.summary(),
            audit.batches(),
            audit.resubscribed(),
            audit.refused(),
            audit.aborted(),
            audit.relapsed(),
            audit.differences(),
        )
        shown = "".join(str(part._repr_mimebundle_()[0]) for part in parts)
        assert ADA not in shown
        assert "example.org" not in shown
        assert ("a…@….org" in shown) == (form == "masked")
        assert str(audited.wb.people(text=ADA)["person_id"].iloc[0]) not in (shown if form == "counts" else "")


def test_a_period_is_cut_at_its_ends(audited: World) -> None:
    tomorrow = (audited.wb.clock() + timedelta(days=1)).date().isoformat()
    later = ResubscriptionAudit(audited.wb, since=tomorrow, until="2100-01-01", personal_data="full")
    assert later.summary().values["Resubscribed"] == 0
    assert later.summary().values["Refused"] == 0


def test_the_audit_marks_what_an_auditor_should_look_at(audited: World) -> None:
    facts = ResubscriptionAudit(audited.wb, **PERIOD, personal_data="full").summary()
    assert facts.values["Resubscribed"] == 2
    assert facts.values["Refused"] == 1
    assert facts.findings == {"Relapsed", "Approved by their own proposer"}
    evidence = next(path for path in (audited.folder / "evidence").rglob("*") if path.is_file() and path.stat().st_size)
    content = evidence.read_bytes()
    evidence.chmod(0o600)
    evidence.write_bytes(b"not what it was")
    try:
        facts = ResubscriptionAudit(audited.wb, **PERIOD, personal_data="full").summary()
    finally:
        evidence.write_bytes(content)
    assert facts.values["Resubscribed without intact evidence"] == 1


def test_the_mismatch_review_names_kinds_ages_and_tonights_changes(audited: World) -> None:
    found = reports.run(audited.wb, "mismatch-review", {"personal_data": "full"})
    text = Page(found.html.read_text(encoding="utf-8")).text
    for expected in (
        "Open for more than 10 business days",
        "unsubscribed_only_locally",
        "opt out the record in Salesforce",
        "never taken",
        EVE,
    ):
        assert expected in text
    (drawn,) = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', found.html.read_text(encoding="utf-8"))
    picture = base64.b64decode(drawn).decode()
    assert "unsubscribed only in the register" in picture
    assert "_only_" not in picture, "kinds are named in words"
    assert reports.verify(audited.wb, found.html).ok


FAILING = """# Broken report

A template that fails."""


@pytest.fixture
def failing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A template whose second cell fails with a person's address in its error."""
    cell = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": []}
    cells: list[dict[str, Any]] = [
        {"cell_type": "markdown", "id": "a", "metadata": {}, "source": FAILING},
        {**cell, "id": "b", "metadata": {"tags": ["parameters"]}, "source": 'loud: "bool" = False  # nothing'},
        {**cell, "id": "c", "source": f"ledger = {{}}\nledger['{ADA}']"},
    ]
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "broken.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    monkeypatch.setattr(catalogue, "shipped", lambda _: folder)


@pytest.mark.usefixtures("failing")
def test_a_failed_run_names_its_cell_keeps_its_notebook_apart_and_issues_nothing(
    audited: World, capsys: pytest.CaptureFixture[str]
) -> None:
    issued_before, size = len(audited.wb.reports()), audited.wb.trail.verify().events
    assert command(["report", "run", "broken", "--workspace", str(audited.folder)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "The report broken failed at its cell 3 (`ledger = {}`): KeyError." in said.err
    assert "@" not in said.err
    kept = list((audited.folder / "issued" / "failed").glob("broken-*.ipynb"))
    assert len(kept) == 1
    assert "KeyError" in kept[0].read_text(encoding="utf-8")
    assert not list((audited.folder / "issued").glob(".making-*"))
    assert not list((audited.folder / "issued").glob("broken-*"))
    assert (len(audited.wb.reports()), audited.wb.trail.verify().events) == (issued_before, size)


def test_the_command_line_lists_issues_and_verifies(
    world: Callable[..., World], audited: World, issued: reports.IssuedReport, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["report", "list", "--format", "json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == TEMPLATES
    assert command(["report", "list", "--issued", "--format", "json", "--workspace", str(audited.folder)]) == 0
    assert issued.report_id in capsys.readouterr().out
    assert command(["report", "verify", str(issued.html), "--workspace", str(audited.folder)]) == 0
    assert capsys.readouterr().out.startswith("Unchanged: ")


def test_a_pdf_is_printed_where_chromium_is(audited: World, issued: reports.IssuedReport, tmp_path: Path) -> None:
    from workbench.reports import pdf

    try:
        pdf.chromium()
    except ReportError as error:
        pytest.skip(str(error))
    pdf.print_page(issued.html, tmp_path / "report.pdf")
    content = (tmp_path / "report.pdf").read_bytes()
    assert content.startswith(b"%PDF-")
    assert b"/StructTreeRoot" in content  # tagged: readable by a screen reader


def test_a_size_of_paper_that_there_is_not_is_refused_before_the_run(audited: World, capsys: pytest.CaptureFixture[str]) -> None:
    before = audited.wb.trail.verify().events
    options = ["--pdf", "--paper", "a3", "--workspace", str(audited.folder)]
    assert command(["report", "run", "mismatch-review", *options]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "workbench: There is no such size of paper.\n  Write one of: a4, letter.\n")
    assert audited.wb.trail.verify().events == before
    assert not list((audited.folder / "issued").glob(".making-*"))


def test_without_chromium_a_pdf_is_refused_before_the_run(
    audited: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    with pytest.raises(ReportError, match="a PDF needs Chromium") as refused:
        reports.run(audited.wb, "mismatch-review", {}, pdf=True)
    assert "from your system" in refused.value.advice
    assert "`pip install 'compliance-workbench[pdf]'` and then `playwright install chromium`" in refused.value.advice
